"""``foretell generate``: a text written on from a prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from foretell.options import Arg, Where


def generate(
    run: Annotated[Where, Arg("the run folder of a gpt, or a folder with a GPT-2 checkpoint")],
    prompt: Annotated[str, Arg("what the text begins with", "PROMPT")],
    *,
    most: Annotated[int, Arg("tokens that are written at most")] = 100,
    temperature: Annotated[
        float, Arg("below 1 more likely words, above 1 more surprising ones, 0 the likeliest")
    ] = 0.8,
    top_k: Annotated[int, Arg("draw from the so many likeliest tokens; 0: from all")] = 50,
    top_p: Annotated[float, Arg("draw from the fewest tokens that have this probability together")] = 1.0,
    stop: Annotated[str | None, Arg("end where this text comes up", "TEXT")] = None,
    seed: Annotated[int, Arg("another seed, another text")] = 0,
) -> str:
    """Write on from a prompt, word by word.

    It ends at the end of a document as the model foretells it, at --stop, after --most tokens, or where the model has no
    further position, which is said.

    Returns the whole text. Raises InputError for a model that cannot write on, an empty prompt or one that is too long,
    and settings out of range.
    """
    from foretell.encoders.generation import Sampling, check_prompt
    from foretell.encoders.generation import generate as written
    from foretell.errors import InputError
    from foretell.verbs.text_run import read_text

    if most < 1:
        raise InputError(f"--most {most}: expected 1 or more tokens")
    sampling = Sampling(temperature, top_k, top_p)
    read = read_text(Path(run))
    if not read.model.shape.causal:
        raise InputError(f"{run}: fills gaps and cannot write on: see foretell fill, or train one with --objective gpt")
    end = read.specials.get("end")
    given = read.tokenizer.encode(prompt, add_special_tokens=False).ids
    if not prompt.strip() or not given:
        raise InputError("PROMPT is empty; give at least one word")
    before = [end] if end is not None else []
    check_prompt(read.model, [*before, *given])
    banned = [number for role, number in read.specials.items() if role in ("pad", "unk") and number != end]
    ids: list[int] = []
    ended = False  # for want of positions
    read.tell_unknown(prompt)
    told = text = read.tokenizer.decode(given).strip()
    _tell(told)
    begun = len(told)
    for token in written(read.model, [*before, *given], most, sampling, seed=seed, banned=banned):
        if token == end:
            break
        ids.append(token)
        text = read.tokenizer.decode([*given, *ids]).strip()
        if stop and stop in text[begun:]:
            text = text[: text.index(stop, begun)]
            break
        # a letter of several bytes may be half there, and a stop half written
        whole = text.rstrip("\ufffd")
        safe = len(whole) - (len(stop) - 1 if stop else 0)
        if safe > len(told) and whole.startswith(told):
            _tell(whole[len(told) : safe])
            told = whole[:safe]
    else:
        ended = len(ids) < most
    _tell(text[len(told) :] + "\n")
    if ended:
        positions = read.model.shape.positions
        line = (
            f"the text ends after {len(ids)} of {most} tokens: the model has {positions} positions, and no further one"
        )
        print(line, file=sys.stderr, flush=True)
    return text


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
