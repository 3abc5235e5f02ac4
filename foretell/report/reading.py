"""The report's sections on text: what was hidden in whole passages and what was foretold, beside guesses without a network.

Each is a function from the gathered run to what its piece of the template shows, or None when it is missing.
"""

from __future__ import annotations

import math
from typing import Any

from foretell.report import charts, words
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell, Figure, Table
from foretell.report.told import BASELINES, causal, guesses_beside, perplexity


def figures(run: Gathered) -> list[Figure]:
    """The page's key numbers for a run on text."""
    text, out = run.results.get("text", {}), []
    found, pairs = text.get("words") or {}, text.get("sentences") or {}
    if words.known(found.get("right")):
        guess = found.get("guess") or {}
        title = "Next tokens foretold" if causal(run) else "Hidden words foretold"
        note = f"{words.percent(guess.get('right'))} by the most frequent word alone"
        out.append(Figure(words.percent(found["right"]), title, note, "pretrained"))
        note = f"{perplexity(guess.get('perplexity'))} by word counts alone; lower is better"
        out.append(Figure(perplexity(found.get("perplexity")), "Perplexity", note, "pretrained"))
    if words.known(pairs.get("right")):
        note = ", ".join(f"{words.percent(share)} by {name}" for name, share in guesses_beside(pairs))
        out.append(Figure(words.percent(pairs["right"]), "Pairs told apart", note, "pretrained"))
    return out


def tokens_seen(run: Gathered) -> float | None:
    """Tokens of text, padding left out, that were learnt from; for word vectors words, ends of sentences left out."""
    filled = run.part("data").get("filled")
    numbers: list[Any] = [run.part("cost").get("samples")]
    if run.kind == "text":
        numbers += [(run.recipe.get("objective") or {}).get("length"), filled]
    elif filled is not None:
        numbers.append(filled)
    return math.prod(numbers) if all(map(words.known, numbers)) else None


def scores(run: Gathered) -> list[Json]:
    """Small charts of what is foretold beside its baselines."""
    text = run.results.get("text", {})
    found, pairs = text.get("words") or {}, text.get("sentences") or {}
    out = []
    if words.known(found.get("perplexity")):
        guess = found.get("guess") or {}
        bars = [("this model", found["perplexity"]), ("word counts alone", guess.get("perplexity"))]
        out.append(_bars("perplexity", "Perplexity", "lower is better", bars, perplexity))
        bars = [("this model", found.get("right")), ("the most frequent word", guess.get("right"))]
        what = "Next tokens foretold rightly" if causal(run) else "Hidden words foretold rightly"
        out.append(_bars("right-words", what, "", bars, words.percent))
    if words.known(pairs.get("right")):
        guesses = [(BASELINES.get(name, name), value) for name, value in (pairs.get("guesses") or {}).items()]
        bars = [("this model", pairs["right"]), *sorted(guesses, key=lambda one: -one[1])]
        out.append(_bars("right-pairs", "Whether a text follows", "share told rightly", bars, words.percent))
    return out


def measured_on(run: Gathered) -> str:
    count = run.results.get("text", {}).get("documents")
    return f"On {words.counted(count, 'document')} that it has not learnt from." if words.known(count) else ""


def _bars(name: str, title: str, note: str, bars: list[tuple[str, float | None]], shown: words.Format) -> Json:
    known = [(label, value) for label, value in bars if value is not None and words.known(value)]
    return {"title": title, "note": note, "chart": charts.beside(name, title, known, shown)}


def passages(run: Gathered) -> Json | None:
    """Passages with hidden words, or with the chance that each token had."""
    reading = run.results.get("reading", {})
    kept = reading.get("masked") or reading.get("surprise")
    if not kept:
        return None
    return {
        "kind": "masked" if reading.get("masked") else "surprise",
        "held_out": bool(reading.get("held_out")),
        "passages": [[_piece(piece) for piece in passage] for passage in kept],
    }


def _piece(piece: Json) -> Json:
    text = str(piece.get("text", ""))
    share = float(piece.get("share") or 0.0)
    guesses = [(str(word), float(chance)) for word, chance in piece.get("guesses") or []]
    bare = text.lstrip()
    return {
        "before": text[: len(text) - len(bare)],
        "text": bare.rstrip() or bare,
        "after": bare[len(bare.rstrip()) :] if bare.strip() else "",
        "guesses": guesses,
        "right": bool(piece.get("right")),
        "share": share,
        "strength": round(share**0.5, 3),
        "told": ", ".join(f"{word} {words.percent(chance, 0)}" for word, chance in guesses),
    }


