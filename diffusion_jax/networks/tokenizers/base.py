"""What a text encoder knows of a tokenizer."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from diffusion_jax.errors import UserError, shown
from diffusion_jax.registry import Registry

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

PADDING = 0


@runtime_checkable
class Tokenizer(Protocol):
    """Captions as integers: 0 is padding, and a caption without words is padding only.

    It is immutable and hashable, since it is a field of the text encoder. What it has learnt from
    captions is its state, plain data that is saved with a run.
    """

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding included; 1 before it has learnt any."""
        ...

    def fit(self, captions: Iterable[str]) -> "Tokenizer":
        """The tokenizer that can encode all the captions."""
        ...

    def encode(self, caption: str) -> Int32[np.ndarray, " tokens"]:
        """The ids of a caption, then padding up to the length of all; more are cut off.

        Raises:
            UserError: the caption has words that it does not know, or too many of them.
        """
        ...

    def beyond(self, caption: str) -> str:
        """What is cut off of a caption that is too long; "" if nothing is."""
        ...

    def state(self) -> dict[str, Any]:
        """What it has learnt, as plain data for JSON."""
        ...

    def restored(self, state: Any) -> "Tokenizer":
        """The tokenizer that has learnt what `state` says.

        Raises:
            UserError: it is no state of such a tokenizer.
        """
        ...


tokenizers: Registry[Tokenizer] = Registry("tokenizer", Tokenizer)


def padded(ids: list[int], length: int) -> Int32[np.ndarray, " tokens"]:
    """The first ids, then padding.

    >>> padded([3, 1], 3), padded([3, 1, 2], 2)
    (array([3, 1, 0], dtype=int32), array([3, 1], dtype=int32))
    """
    found = np.full(length, PADDING, np.int32)
    found[: len(ids)] = ids[:length]
    return found


def text_beyond(tokenizer: "Library", caption: str, length: int) -> str:
    """The part of a caption whose tokens come after so many; "" if there are no more."""
    offsets = tokenizer.encode(caption, add_special_tokens=False).offsets
    return caption[offsets[length][0] :] if len(offsets) > length else ""


def saved_model(state: Any) -> dict[str, Any]:
    """The fields of a tokenizer of the `tokenizers` library, from what was saved of it.

    Raises:
        UserError: it is something else.
    """
    try:
        return {"model": str(state["model"]), "max_tokens": int(state["max_tokens"])}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"This is not a saved tokenizer: {shown(state)}.") from None
