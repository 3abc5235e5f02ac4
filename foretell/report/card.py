"""MODEL_CARD.md, written from the run, and the lines of Python that use its encoder."""

from __future__ import annotations

import re

from foretell import __version__
from foretell.report import about, analysis, headline, words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Table
from foretell.report.results import by_other_labels, efficiency, key_figures, probe
from foretell.report.told import causal

SMALL_STEM = "small_stem_network"  # the one architecture that Foretell adds to timm's registry
MODES = {1: "L", 3: "RGB"}


def snippet(run: Gathered) -> str:
    """Python that loads the encoder of this run with timm and embeds a picture; "" before it was exported."""
    config = run.encoder
    if run.kind == "words" and run.state == "finished":
        return _WORDS_SNIPPET
    if not config:
        return ""
    if "model_type" in config:
        return _text_snippet(config)
    data = config.get("pretrained_cfg") or {}
    channels = (data.get("input_size") or [run.part("data").get("channels")])[0]
    dim = config.get("num_features") or run.part("encoder").get("dim") or "dim"
    own = ["import foretell.encoders  # adds the small-image stem to timm; or see encoder/README.md"]
    lines = [
        "import timm",
        "import torch",
        "from PIL import Image",
        *(own if config.get("architecture") == SMALL_STEM else []),
        "",
        "# in the folder of the run",
        'encoder = timm.create_model("local-dir:encoder", pretrained=True).eval()',
    ]
    embedded = "with torch.inference_mode():"
    scale = (config.get("foretell") or {}).get("scale")
    if channels in MODES and (scale is None or channels == 1):
        picture = f'Image.open("picture.png").convert("{MODES[channels]}")'
        if scale is not None:  # "L" has 8 bits, and cuts off what is above
            lines.insert(0, "import numpy as np")
            picture = (
                f'Image.fromarray(np.asarray(Image.open("picture.png"), dtype=np.float32) * {scale} / 65535)  # 16 bits'
            )
        return "\n".join(
            [
                *lines,
                "view = timm.data.create_transform(**timm.data.resolve_model_data_config(encoder))",
                f"picture = {picture}",
                embedded,
                f"    embedding = encoder(view(picture)[None])  # (1, {dim})",
            ]
        )
    white = "" if scale is None else f": 16-bit values * {scale} / 65535"
    shape = ", ".join(str(size) for size in data.get("input_size") or ["channels", "side", "side"])
    return "\n".join(
        [
            *lines,
            f"pictures = torch.rand(1, {shape})  # yours, in [0, 1]{white}",
            f"mean = torch.tensor({data.get('mean') or []}).view(-1, 1, 1)",
            f"std = torch.tensor({data.get('std') or []}).view(-1, 1, 1)",
            embedded,
            f"    embedding = encoder((pictures - mean) / std)  # (1, {dim})",
        ]
    )


_WORDS_SNIPPET = """from gensim.models import KeyedVectors

# in the folder of the run
vectors = KeyedVectors.load_word2vec_format("encoder/vectors.bin", binary=True)
vectors.most_similar("river")"""


def _text_snippet(config: Json) -> str:
    kind = str((config.get("architectures") or ["AutoModel"])[0])
    return "\n".join(
        [
            "import torch",
            f"from transformers import AutoTokenizer, {kind}",
            "",
            "# in the folder of the run",
            f'model = {kind}.from_pretrained("encoder").eval()',
            'tokenizer = AutoTokenizer.from_pretrained("encoder")',
            "with torch.inference_mode():",
            '    found = model(**tokenizer("your text", return_tensors="pt"), output_hidden_states=True)',
            "    states = found.hidden_states[-1]  # one vector a token",
        ]
    )


def _plain(text: object) -> str:
    """Data as Markdown text: nothing of it is read as a mark, a tag or a table's edge."""
    return re.sub(r"([\\`*_\[\]<>|~]|^[#+-])", r"\\\1", " ".join(str(text).split()))


def _cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return _plain(cell)
    return _plain(cell.main) + (f" ({_plain(cell.sub)})" if cell.sub else "")


def _table(table: Table) -> str:
    edge = ["---" if place < table.words else "---:" for place in range(len(table.head))]
    rows = [[_cell(cell) for cell in row] for row in (table.head, *table.rows)]
    rows.insert(1, edge)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


LIMITS = {
    "image": "Features for pictures like those it was trained on: nearest neighbours, a linear probe, or fine-tuning with "
    "few labels. {measured} "
    "Whatever is skewed in the pictures (who or what is shown, and how often) is skewed in the features, too.",
    "text": "Text like that it was trained on: filling gaps or writing on, and fine-tuning with few labels. {measured} It says what is usual in its text, not "
    "what is true, and whatever is skewed there (who is written of, and how) is skewed in it, too.",
    "words": "Words as they are used in text like that it was trained on: similar words, search, a first table for a larger "
    "model. One vector stands for all meanings of a word. Whatever is skewed in the text (who is written of, and how) is "
    "skewed in the vectors, too.",
}


