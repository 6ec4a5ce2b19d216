"""A tokenizer that somebody released, from its files."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int32

from diffusion_jax.errors import UserError, within
from diffusion_jax.files import user_path
from diffusion_jax.networks.tokenizers.base import padded, saved_model, text_beyond, tokenizers
from diffusion_jax.networks.tokenizers.byte_pairs import opened
from diffusion_jax.networks.tokenizers.files import tokenizer_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library


@tokenizers.register("released")
@dataclasses.dataclass(frozen=True)
class Released:
    """The ids of a tokenizer.json, each one higher, so that 0 is padding and nothing else.

    What the file says of special tokens around a caption, of truncation and of padding is left
    out: a text encoder of ours brings its own start token.

    Attributes:
        path: of a tokenizer.json, or of a folder with any files that `files` reads; needed where a
            run begins, and what it holds is saved with it.
        max_tokens: length of every encoded caption; 0 learns the longest caption's.
        model: the text of a tokenizer.json, once it has been read.
    """

    path: str = ""
    max_tokens: int = 0
    model: str = ""

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "max_tokens")

    def fit(self, captions: Iterable[str]) -> "Released":
        """Reads the file, and the length of the longest caption unless one is given.

        Raises:
            UserError: there is no such file, or it is no tokenizer.json.
        """
        read = dataclasses.replace(self, model=self.model or _text(self.path))
        longest = max((len(read._ids(each)) for each in captions), default=0)
        return dataclasses.replace(read, max_tokens=self.max_tokens or longest)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding included."""
        return int(self._tokenizer.get_vocab_size()) + 1 if self.model else 1

    def encode(self, caption: str) -> Int32[np.ndarray, " tokens"]:
        """The ids of a caption's tokens plus 1, then padding up to `max_tokens`; more are cut."""
        return padded([each + 1 for each in self._ids(caption)], self.max_tokens)

    def beyond(self, caption: str) -> str:
        """What is cut off of a caption."""
        return text_beyond(self._tokenizer, caption, self.max_tokens)

    def _ids(self, caption: str) -> list[int]:
        return list(self._tokenizer.encode(caption, add_special_tokens=False).ids)

    @functools.cached_property
    def _tokenizer(self) -> "Library":
        tokenizer = opened(self.model or _text(self.path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def state(self) -> dict[str, Any]:
        """The text of the file and the length of captions, for `restored`."""
        return {"model": self.model, "max_tokens": self.max_tokens}

    def restored(self, state: Any) -> "Released":
        """Reads what `state` gave; the file is not needed any more.

        Raises:
            UserError: it is something else.
        """
        return dataclasses.replace(self, **saved_model(state))


def _text(path: str) -> str:
    if not path:
        raise UserError("tokenizer 'released' needs path, that of a tokenizer.json or its folder.")
    return tokenizer_text(user_path(path))
