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
    stop: Annotated[str | None, Arg("end where this text is written; the prompt may hold it", "TEXT")] = None,
    seed: Annotated[int, Arg("another seed, another text")] = 0,
) -> str:
    """Write on from a prompt, word by word.

    It ends at the end of a document as the model foretells it, at --stop, after --most tokens, or where the model has no
    further position, which is said.

    Returns the whole text. Raises InputError for a model that cannot write on or has lost its output layer, an empty
    prompt or one that is too long, and settings out of range.
    """
    from foretell.data.text.tokenizer import unused_ids
    from foretell.encoders.generation import Sampling, check_prompt
    from foretell.encoders.generation import generate as drawn
    from foretell.encoders.public import check_output_layer
    from foretell.errors import InputError
    from foretell.verbs.text_run import read_text

    if most < 1:
        raise InputError(f"--most {most}: expected 1 or more tokens")
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed {seed}: expected a whole number from 0 to 2**63 - 1")
    sampling = Sampling(temperature, top_k, top_p)
    read = read_text(Path(run))
    if not read.model.shape.causal:
        raise InputError(f"{run}: fills gaps and cannot write on: see foretell fill, or train one with --objective gpt")
    check_output_layer(read.folder)
    end = read.specials.get("end")
    given = read.tokenizer.encode(prompt, add_special_tokens=False).ids
    if not prompt.strip() or not given:
        raise InputError("PROMPT is empty; give at least one word")
    before = [end] if end is not None else []
    check_prompt(read.model, [*before, *given])
    banned = [number for role, number in read.specials.items() if role in ("pad", "unk") and number != end]
    banned += unused_ids(read.tokenizer, read.model.shape.vocabulary)
    ids: list[int] = []
    ended = False  # for want of positions
    read.tell_unknown(prompt)
    begun = read.tokenizer.decode(given).lstrip()
    told = text = begun.rstrip()
    _tell(told)
    for token in drawn(read.model, [*before, *given], most, sampling, seed=seed, banned=banned):
        if token == end:
            break
        ids.append(token)
        written = read.tokenizer.decode([*given, *ids]).lstrip()
        text = written.rstrip()
        place = written.find(stop, _after(begun, written)) if stop else -1
        if place >= 0:
            text = written[:place].rstrip()
            break
        # a letter of several bytes may be half there, and a stop half written
        whole = text.rstrip("\ufffd")
        safe = len(whole) - (len(stop) - 1 if stop else 0)
        sure = whole[: max(safe, 0)].rstrip()
        if len(sure) > len(told) and sure.startswith(told):
            _tell(sure[len(told) :])
            told = sure
    else:
        ended = len(ids) < most
    text = told + text[len(told) :].rstrip("\ufffd").rstrip()  # a last letter of several bytes that was cut off
    _tell(text[len(told) :] + "\n")
    if ended:
        positions = read.model.shape.positions
        line = (
            f"the text ends after {len(ids)} of {most} tokens: the model has {positions} positions, and no further one"
        )
        print(line, file=sys.stderr, flush=True)
    return text


def _after(begun: str, written: str) -> int:
    """Where in ``written`` what follows the prompt begins. ``begun``: the prompt, decoded by itself.

    Some decoders join the two in another way than each by itself: then white space does not count.
    """
    if written.startswith(begun):
        return len(begun)
    letters = [place for place, letter in enumerate(written) if not letter.isspace()]
    of_prompt = sum(not letter.isspace() for letter in begun)
    return letters[of_prompt] if of_prompt < len(letters) else len(written)


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