MEASURED = {
    "image": "It was measured on this data alone: on pictures from elsewhere, measure again before trusting it.",
    "text": "It was measured on this text alone: on text from elsewhere, measure again before trusting it.",
}


def _limits(run: Gathered) -> str:
    """For what the encoder is meant, and how far its scores go."""
    comparison, text = run.comparison, run.results.get("text", {})
    scores = [comparison.get(name) for name in ("summary", "knn", "linear_probe")]
    scores += [text.get(name) for name in ("words", "sentences")]
    nothing = "It has not been measured on anything yet: measure it before trusting it."
    return LIMITS[run.kind].format(measured=MEASURED.get(run.kind, "") if any(scores) else nothing)


def _library(run: Gathered) -> str:
    if run.encoder.get("architecture"):
        return "timm"
    return "transformers" if run.encoder.get("model_type") else "foretell"


def _task(run: Gathered) -> str:
    if run.kind == "image":
        return "image-feature-extraction"
    if run.kind == "words":
        return "feature-extraction"
    return "text-generation" if causal(run) else "fill-mask"


def _input(run: Gathered) -> str:
    facts = run.part("data")
    if run.kind == "words":
        return f"a word of {words.count(facts.get('vocabulary'))}"
    if run.kind == "text":
        length = (run.recipe.get("objective") or {}).get("length")
        return f"text of at most {words.counted(length, 'token')}, of a vocabulary of {words.count(facts.get('vocabulary'))}"
    data = run.encoder.get("pretrained_cfg") or {}
    shape = data.get("input_size") or [facts.get("channels"), facts.get("side")]
    return f"{words.counted(shape[0], 'channel')}, {words.count(shape[-1])} pixels a side"


def model_card(run: Gathered) -> str:
    """The card in Markdown, with the front matter that model hubs read."""
    encoder, measured = run.part("encoder"), run.part("measured")
    forward = encoder.get("flops_per_image")
    work = f", {words.operations(forward)} an image" if forward else ""
    out = [
        "---",
        f"library_name: {_library(run)}",
        f"pipeline_tag: {_task(run)}",
        "tags:",
        "- self-supervised",
        *([f"- {run.objective}"] if re.fullmatch(r"[\w.-]+", run.objective) else []),
        "---",
        "",
        f"# Encoder of {_plain(run.data_name)}" + (f", pretrained by {_plain(run.objective)}" if run.objective else ""),
        "",
        _plain(headline.verdict(run)),
        "",
        "## What it is",
        "",
        f"- Encoder: {_plain(encoder.get('name', 'unknown'))}, {words.count(encoder.get('dim'))} dimensions, "
        f"{words.count(encoder.get('parameters'))} parameters{work}",
        f"- Input: {_input(run)}",
        f"- Written by Foretell {__version__}; the whole recipe is `recipe.toml` beside this card",
        "",
        "## Data",
        "",
        *[f"- {_plain(name)}: {_plain(value)}" for name, value, _ in (about.data(run) or {"facts": []})["facts"]],
        "",
    ]
    hides = about.objective_words(run)
    if hides:
        out += [f"Hidden while pretraining: {_plain(hides.get('hides', ''))}.", ""]
    found = efficiency(run)
    if found or key_figures(run):
        out += ["## What it is worth", ""]
        out += [
            f"- {_plain(f.title)}: {_plain(f.value)}" + (f" ({_plain(f.note)})" if f.note else "")
            for f in key_figures(run)
        ]
        out.append("")
    if found:
        beside = f"; {_plain(found['commonest'])}" if found["commonest"] else ""
        out += [f"Test {found['metric']}, mean over seeds and 95% interval{beside}.", "", _table(found["table"]), ""]
        out += [_plain(found["sentence"]), ""]
    probed = probe(run)
    if probed:
        out += [_plain(by_other_labels(run)), ""] if by_other_labels(run) else []
        out += [_table(probed), ""]
    spent = about.cost(run)
    if spent:
        out += ["## Cost", "", _table(spent["table"]), ""]
    health = about.health(run)
    out += ["## Training", ""]
    steps = analysis.steps_phrase(run)
    out += [f"- steps: {steps}"] if steps else []
    chosen = about.chosen_by(run)
    out += [f"- {_plain(chosen)}"] if chosen and chosen not in about.method(run) else []
    out += [
        f"- {_plain(name.replace('_', ' '))}: {words.number(value) if words.known(value) else _plain(value)}"
        for name, value in measured.items()
        if value is not None and name != "steps"
    ]
    if health and health["verdict"]:
        out.append(f"- Health of the embeddings: {_plain(health['verdict'])}")
    out += ["", *[_plain(line) + "\n" for line in about.method(run)]]
    out += [
        "## Intended use and limits",
        "",
        _limits(run),
        "",
    ]
    code = snippet(run)
    out += ["## How to use it", "", "```python", code, "```", ""] if code else []
    absent = about.missing(run)
    if absent:
        out += [
            "## Not measured",
            "",
            *[f"- {_plain(part)}: `{command}` would add it." for part, command in absent],
            "",
        ]
    return "\n".join(out)
