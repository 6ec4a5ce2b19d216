"""Captions as integers for parts of words, learnt from how often they occur."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int32

from diffusion_jax.errors import UserError, within
from diffusion_jax.networks.tokenizers.base import (
    padded,
    saved_model,
    text_beyond,
    tokenizers,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

PAD = "<pad>"
MOST = 10**6  # captions to learn from


@tokenizers.register("byte_pairs")
@dataclasses.dataclass(frozen=True)
class BytePairs:
    """Pairs of neighbouring bytes that occur most often become tokens, again and again.

    Any text can be encoded, since every byte is a token.

    Source: Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units; on
    bytes as in Radford et al. 2019 (GPT-2), section 2.2. Computed by the `tokenizers` library.

    Attributes:
        size: tokens to learn at most, 256 bytes and padding included.
        model: what was learnt, as the text of a tokenizer.json; learnt from captions.
        max_tokens: length of every encoded caption; 0 learns that of the longest.

    >>> tokenizer = BytePairs(size=300).fit(["a red circle", "a blue circle"])
    >>> tokenizer.encode("a red circle").shape, bool(tokenizer.encode("").any())
    ((3,), False)
    """

    size: int = 8192
    model: str = ""
    max_tokens: int = 0

    def __post_init__(self) -> None:
        within(self, 257, float("inf"), "size")
        within(self, 0, float("inf"), "max_tokens")

    def fit(self, captions: Iterable[str]) -> "BytePairs":
        """Learns the pairs from captions, a million at most."""
        return _learnt(self.size, self.max_tokens, tuple(itertools.islice(captions, MOST)))

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding included."""
        return int(self._tokenizer.get_vocab_size()) if self.model else 1

    def encode(self, caption: str) -> Int32[np.ndarray, " tokens"]:
        """The ids of a caption's parts, then padding up to `max_tokens`; more are cut off.

        Raises:
            UserError: nothing has been learnt yet.
        """
        return padded(self._tokenizer.encode(caption).ids, self.max_tokens)

    def beyond(self, caption: str) -> str:
        """What is cut off of a caption."""
        return text_beyond(self._tokenizer, caption, self.max_tokens)

    @functools.cached_property
    def _tokenizer(self) -> "Library":
        if not self.model:
            raise UserError("This tokenizer has learnt nothing yet: fit it to captions first.")
        return opened(self.model)

    def state(self) -> dict[str, Any]:
        """What was learnt, for `restored`."""
        return {"model": self.model, "max_tokens": self.max_tokens}

    def restored(self, state: Any) -> "BytePairs":
        """Reads what `state` gave.

        Raises:
            UserError: it is something else.
        """
        return dataclasses.replace(self, **saved_model(state))


@functools.lru_cache(maxsize=8)
def _learnt(size: int, max_tokens: int, captions: tuple[str, ...]) -> BytePairs:
    """Kept, as every arm of a sweep asks for it again."""
    import tokenizers as library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = library.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD],  # takes the id 0
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    longest = max((len(each.ids) for each in tokenizer.encode_batch(list(captions))), default=0)
    return BytePairs(size, tokenizer.to_str(), max_tokens or longest)


def opened(model: str) -> "Library":
    """The tokenizer of the `tokenizers` library that the text of a tokenizer.json describes.

    Raises:
        UserError: it describes none.
    """
    import tokenizers as library

    try:
        return library.Tokenizer.from_str(model)
    except Exception as error:  # the library raises no narrower class
        raise UserError(f"This is not the text of a tokenizer.json: {error}.") from None
