"""Fields that take several values, as a command line writes them: `--config.FIELD=a,b(c=1, d=2)`.

Commas within brackets and quotes belong to the value they stand in. Python's own form, such as
`('a', 'b')`, says the same; so does the flag given several times.
"""

import ast
import re
from collections.abc import Collection, Iterator, Sequence

FLAG = re.compile(r"--?config\.([^=]*)(?:=(.*))?", re.DOTALL)
OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


def joined(words: Sequence[str], fields: Collection[str]) -> list[str]:
    """A command line with the values of each such field in one word, as Python writes a tuple.

    Args:
        words: the command line.
        fields: full names of those that take several values.

    >>> joined(["--config.sampling.solvers=ddim,heun"], ["sampling.solvers"])
    ["--config.sampling.solvers=('ddim', 'heun')"]
    """
    rest: list[str] = []
    found: dict[str, tuple[object, ...]] = {}
    left = iter(words)
    for word in left:
        match = FLAG.fullmatch(word)
        if match is None or match[1] not in fields:
            rest.append(word)
            continue
        text = match[2] if match[2] is not None else next(left, None)
        if text is None:  # the flag is the last word, which its parser refuses
            rest.append(word)
        else:
            found[match[1]] = (*found.get(match[1], ()), *values(text))
    return [*rest, *(f"--config.{field}={items!r}" for field, items in found.items())]


def values(text: str) -> tuple[object, ...]:
    """The values that a word names.

    >>> values("dpmpp_2m(order=2),heun"), values("4, 8"), values("('ddim',)"), values("")
    (('dpmpp_2m(order=2)', 'heun'), (4, 8), ('ddim',), ())
    """
    whole = _literal(text)
    if isinstance(whole, (tuple, list)):
        return tuple(whole)
    items = [item.strip() for item in _items(text.strip())]
    if items and not items[-1]:  # what follows a last comma
        items.pop()
    return tuple(map(_literal, items))


def _literal(text: str) -> object:
    """A number, a quoted word or a tuple of them; any other text as it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def _items(text: str, bare: bool = False) -> Iterator[str]:
    """The parts between commas that stand within nothing, nor, unless `bare`, within one pair."""
    cuts, depth, quote, enclosed = [-1], 0, "", not bare and text[:1] in ("(", "[")
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES:
            quote = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING:
            depth -= 1
            enclosed = enclosed and (depth > 0 or place == len(text) - 1)
        elif letter == "," and depth == 0:
            cuts.append(place)
            enclosed = False
    if enclosed and depth == 0:
        yield from _items(text[1:-1], bare=True)
    else:
        yield from (text[a + 1 : b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True))
