"""What pretraining on text is worth on eight labelled tasks, beside from scratch, random features and TF-IDF.

    python -m benchmarks.text_tasks --set transfer.steps=600 [--device cuda] [--labels 50,200,1000] [--seeds 3]
        [--only tagging,choice] [--run FOLDER] [--json benchmarks/results.json]

A BERT (masked words and next sentences) is pretrained once on unlabelled text without the documents of any test part
(``text_corpus``). For each task every arm of ``foretell evaluate --compare`` then learns from the same few labels: as many
learning rates or penalties tried within them, as many steps: 600, since a network from scratch learns nothing of some tasks
in 120. Labels are drawn anew for each seed; the test part is looked at once a fit. A task's row is kept as soon as it is done.

``--run`` keeps the run and every finished fit in it, so that what was stopped goes on. Tasks as processes of their own
share it:

    python -m benchmarks.text_tasks --run runs/words --only ''  # pretrains alone
    for task in posts genres pairs choice similarity tagging answering answering_or_none; do
        OMP_NUM_THREADS=2 python -m benchmarks.text_tasks --run runs/words --only $task --set transfer.steps=600 \\
            --json benchmarks/results.json &
    done; wait

``--head-rates 1,5,20,50`` tries ``transfer.text.head_rate`` in place of the tasks: on tagging, judged on training
documents that neither pretraining nor fine-tuning saw.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import text_corpus
from benchmarks.datasets import brown_genres, brown_tags, dialogues, posts, verses, wiki_questions
from benchmarks.harness import parser, report
from benchmarks.pretrained import pretrained
from benchmarks.topics import told
from foretell.errors import InputError
from foretell.measures.intervals import paired, t_interval
from foretell.measures.summary import summarise
from foretell.recipe import Recipe
from foretell.run import Run, write_aside
from foretell.transfer.config import TransferConfig
from foretell.transfer.protocol import Protocol
from foretell.transfer.text.compare import compare_text
from foretell.verbs.progress import telling
from foretell.verbs.text_transfer import open_labelled

RECIPE = "bert"
PRETRAINING = [
    "data.documents=blank",
    "data.sentences=line",
    "objective.tasks=both",
    "objective.tokenizer.vocabulary=8000",
    "training.checkpoint_every=1000",
    "training.health_every=1000",
]
# of the comparison: nothing but its arms at each number of labels is asked for
TRANSFER = ["transfer.test_samples=2000", "transfer.probe_samples=50", "transfer.curve_points=0"]
WANTED = "fine-tuned, above the same network from scratch and above {} at every number of labels (intervals above 0)"
BASELINES = ("tfidf", "baseline")
DIFFERENCES = [("pretrained", "scratch"), *((arm, other) for arm in ("pretrained", "probe") for other in BASELINES)]
RATES_WANTED = "no head rate that was tried is better than the default (intervals of the differences not above 0)"


@dataclass(frozen=True)
class Source:
    """``find`` gives a file or folder for ``foretell finetune --task KIND``; ``metrics`` to tell beside the task's first;
    ``chance`` is the share that guessing gets right, where the answers of the test part are even.
    """

    find: Callable[[], Path]
    kind: str
    metrics: tuple[str, ...] = ()
    chance: float | None = None


TASKS = {
    "posts": Source(lambda: posts.load() / "labelled.jsonl", "classification", ("macro_f1",)),
    "genres": Source(lambda: brown_genres.load() / "labelled.jsonl", "classification", ("macro_f1",)),
    "pairs": Source(lambda: dialogues.load() / "pairs.jsonl", "entailment", chance=1 / 2),
    "choice": Source(lambda: dialogues.load() / "choices.jsonl", "choice", chance=1 / dialogues.ANSWERS),
    "similarity": Source(lambda: verses.load() / "labelled.jsonl", "similarity", chance=1 / 2),
    "tagging": Source(lambda: brown_tags.load() / "tagged.jsonl", "tagging", ("macro_f1",)),
    "answering": Source(wiki_questions.load_answered, "answering", ("exact",)),
    "answering_or_none": Source(wiki_questions.load, "answering", ("exact", "answerable_f1")),
}


# one comparison -------------------------------------------------------------------------------------------------------


def opened_run(place: Path, recipe: Recipe) -> Run:
    """Where the fits of a comparison are kept, made where there is none. Raises InUse while another process holds it."""
    if (place / "recipe.toml").is_file():
        return Run.resume(place)
    made = Run.create(place)
    recipe.save(place / "recipe.toml")
    return made


def compared(
    run: Path,
    name: str,
    source: Path,
    kind: str,
    args: argparse.Namespace,
    settings: Sequence[str] = (),
    arms: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What ``compare_text`` finds at the numbers of labels asked for; of classes, that number shared out among them."""
    overrides = [*TRANSFER, *args.set, *settings]
    opened = open_labelled(run / "encoder", source, kind, args.device, overrides)
    classes = max(1, len(opened.train.classes))
    per_class = [max(1, round(count / classes)) for count in args.labels]
    protocol = Protocol(per_class, range(args.seeds), arms, args.trials)
    with closing(opened_run(run / "tasks" / name, Recipe.load(run / "recipe.toml"))) as kept:
        return compare_text(
            opened.model, train=opened.train, test=opened.test, protocol=protocol, training=opened.config, run=kept,
            progress=telling(), split=opened.how, data=opened.found.source,
        )  # fmt: skip


