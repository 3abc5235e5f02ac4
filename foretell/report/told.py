"""What the results of a run on text say, in sentences."""

from __future__ import annotations

from foretell.report import words
from foretell.report.gather import Gathered, Json

BASELINES = {"base": "the more frequent answer", "topic": "topics alone", "length": "lengths alone"}


def causal(run: Gathered) -> bool:
    """Whether the model foretells what comes next."""
    return bool(run.results.get("reading", {}).get("surprise"))


def best_guess(pairs: Json) -> tuple[str, float | None]:
    """The best of the guesses without a network about pairs, in words, and its share of right answers."""
    guesses = {name: value for name, value in (pairs.get("guesses") or {}).items() if words.known(value)}
    if not guesses:
        return "a guess", None
    best = max(guesses, key=lambda name: guesses[name])
    return BASELINES.get(best, best), guesses[best]


def guesses_beside(pairs: Json) -> list[tuple[str, float | None]]:
    """The best guess of ``best_guess``, then the more frequent answer where that is another one and known."""
    best = best_guess(pairs)
    base = (pairs.get("guesses") or {}).get("base")
    return [best, (BASELINES["base"], base)] if words.known(base) and best[0] != BASELINES["base"] else [best]


def sentence(run: Gathered) -> str:
    """What is foretold of documents held out, beside guesses that need no network; "" where nothing was measured."""
    text = run.results.get("text", {})
    told = []
    found = text.get("words") or {}
    if words.known(found.get("right")):
        guess = found.get("guess") or {}
        what = "of the next tokens" if causal(run) else "of the hidden words"
        told.append(
            f"In {words.counted(text.get('documents'), 'document')} that it has not learnt from it foretells "
            f"{words.percent(found['right'])} {what}, where the most frequent one is right in {words.percent(guess.get('right'))}"
            f"{_no_better(found['right'], guess.get('right'))}; it is as unsure as among {perplexity(found.get('perplexity'))} "
            f"equally likely ones, word counts alone as among {perplexity(guess.get('perplexity'))}."
        )
    pairs = text.get("sentences") or {}
    if words.known(pairs.get("right")):
        beside = [
            f"{name} {'tell' if name.endswith('alone') else 'tells'} it in {words.percent(share)}"
            for name, share in guesses_beside(pairs)
        ]
        told.append(
            f"Whether a text follows another it tells rightly in {words.percent(pairs['right'])} of the pairs; "
            f"{words.listed(beside)}{_no_better(pairs['right'], best_guess(pairs)[1])}."
        )
    return " ".join(told)


def _no_better(right: float, guessed: float | None) -> str:
    return ": no better than that guess" if guessed is not None and words.known(guessed) and right <= guessed else ""


def perplexity(value: float | None) -> str:
    """A perplexity with as many decimals as every other one below a thousand."""
    return f"{value:,.1f}" if value is not None and words.known(value) and value < 1000 else words.number(value)


def words_sentence(run: Gathered) -> str:
    """What the vectors of words are worth, as far as it was measured."""
    found = run.results.get("words", {})
    told = []
    if words.known(found.get("held_out_loss")):
        told.append(
            f"On documents that it has not learnt from a prediction costs {words.number(found['held_out_loss'])} nats, "
            f"{words.number(found.get('chance'))} untrained."
        )
    alike = found.get("similarity") or {}
    if alike:
        told.append(
            f"Its similarities agree with people's by a rank correlation of {words.number(alike['spearman'].get('mean'), 2)} "
            f"over {words.counted(alike.get('known'), 'pair')} of {alike.get('file')}."
        )
    answered = (found.get("analogies") or {}).get("total") or {}
    if answered:
        asked, right = words.counted(answered.get("known"), "analogy", "analogies"), answered["accuracy"].get("mean")
        share = "none" if right == 0 else words.percent(right)
        if answered.get("known"):
            told.append(f"Of {asked} it answers {share} rightly.")
    return " ".join(told)
