"""What a person sees when something is wrong: one line that names the thing, what was expected and what to do."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator


class ForetellError(Exception):
    """A failure with a message written for a person (exit status 1)."""

    exit_status = 1


class InputError(ForetellError):
    """Wrong usage or wrong input: a file, row, key or value that is not as expected (exit status 2)."""

    exit_status = 2


class ForetellWarning(UserWarning):
    """Something a person should know although the work goes on."""


@contextlib.contextmanager
def of(where: object) -> Iterator[None]:
    """An ``InputError`` raised within names ``where`` it lies: a file, or another source."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def first_line(error: BaseException) -> str:
    """What an exception says, in one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


_BYTES = re.compile(r"""\bb'(?:[^'\\]|\\.)*'?|\bb"(?:[^"\\]|\\.)*"?""")
_LONG = re.compile(r"""'(?:[^'\\]|\\.){21,}'?|"(?:[^"\\]|\\.){21,}"?""")


def in_brief(error: BaseException, most: int = 120) -> str:
    """What a library's exception says of a damaged file, in one line of at most ``most`` letters; its kind where it says
    nothing. Bytes and long texts that it quotes are left out: they are the file's own, as a patient's name in a header is.

    >>> in_brief(ValueError("unknown header b'PN SMITH^JOHN' in file 3"))
    'unknown header ... in file 3'
    """
    text = _LONG.sub("...", _BYTES.sub("...", " ".join(str(error).split())))
    shown = "".join(letter for letter in text if letter.isprintable())
    return (shown if len(shown) <= most else f"{shown[: most - 3]}...") or type(error).__name__


def reason(error: BaseException, most: int = 160) -> str:
    """``first_line`` of another library's exception, cut between words beyond ``most`` letters.

    >>> reason(ValueError("expected 3 channels, not 1"), 21)
    'expected 3 channels ...'
    """
    line = first_line(error).strip() or type(error).__name__
    if len(line) <= most:
        return line
    return f"{line[: most + 1].rpartition(' ')[0].rstrip(' ,;:') or line[:most]} ..."


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An ``InputError`` for a name that is not in ``known``, with the nearest match and the choices.

    >>> str(unknown("objective", "simclar", ["simclr", "autoencoder"]))
    "unknown objective 'simclar'; did you mean 'simclr'? Known: autoencoder, simclr"
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    listing = ", ".join(choices[:40]) + (f" and {len(choices) - 40} more" if len(choices) > 40 else "")
    return InputError(f"unknown {kind} '{name}'{hint} Known: {listing}")
