"""Captions as integers, a number for each word."""

import dataclasses
import functools
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int32

from diffusion_jax.errors import UserError, nearest

PADDING = 0


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A vocabulary of words; word k of it has the id k + 1, and 0 is padding.

    A caption without words is padding only, which is how "no caption" is written.

    Attributes:
        words: the vocabulary, lower case.
        max_tokens: length of every encoded caption.

    >>> tokenizer = Tokenizer.of(["a red circle", "a blue circle"])
    >>> tokenizer.encode("a blue circle"), tokenizer.encode("")
    (array([1, 2, 3], dtype=int32), array([0, 0, 0], dtype=int32))
    """

    words: tuple[str, ...]
    max_tokens: int

    @staticmethod
    def of(captions: Iterable[str]) -> "Tokenizer":
        """The smallest tokenizer that can encode all the captions."""
        split = [split_words(caption) for caption in captions]
        words = sorted({word for caption in split for word in caption})
        return Tokenizer(tuple(words), max(map(len, split), default=0))

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding included."""
        return len(self.words) + 1

    def encode(self, caption: str) -> Int32[np.ndarray, " tokens"]:
        """The ids of a caption's words, then padding up to `max_tokens`.

        Raises:
            UserError: a word is not in the vocabulary, or there are too many words.
        """
        words = split_words(caption)
        if len(words) > self.max_tokens:
            raise UserError(
                f"The caption {caption!r} has {len(words)} words; "
                f"this model reads at most {self.max_tokens}."
            )
        ids = np.full(self.max_tokens, PADDING, np.int32)
        ids[: len(words)] = [self._id(word, caption) for word in words]
        return ids

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: k + 1 for k, word in enumerate(self.words)}

    def _id(self, word: str, caption: str) -> int:
        try:
            return self._ids[word]
        except KeyError:
            known = ", ".join(self.words[:40]) + (", …" if len(self.words) > 40 else "")
            raise UserError(
                f"Unknown word {word!r} in the caption {caption!r}."
                f"{nearest(word, self.words)} Known: {known}."
            ) from None

    def to_json(self) -> str:
        """The tokenizer as JSON, for `from_json`."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "Tokenizer":
        """Reads what `to_json` wrote.

        Raises:
            UserError: the text is something else.
        """
        try:
            fields = json.loads(text)
            return Tokenizer(tuple(map(str, fields["words"])), int(fields["max_tokens"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"This is not a saved tokenizer: {text[:60]!r}.") from None


def split_words(caption: str) -> list[str]:
    """The words of a caption in lower case, punctuation dropped.

    A word is of letters, digits and underscores, each with the marks that combine with it (the
    vowel signs of Hindi, accents), and may hold an apostrophe, a hyphen or an invisible joiner.
    Ways to write the same letters are one (Unicode's normal form C).

    >>> split_words("A dog's life, in black-and-white.")
    ['a', "dog's", 'life', 'in', 'black-and-white']
    """
    return _word().findall(normal(caption))


def normal(text: str) -> str:
    """A text in lower case and in Unicode's normal form C, in which equal letters are equal.

    >>> normal("E\u0301TE\u0301") == "été"
    True
    """
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
