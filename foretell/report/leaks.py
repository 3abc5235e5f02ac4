"""The report's section on shortcuts: whether what the encoder is shown tells where in its image it lies."""

from __future__ import annotations

from foretell.report import words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Table


def shortcuts(run: Gathered) -> Json | None:
    """The verdict and a row for each switch; None where the probe was not run."""
    found = run.results.get("shortcuts", {})
    opened = found.get("open")
    if not opened:
        return None
    rows: list[list[Cell | str]] = [["as the encoder sees it", *_figures(opened), ""]]
    for one in found.get("closed", {}).values():
        name = Cell(f"with {one.get('switch', '')}", str(one.get("cue", "")))
        rows.append([name, *_figures(one), str(one.get("judged", ""))])
    seeds = words.counted(opened["gain"].get("n"), "seed")
    images = words.counted(found.get("images"), "image")
    return {
        "sentence": str(found.get("verdict", "")),
        "table": Table(
            ["Position probe", "Error", "Constant", "Best tenth", "Constant there", "Gain", "The leak"], rows
        ),
        "note": f"Error: root mean squared distance between the place foretold and the true one, in shares of the image's "
        f"side, on images the small probe network has not seen; gain: by how much it is below that of the best constant, "
        f"with its 95% interval. {images}, {seeds}. The best tenth of the images is chosen on half of each one's patches and "
        "measured on the other half.",
    }


def _figures(score: Json) -> list[Cell | str]:
    gain = score["gain"]
    return [
        *(words.number(score[name]["mean"], 3) for name in ("rmse", "constant", "best", "best_constant")),
        Cell(words.percent(gain["mean"]), f"{words.percent(gain['low'])} to {words.percent(gain['high'])}"),
    ]


def can_be_probed(run: Gathered) -> bool:
    """Whether the run's pretext task shows views with a place that have not been probed yet."""
    if "shortcuts" in run.results or run.state != "finished":
        return False
    from foretell.errors import InputError
    from foretell.objectives import get
    from foretell.objectives.image import ImageObjective

    try:
        found = get(run.objective)
    except InputError:  # an objective of a plug-in that is not installed here
        return False
    return issubclass(found, ImageObjective) and bool(found.drawn_as or found.placed is not ImageObjective.placed)