# figures --------------------------------------------------------------------------------------------------------------


def scores(found: dict[str, Any], metrics: Sequence[str]) -> dict[str, str]:
    """The mean of each metric over seeds with its 95% interval, in percent, by labels and arm."""
    made: dict[str, list[str]] = {}
    for row in summarise(found["rows"], metrics):
        title = f"{row['labels']:5} labels, {found['arms'][row['arm']]['title']}"
        made.setdefault(title, []).append(f"{row['metric'].replace('_', ' ')} {told(row, 'mean')}")
    return {title: ", ".join(texts) for title, texts in made.items()}


def differences(found: dict[str, Any]) -> dict[str, str]:
    """Points of the headline metric, paired by seed, with their 95% interval."""
    title = {arm: about["title"] for arm, about in found["arms"].items()}
    return {
        f"{row['labels']:5} labels, points, {title[row['arm']]} over {title[row['against']]}": told(
            row, "difference", "+"
        )
        for row in found["paired"]
        if row["metric"] == found["metric"] and (row["arm"], row["against"]) in DIFFERENCES
    }


def above(found: dict[str, Any]) -> bool:
    """Whether fine-tuning beats training from scratch and the baseline at every number of labels."""
    return all(
        row["verdict"] == "better"
        for row in found["paired"]
        if row["metric"] == found["metric"] and row["arm"] == "pretrained" and row["against"] in ("scratch", *BASELINES)
    )


def steps_taken(found: dict[str, Any], arm: str = "scratch") -> str:
    """Steps of a training from scratch, at each number of labels; fine-tuning has as many."""
    taken = {row["labels"]: row["steps"] for row in found["rows"] if row["arm"] == arm}
    return ", ".join(f"{steps} with {labels} labels" for labels, steps in sorted(taken.items()))


def at_chance(found: dict[str, Any], chance: float | None) -> dict[str, str]:
    """A note, where training from scratch is not above ``chance``: what pretraining is worth may then lie in the steps."""
    rows = [row for row in summarise(found["rows"], (found["metric"],)) if row["arm"] == "scratch"]
    labels = [str(row["labels"]) for row in rows if chance is not None and not row["low"] > chance]
    if chance is None or not labels:
        return {}
    told_labels = " and ".join(labels)
    return {
        "note": f"from scratch is not above chance ({100 * chance:.0f}%) with {told_labels} labels after these steps: "
        "the points over it may come down with more"
    }


