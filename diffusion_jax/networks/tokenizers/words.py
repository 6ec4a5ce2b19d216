"""Captions as integers, a number for each word."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Int32

from diffusion_jax.errors import UserError, nearest, shown
from diffusion_jax.networks.tokenizers.base import PADDING, tokenizers
from diffusion_jax.words import split_words


@tokenizers.register("words")
@dataclasses.dataclass(frozen=True)
class Words:
    """A vocabulary of words; word k of it has the id k + 1, and 0 is padding.

    A caption without words is padding only, which is how "no caption" is written.

    Attributes:
        words: the vocabulary, lower case; learnt from captions.
        max_tokens: length of every encoded caption; learnt as well.

    >>> tokenizer = Words().fit(["a red circle", "a blue circle"])
    >>> tokenizer.encode("a blue circle"), tokenizer.encode("")
    (array([1, 2, 3], dtype=int32), array([0, 0, 0], dtype=int32))
    """

    words: tuple[str, ...] = ()
    max_tokens: int = 0

    def fit(self, captions: Iterable[str]) -> "Words":
        """The smallest vocabulary that can encode all the captions."""
        return _smallest(tuple(captions))

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

    def beyond(self, caption: str) -> str:
        """Nothing: a caption that is too long is refused."""
        return ""

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

    def state(self) -> dict[str, Any]:
        """The vocabulary, for `restored`."""
        return {"words": list(self.words), "max_tokens": self.max_tokens}

    def restored(self, state: Any) -> "Words":
        """Reads what `state` gave.

        Raises:
            UserError: it is something else.
        """
        try:
            return Words(tuple(map(str, state["words"])), int(state["max_tokens"]))
        except (ValueError, KeyError, TypeError):
            raise UserError(f"This is not a saved tokenizer: {shown(state)}.") from None


@functools.lru_cache(maxsize=8)
def _smallest(captions: tuple[str, ...]) -> Words:
    """Kept, as every arm of a sweep asks for it again."""
    split = [split_words(caption) for caption in captions]
    words = sorted({word for caption in split for word in caption})
    return Words(tuple(words), max(map(len, split), default=0))
