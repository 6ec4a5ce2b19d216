"""Captions that a mirrored picture would no longer fit."""

import re
from collections.abc import Iterable

# In English.
SIDE = re.compile(r"(left|right)(most|wards?|hand|handed|side|facing)?|(anti|counter)?clockwise")
WITHIN = re.compile(r"['’_-]")  # what joins the parts of a word, such as "left-hand"


def sided(words: Iterable[str]) -> list[str]:
    """Those of some words that tell left from right.

    >>> sided(["a", "left-hand", "bright", "Leftmost", "counter-clockwise"])
    ['left-hand', 'Leftmost', 'counter-clockwise']
    """
    return [word for word in words if any(map(SIDE.fullmatch, WITHIN.split(word.lower())))]
