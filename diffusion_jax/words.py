"""The words of a text."""

import functools
import itertools
import re
import unicodedata

from diffusion_jax.errors import UserError


def split_words(caption: str) -> list[str]:
    """The words of a caption in lower case, punctuation dropped.

    A word is of letters, digits and underscores, each with the marks that combine with it (the
    vowel signs of Hindi, accents), and may hold an apostrophe, a hyphen or an invisible joiner.
    Encodings of the same letters are one (Unicode's normal form C).

    >>> split_words("A dog's life, in black-and-white.")
    ['a', "dog's", 'life', 'in', 'black-and-white']
    """
    return _word().findall(normal(caption))


def normal(text: str) -> str:
    """A text in lower case and in Unicode's normal form C, in which equal letters are equal.

    >>> normal("E\u0301TE\u0301") == "été"
    True
    """
    if not isinstance(text, str):
        raise UserError(f"a text must be a string, not {text!r}.")
    # Lower case can undo the normal form.
    composed = unicodedata.normalize("NFC", text)
    return unicodedata.normalize("NFC", composed.lower())


@functools.cache
def _word() -> re.Pattern[str]:
    # Marks are not of `\w` in Python, so the class of them is put together here.
    letter = rf"\w[\w{_marks()}]*"
    return re.compile(rf"{letter}(?:(?:['’-]|[\u200c\u200d]+){letter})*")


def _marks() -> str:
    """All combining marks, as the inside of a character class."""
    codes = itertools.chain(range(0x20000), range(0xE0000, 0xE0200))  # no other planes have any
    marks = (code for code in codes if unicodedata.category(chr(code))[0] == "M")
    # Those of a run share the difference to their position.
    runs = itertools.groupby(enumerate(marks), lambda pair: pair[1] - pair[0])
    ends = ([code for _, code in run] for _, run in runs)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ends)
