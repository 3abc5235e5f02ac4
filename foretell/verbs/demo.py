"""``foretell demo``: the whole way on a set of images that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from foretell.options import Arg, Overrides, Where


def demo(
    *,
    out: Annotated[Where | None, Arg("the run folder (default: runs/animals-OBJECTIVE-DATE-TIME)", "RUN", "-o")] = None,
    budget: Annotated[
        str | None, Arg("of the pretraining: 90s, 5m, '50 epochs' (default: the recipe's)", "BUDGET", "-b")
    ] = None,
    device: Annotated[str | None, Arg("auto, cpu, cuda or cuda:N", "DEVICE")] = None,
    per_class: Annotated[str, Arg("numbers of labels a class to compare at", "N,N,...")] = "1,10,200",
    seeds: Annotated[int, Arg("seeds of the comparison")] = 3,
    trials: Annotated[int, Arg("settings searched, the same for every arm")] = 2,
    jobs: Annotated[
        int | None, Arg("trainings side by side, each with its part of the cores (default: as many as pay)", "N")
    ] = None,
    set: Annotated[Overrides, Arg("any other setting of the recipe", "KEY=VALUE", "-s")] = (),
) -> dict[str, Any]:
    """The whole way on pictures that come with Foretell, in minutes.

    Pretrains on 28-pixel pictures of ten animals, compares with training from scratch and writes the report.
    Needs no data and no network. There is something to see from the first half minute. A demo that was cut short goes
    on with --out RUN, the folder it was in, and without --budget and --set.

    Returns the comparison, as ``foretell.evaluate(..., compare=True)`` does.
    """
    import time

    from foretell.recipe import Recipe
    from foretell.verbs.evaluate import evaluate
    from foretell.verbs.pipeline_comparison import check_comparison
    from foretell.verbs.pretrain import pretrain

    began = time.monotonic()
    again = out is not None and (Path(out) / "recipe.toml").is_file() and budget is None and not set
    recipe = Recipe.load(
        Path(out) / "recipe.toml" if out is not None and again else "demo", {"transfer.device": device}, set
    )
    check_comparison(recipe, per_class=per_class, seeds=seeds, trials=trials, jobs=jobs)
    print("1. Pretraining on unlabelled pictures: no label is read.")
    if out is not None and again:
        made = pretrain(out, resume=True)  # an earlier demo that was cut short, or is shown again
    else:
        made = pretrain(recipe="demo", out=out, budget=budget, device=device, set=set)
    print("\n2. What that was worth: few labels, with and without the pretraining.")
    found = evaluate(made.run, compare=True, per_class=per_class, seeds=seeds, trials=trials, jobs=jobs, device=device)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    what = "What was left of the demo" if again else "The demo"
    print(f"\n{what} took {minutes} min {seconds} s. Open {made.report} in a browser.")
    print("On your own images: foretell pretrain DATA --budget 5m")
    return found
