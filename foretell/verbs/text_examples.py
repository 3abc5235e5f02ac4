"""What a trained text model makes of text it has not learnt from, to look at."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer

from foretell.counters import seed_of
from foretell.data.text.tokenizer import unused_ids
from foretell.data.text.tokens import TokenStore
from foretell.encoders.generation import Sampling, generate
from foretell.encoders.language import LanguageModel

WIDTH, PROMPT, WRITTEN = 24, 6, 24  # tokens of a gap's text; of a prompt; written after it


def beginnings(store: TokenStore, tokens: int, most: int, rng: np.random.Generator) -> list[list[int]]:
    """At most ``most`` stretches of ``tokens`` tokens, each from the beginning of a sentence of another document.

    Documents that are shorter are passed over, unless all are: then the longest are taken as they are.
    """
    start, end = store.token_spans()
    first, last = store.sentence_spans()
    least = min(tokens, int((end - start).max(initial=0)))
    rows = rng.permutation(np.flatnonzero(end - start >= least))[:most]
    made = []
    for row in rows.tolist():
        ends = store.sentence_ends[first[row] : last[row]]
        starts = np.concatenate([[start[row]], ends[:-1]])
        starts = starts[starts <= end[row] - least]
        at = int(rng.choice(starts))
        made.append(store.ids[at : min(end[row], at + tokens)].astype(int).tolist())
    return made


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """The text of each token, so that all together are the text of ``ids``; half a character counts with its end."""
    found, done = [], ""
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:end], skip_special_tokens=False)
        whole = not text.endswith("\ufffd")
        if text.startswith(done):
            found.append(text[len(done) :] if whole else "")
        else:  # what stands before was joined to it
            found.append(f" {tokenizer.decode([ids[end - 1]], skip_special_tokens=False)}")
        done = text if whole else done
    return found


def completions(model: LanguageModel, store: TokenStore, seed: int, most: int) -> list[tuple[str, str]]:
    """(text with a gap or prompt, what the model puts there) for at most ``most`` documents of ``store``."""
    rng = np.random.default_rng(seed_of("completions", seed))
    width = min(WIDTH, model.shape.positions - 2)  # with [CLS] and [SEP]
    was = model.training
    model.eval()
    made = [
        _written(model, store, ids[:PROMPT], seed + number) if model.shape.causal else _filled(model, store, ids, rng)
        for number, ids in enumerate(beginnings(store, width, most, rng))
        if len(ids) > 1
    ]
    model.train(was)
    return made


def _filled(model: LanguageModel, store: TokenStore, ids: list[int], rng: np.random.Generator) -> tuple[str, str]:
    place = int(rng.integers(len(ids) // 4, max(1, 3 * len(ids) // 4)))
    tokenizer, mask = store.tokenizer, store.specials["mask"]
    given = [store.specials["cls"], *ids[:place], mask, *ids[place + 1 :], store.specials["sep"]]
    with torch.no_grad():
        device = next(model.parameters()).device
        states = model.net(torch.tensor([given], device=device))[0, place + 1]
        logits = model.logits(states).float()
    logits[[*store.specials.values(), *unused_ids(tokenizer, len(logits))]] = float("-inf")
    best = logits.softmax(0).topk(3)
    texts = pieces(tokenizer, ids)
    before = " " if texts[place].startswith(" ") else ""
    text = "".join([*texts[:place], f"{before}{tokenizer.id_to_token(mask)}", *texts[place + 1 :]])
    guesses = [
        f"{tokenizer.decode([token]).strip()} {share:.1%}"
        for token, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    return text.strip(), f"{', '.join(guesses)} (it was: {tokenizer.decode([ids[place]]).strip()})"


def _written(model: LanguageModel, store: TokenStore, ids: list[int], seed: int) -> tuple[str, str]:
    end = store.specials["end"]
    found = []
    banned = unused_ids(store.tokenizer, model.shape.vocabulary)
    for token in generate(model, [end, *ids], WRITTEN, Sampling(0.8, top_k=50), seed=seed, banned=banned):
        if token == end:
            break
        found.append(token)
    prompt = store.tokenizer.decode(ids).strip()
    return prompt, store.tokenizer.decode([*ids, *found]).strip()[len(prompt) :].strip()
