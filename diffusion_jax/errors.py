"""Mistakes that a user can make and mend, each explained in one line."""

import difflib
import math
import sys
from collections.abc import Callable, Iterable
from typing import TypeGuard


class UserError(ValueError):
    """Something the user asked for cannot be done; the message says what, where, and what would.

    Command-line programs print the message alone and exit with status 1; nothing else in the
    library is caught there, so a stack trace always means a fault of ours.
    """


def nearest(word: str, options: Iterable[str]) -> str:
    """Returns a hint at the option most like `word`, or an empty string if none is close.

    >>> nearest("cosin", ["cosine", "sigmoid"])
    " Did you mean 'cosine'?"
    """
    close = difflib.get_close_matches(str(word), list(options), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value in a line; long ones cut off.

    >>> shown("a" * 200)[-3:], shown(10**5000)
    ('aa…', 'a number of thousands of digits')
    """
    try:
        text = repr(value)
    except ValueError:  # which is what Python says of such numbers
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:100]}…"


def one_of(word: str, options: Iterable[str], what: str) -> str:
    """Returns `word` if it is among `options`, else raises UserError naming them all."""
    names = sorted(options)
    if word in names:
        return word
    listed = ", ".join(names) or "none"
    raise UserError(f"Unknown {what} {word!r}.{nearest(word, names)} Known: {listed}.")


def positive(part: object, *names: str) -> None:
    """Raises UserError unless the settings `names` of `part` are positive and finite.

    Like its neighbours below, for `__post_init__`: it judges the numbers that people write and
    lets arrays and tracers pass.
    """
    _require(part, names, lambda value: value > 0 and is_finite(value), "positive and finite")


def finite(part: object, *names: str) -> None:
    """Raises UserError unless the settings `names` of `part` are finite."""
    _require(part, names, is_finite, "finite")


def within(part: object, low: float, high: float, *names: str) -> None:
    """Raises UserError unless the settings `names` of `part` lie in [low, high]."""
    bounds = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
    _require(part, names, lambda value: low <= value <= high, bounds)


def ordered(part: object, low: str, high: str, equal: bool = False) -> None:
    """Raises UserError unless setting `low` of `part` is less than setting `high`, or `equal`."""
    smaller, larger = getattr(part, low), getattr(part, high)
    if not (_is_number(smaller) and _is_number(larger)):
        return
    if not (smaller < larger or (equal and smaller == larger)):
        rule = "at most" if equal else "less than"
        raise UserError(f"{type(part).__name__}: {low}={smaller} must be {rule} {high}={larger}.")


def _require(part: object, names: Iterable[str], holds: Callable[[float], bool], what: str) -> None:
    for name in names:
        value = getattr(part, name)
        if _is_number(value) and not holds(value):
            raise UserError(f"{type(part).__name__}: {name} must be {what}, not {value}.")


def is_finite(value: float) -> bool:
    """Whether a number is one that a float can hold, as integers may not be.

    >>> is_finite(3), is_finite(float("nan")), is_finite(10**400)
    (True, False, False)
    """
    return abs(value) <= sys.float_info.max


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float))
