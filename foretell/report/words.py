"""Numbers as a person reads them. Every function answers a dash for None or a value that is not finite."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from foretell.measures.intervals import ALIKE, alike

MISSING = "–"
Format = Callable[[float], str]


def known(value: object) -> bool:
    """Whether ``value`` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits without an exponent where that stays readable: 0.0421, 4.21, 421, 1.2e-06."""
    if value is None or not known(value):
        return MISSING
    if value < 0:
        return f"−{number(-value, digits)}"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(value))
    if magnitude < -4:
        return f"{value:.{digits - 1}e}"
    if magnitude >= digits:
        return f"{value:,.0f}"
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def apart(values: Sequence[float]) -> Format:
    """How evenly spaced ``values`` are written with as many digits as tell them apart: 14.30, 14.35, 14.40."""
    ordered = sorted(set(values))
    steps = [after - before for before, after in pairwise(ordered) if after > before]
    if not steps:
        return number
    step = min(steps)
    last = math.floor(math.log10(step) + 1e-9)  # the power of ten of the last digit
    last -= abs(step / 10.0**last - round(step / 10.0**last)) > 1e-6  # as of a step of 0.25
    return lambda value: _to_digit(value, last)


def _to_digit(value: float, last: int) -> str:
    if value == 0:
        return "0"
    if value < 0:
        return f"−{_to_digit(-value, last)}"
    if last < -5:
        return f"{value:.{max(0, math.floor(math.log10(value) + 1e-9) - last)}e}"
    return f"{value:,.{max(0, -last)}f}"


def count(value: float | None) -> str:
    """Whole with thousands separated; above ten million in words: 9,716 or 12.4 million."""
    if value is None or not known(value):
        return MISSING
    for limit, word in ((1e12, "trillion"), (1e9, "billion"), (1e7, "million")):
        if abs(value) >= limit:
            return f"{value / (1e6 if word == 'million' else limit):.3g} {word}"
    return f"{value:,.0f}"


def rate(value: float | None) -> str:
    """So many a second, to three digits: 1,500,000, 1,480 or 4.21."""
    return count(float(f"{value:.3g}")) if value is not None and known(value) and value >= 100 else number(value)


def counted(value: float | None, one: str, many: str | None = None) -> str:
    """``counted(1, "label")`` is "1 label", ``counted(2, "label")`` is "2 labels"."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * value:.{digits}f}%" if value is not None and known(value) else MISSING


def whole_percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage without decimals."""
    return percent(value, 0)


def points(value: float | None, digits: int = 1) -> str:
    """A difference of shares in percentage points, signed with a true minus."""
    if value is None or not known(value):
        return MISSING
    return f"{100 * value:+.{digits}f}".replace("-", "−")


def begun(text: str) -> str:
    """``text`` as a sentence or a head begins, its other letters as they are: AUROC stays so."""
    return text[:1].upper() + text[1:]


def closed(text: str) -> str:
    """``text`` with the full stop that ends a sentence, which it may have already."""
    return text if text.endswith(".") else f"{text}."


def interval(low: float | None, high: float | None, *, signed: bool = False, share: bool = True) -> str:
    """The bounds of a share, "76.1 to 82.4", or of a value that is none (not ``share``), "0.332 to 0.335"; "no spread"
    where all seeds are alike, empty when there is no interval (one seed)."""
    if low is None or high is None or not known(low) or not known(high):
        return ""
    if alike(low, high):
        return ALIKE
    if not share:
        return f"{low:.3f} to {high:.3f}"
    if signed:
        return f"{points(low)} to {points(high)}"
    return f"{100 * low:.1f} to {100 * high:.1f}".replace("-", "−")


def group_interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """The bounds over groups of the test part, "groups 70.2 to 88.0"; empty when there are none, or all draws are alike."""
    bounds = interval(low, high, signed=signed)
    bounds = "" if bounds == ALIKE else bounds
    return f"groups {bounds}" if bounds else ""


def unbroken(bounds: str) -> str:
    """``bounds`` as ``interval`` and ``group_interval`` write them, which a line may break behind "groups" alone."""
    return re.sub(rf"{ALIKE}|\S+ to \S+", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), bounds)


def duration(seconds: float | None) -> str:
    """0.8 s, 42 s, 5 min 12 s, 2 h 05 min."""
    if seconds is None or not known(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def memory(size: float | None) -> str:
    """Bytes in decimal units."""
    return _scaled(size, ("B", "kB", "MB", "GB", "TB"))


def operations(flops: float | None, suffix: str = "FLOP") -> str:
    """Floating-point operations, or a rate of them with ``suffix="FLOP/s"``."""
    return _scaled(flops, tuple(prefix + suffix for prefix in ("", "k", "M", "G", "T", "P", "E")))


def _scaled(value: float | None, units: tuple[str, ...]) -> str:
    if value is None or not known(value):
        return MISSING
    power = 0
    while abs(value) >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {units[power]}"


def shorten(name: str, limit: int) -> str:
    """``name``, cut in the middle to ``limit`` characters so that both ends stay readable."""
    name = " ".join(name.split())
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 3
    return f"{name[: limit - 1 - tail]}…{name[-tail:] if tail else ''}"


def listed(items: list[str], limit: int = 12) -> str:
    """ "a, b and c"; beyond ``limit`` the rest is counted."""
    if len(items) > limit:
        return ", ".join(items[:limit]) + f" and {len(items) - limit} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]])) if items else ""