def learnt(run: Path) -> dict[str, str]:
    """What pretraining came to on documents held out, beside guesses without a network, where some were."""
    found = Run.read(run).read_json("results/text.json") or {}
    made = {}
    if words := found.get("words"):
        made["masked words, perplexity"] = (
            f"{words['perplexity']:.0f} (by frequency {words['guess']['perplexity']:.0f})"
        )
    if pairs := found.get("sentences"):
        made["next sentences, % right"] = (
            f"{100 * pairs['right']:.1f} (the more frequent {100 * pairs['guesses']['base']:.1f})"
        )
    return made


def shared_facts(run: Path, args: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    made, facts = Recipe.load(run / "recipe.toml"), Run.read(run).read_json("facts.json")
    steps = f"{made.training.steps:,} steps of {made.training.batch} rows"
    return {
        "encoder": facts["encoder"]["name"],
        "pretraining": f"{steps}, {facts['cost']['seconds']:.0f} s",
        **learnt(run),
        "test examples": found["test"]["samples"],
        "settings tried for each arm": found["trials"],
        "intervals": f"95%, over {args.seeds} draws of the labels",
    }


def command(args: argparse.Namespace, rest: str) -> str:
    """What makes a row again, but for where things are kept."""
    labels = ",".join(str(count) for count in args.labels)
    own = "".join(f" --pretraining-set {setting}" for setting in args.pretraining_set)
    own += "".join(f" --set {setting}" for setting in args.set)
    return (
        f"python -m benchmarks.text_tasks --device {args.device} --network {args.network} --pretraining-steps {args.pretraining_steps} "
        f"--labels {labels} --seeds {args.seeds} --trials {args.trials} {rest}{own}"
    )


# pretraining ----------------------------------------------------------------------------------------------------------


def pretraining(args: argparse.Namespace) -> list[str]:
    """Settings over those of the recipe."""
    asked = [f"objective.network.size={args.network}", f"training.steps={args.pretraining_steps}"]
    return [*PRETRAINING, *asked, *args.pretraining_set]


def check_run(run: Path, args: argparse.Namespace) -> None:
    """Raises InputError for a run that is there and was pretrained otherwise than asked for."""
    if not (run / "recipe.toml").is_file():
        return
    made, asked = Recipe.load(run / "recipe.toml"), Recipe.load(RECIPE, None, pretraining(args))
    other = [
        f"{name}.{key}"
        for name, keys in (("objective", type(asked.objective).model_fields), ("training", ("steps", "batch", "rate")))
        for key in keys
        if getattr(getattr(made, name), key, None) != getattr(getattr(asked, name), key)
    ]
    if other:
        raise InputError(
            f"{run}: was pretrained with another {', '.join(other)} than asked for; give another --run, or what its "
            "recipe.toml says"
        )


# the tasks ------------------------------------------------------------------------------------------------------------


def measured(run: Path, name: str, args: argparse.Namespace) -> None:
    """Compare on one task and report it."""
    source = TASKS[name]
    found = compared(run, name, source.find(), source.kind, args)
    baseline = next(found["arms"][arm]["title"] for arm in BASELINES if arm in found["arms"])
    figures = {
        **scores(found, (found["metric"], *source.metrics)),
        **differences(found),
        **shared_facts(run, args, found),
        "steps of a fine-tuning": steps_taken(found),
        **at_chance(found, source.chance),
        "seconds, but for fits found again": f"{found['cost']['seconds']:.0f}",
    }
    report(
        args,
        f"text task: {name}",
        figures,
        WANTED.format(baseline),
        above(found),
        called=command(args, f"--only {name}"),
    )


# the head rate --------------------------------------------------------------------------------------------------------


def for_settings(path: Path) -> Path:
    """Tagged sentences of training documents, those to choose settings on as the test part."""
    rows = (row for row in brown_tags.tagged() if row["split"] == "train")
    parted = ({**row, "split": "test" if text_corpus.for_validation(row["group"]) else "train"} for row in rows)
    write_aside(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in parted))
    return path