def pairs(run: Gathered) -> list[Json]:
    """Pairs of texts with the probability that the second follows."""
    return [
        {
            "first": str(pair.get("first", "")),
            "second": str(pair.get("second", "")),
            "follows": bool(pair.get("follows")),
            "share": float(pair.get("share") or 0.0),
            "right": bool(pair.get("follows")) == (float(pair.get("share") or 0.0) >= 0.5),
        }
        for pair in run.results.get("reading", {}).get("pairs") or []
    ]


def written(run: Gathered) -> list[tuple[str, str]]:
    """Prompts and what was written on, where the model is a decoder."""
    if not causal(run):
        return []
    return [(str(given), str(found)) for given, found in run.results.get("completions", {}).get("examples") or []]


def growth(run: Gathered) -> Json | None:
    """What the model made of one text as it learnt, the last at each step."""
    by_step = {line["step"]: line for line in run.samples if words.known(line.get("step"))}
    if len(by_step) < 2:
        return None
    lines = [by_step[step] for step in sorted(by_step)]
    rows = [(words.count(line["step"]), str(line.get("foretold", ""))) for line in lines]
    return {"given": str(lines[-1].get("given", "")), "rows": rows}


# words ---------------------------------------------------------------------------------------------------------------


def words_figures(run: Gathered) -> list[Figure]:
    found, out = run.results.get("words", {}), []
    alike = found.get("similarity") or {}
    if alike:
        bounds = alike["spearman"]
        note = f"{words.number(bounds.get('low'), 2)} to {words.number(bounds.get('high'), 2)}; {alike.get('file')}"
        out.append(Figure(words.number(bounds.get("mean"), 2), "Rank correlation", note, "pretrained"))
    answered = (found.get("analogies") or {}).get("total") or {}
    if answered:
        right = answered["accuracy"].get("mean")
        note = f"of {words.counted(answered.get('known'), 'question')}"
        out.append(Figure("none" if right == 0 else words.percent(right), "Analogies", note, "pretrained"))
    if words.known(found.get("held_out_loss")):
        note = f"nats a prediction; {words.number(found.get('chance'))} untrained"
        out.append(Figure(words.number(found["held_out_loss"]), "Held-out loss", note, "pretrained"))
    vocabulary = run.part("data").get("vocabulary")
    if words.known(vocabulary):
        out.append(
            Figure(
                words.count(vocabulary),
                "Words with a vector",
                f"of {words.count(run.part('encoder').get('dim'))} numbers",
            )
        )
    return out


def near_words(run: Gathered) -> Table | None:
    """Frequent words and what lies nearest to them."""
    rows: list[list[Cell | str]] = [
        [
            Cell(str(one.get("word"))),
            Cell(", ".join(f"{word} {words.number(alike, 2)}" for word, alike in one.get("neighbours") or [])),
        ]
        for one in run.results.get("words", {}).get("neighbours") or []
    ]
    return Table(["Word", "Nearest words and their cosine"], rows, words=2) if rows else None


def analogies(run: Gathered) -> Json | None:
    """A row a section, and the caption of the table, which speaks of intervals where there are some."""
    found = run.results.get("words", {}).get("analogies") or {}
    if not found:
        return None
    rows: list[list[Cell | str]] = []
    for section in [*found.get("sections", []), *found.get("kinds", []), found.get("total") or {}]:
        value = section.get("accuracy") or {}
        bounds = words.interval(value.get("low"), value.get("high")) if section.get("known") else ""
        rows.append(
            [
                Cell(str(section.get("name"))),
                Cell(words.percent(value.get("mean")), bounds),
                words.count(section.get("known")),
                words.count(section.get("questions")),
            ]
        )
    bounded = any(isinstance(row[1], Cell) and row[1].sub for row in rows)
    caption = "Share of right answers" + (", with its 95% interval" if bounded else "")
    return {"table": Table(["Section", "Right", "Asked", "Questions"], rows), "caption": caption}


def word_map(run: Gathered) -> Json | None:
    """The map of frequent words, written where there is room."""
    result = run.results.get("map", {})
    chart = charts.word_map(result)
    if chart is None:
        return None
    return {"chart": chart, "method": str(result.get("method", "")), "trust": result.get("trustworthiness")}
