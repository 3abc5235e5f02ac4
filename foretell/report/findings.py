"""What a pretext task or a classifier showed after training: its pictures and figures, kept in the run and laid out for
the page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from foretell.objectives.base import Exhibit
from foretell.report.exhibits import picture_grid
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Table, image, inscription, pixel_width
from foretell.run import Run

FILE = "results/findings.json"
WIDE = 96  # pixels a picture is enlarged to, where it is smaller


def write_picture(exhibit: Exhibit, path: Path) -> None:
    """Write the panels of ``exhibit`` as one PNG, a row a sample; small pictures are enlarged."""
    side = max(pictures.shape[3] for _, pictures in exhibit.panels)
    picture_grid(exhibit.panels, path, scale=max(1, round(WIDE / side)), blocks=1)


def write_findings(run: Run, exhibits: Sequence[Exhibit], *, without: Collection[str] = ()) -> None:
    """Write exhibits/NAME.png for each of ``exhibits``, and results/findings.json with their words and tables.

    What was written before stays, but for the same names and for those of ``without``, whose pictures are deleted.
    """
    for exhibit in exhibits:
        write_picture(exhibit, run.path / "exhibits" / f"{exhibit.name}.png")
    names = {exhibit.name for exhibit in exhibits}
    for gone in set(without) - names:
        (run.path / "exhibits" / f"{gone}.png").unlink(missing_ok=True)
    before = (run.read_json(FILE) or {}).get("findings", [])
    kept = [one for one in before if one.get("name") not in {*names, *without}]
    told = [
        {
            "name": one.name,
            "title": one.title,
            "caption": one.caption,
            "table": [list(row) for row in one.table],
            **({"headline": one.headline} if one.headline else {}),
        }
        for one in exhibits
    ]
    if before or told:
        run.write_json(FILE, {"findings": kept + told})


def findings(run: Gathered) -> list[Json]:
    """One section of the page for each exhibit whose picture is there."""
    out = []
    for one in run.results.get("findings", {}).get("findings", []):
        name = str(one.get("name", ""))
        picture = image(run, name)
        if picture is None:
            continue
        rows = one.get("table") or []
        out.append(
            {
                "name": name,
                "title": str(one.get("title", name)),
                "caption": str(one.get("caption", "")),
                "picture": picture,
                "width": pixel_width(run, name),
                "panels": inscription(run, name, "Panels"),
                "note": inscription(run, name, "Description"),
                "table": Table(rows[0], rows[1:]) if len(rows) > 1 else None,
            }
        )
    return out