def head_rate_scores(
    run: Path, rates: Sequence[float], args: argparse.Namespace
) -> tuple[dict[tuple[str, int, float], list[float]], dict[str, Any]]:
    """(arm, labels, rate) -> the share of words tagged rightly for each seed, and the comparison at the last rate."""
    source = for_settings(run / "validation.jsonl")
    arms = ("pretrained", "scratch")
    values: dict[tuple[str, int, float], list[float]] = {}
    for rate in rates:
        setting = f"transfer.text.head_rate={rate:g}"
        found = compared(run, f"head-rate-{rate:g}", source, "tagging", args, [setting], arms)
        for row in found["rows"]:
            if row["arm"] in arms:
                values.setdefault((row["arm"], row["labels"], rate), []).append(row["accuracy"])
    return values, found


def head_rates(run: Path, args: argparse.Namespace) -> None:
    """Compare rates of the head on tagging, with and without pretraining, and report them beside the default."""
    default = TransferConfig().text.head_rate
    values, found = head_rate_scores(run, sorted({*args.head_rates, default}), args)
    figures: dict[str, Any] = {}
    better = False
    for (arm, labels, rate), own in values.items():
        told_rate = f"accuracy {told(t_interval(own).record(), 'mean')}"
        if rate != default:
            over = paired(own, values[arm, labels, default])
            told_rate += f"; points over {default:g}: {told(over.record(), 'mean', '+')}"
            better |= over.verdict == "better"
        figures[f"{labels:5} labels, {found['arms'][arm]['title']}, head rate {rate:g}"] = told_rate
    rates = ",".join(f"{rate:g}" for rate in args.head_rates)
    figures |= shared_facts(run, args, found)
    name = "head rate on tagging, validation documents"
    report(args, name, figures, RATES_WANTED, not better, called=command(args, f"--head-rates {rates}"))


# the command ----------------------------------------------------------------------------------------------------------


def integers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def task_names(text: str) -> list[str]:
    names = [word for word in text.split(",") if word]
    for name in names:
        if name not in TASKS:
            raise argparse.ArgumentTypeError(f"unknown task '{name}'; expected some of {', '.join(TASKS)}")
    return names


def main() -> None:
    options = parser(__doc__ or "")
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--seeds", type=int, default=3, help="draws of the labels")
    options.add_argument("--labels", type=integers, default=[50, 200, 1000], help="numbers, as 50,200,1000")
    options.add_argument("--trials", type=int, default=3, help="settings tried for each arm")
    options.add_argument("--only", type=task_names, default=list(TASKS), help=f"of {', '.join(TASKS)}")
    options.add_argument("--network", default="mini", help="tiny (2x128), mini (4x256) or larger")
    options.add_argument("--pretraining-steps", type=int, default=10_000, help="of 64 rows of 128 tokens")
    options.add_argument(
        "--pretraining-set",
        action="append",
        default=[],
        help="one of its settings, as training.batch=16",
        metavar="KEY=VALUE",
    )
    options.add_argument("--run", type=Path, default=None, help="folder of the run (default: a new one, not kept)")
    options.add_argument("--head-rates", type=numbers, default=[], help="try these on tagging instead")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        help="a setting of the comparison, as transfer.most_steps=300",
        metavar="KEY=VALUE",
    )
    args = options.parse_args()

    with tempfile.TemporaryDirectory() as spare:
        run = args.run or Path(spare) / "bert"
        check_run(run, args)
        pretrained(run, text_corpus.write, recipe=RECIPE, device=args.device, set=pretraining(args))
        if args.head_rates:
            head_rates(run, args)
            return
        for number, name in enumerate(args.only, 1):
            print(f"\ntask {number} of {len(args.only)}: {name}", flush=True)
            measured(run, name, args)


if __name__ == "__main__":
    main()
