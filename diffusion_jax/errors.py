"""Mistakes that a user can make and mend, told in one line."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user asked for cannot be done; the message says what, where, and what would.

    Command-line programs print the message alone and exit with status 1; nothing else in the
    library is caught there, so a stack trace always means a fault of ours.
    """


def nearest(word: str, options: Iterable[str]) -> str:
    """Returns a hint at the option most like `word`, or an empty string if none is close.

    >>> nearest("cosin", ["cosine", "sigmoid"])
    " Did you mean 'cosine'?"
    """
    close = difflib.get_close_matches(word, list(options), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def one_of(word: str, options: Iterable[str], what: str) -> str:
    """Returns `word` if it is among `options`, else raises UserError naming them all."""
    names = sorted(options)
    if word in names:
        return word
    listed = ", ".join(names) or "none"
    raise UserError(f"Unknown {what} {word!r}.{nearest(word, names)} Known: {listed}.")
