"""What a text encoder knows of a tokenizer."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from diffusion_jax.errors import UserError, shown
from diffusion_jax.registry import Registry

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
        """The ids of a caption, then padding up to the length of all.

        Raises:
            UserError: the caption has words that it does not know, or too many.
        """
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


def padded(ids: list[int], length: int, caption: str) -> Int32[np.ndarray, " tokens"]:
    """The ids, then padding.

    Raises:
        UserError: there are more than `length` ids.
    """
    if len(ids) > length:
        raise UserError(
            f"The caption {caption!r} has {len(ids)} tokens; this model reads at most {length}."
        )
    found = np.full(length, PADDING, np.int32)
    found[: len(ids)] = ids
    return found


def saved_model(state: Any) -> dict[str, Any]:
    """The fields of a tokenizer of the `tokenizers` library, from what was saved of it.

    Raises:
        UserError: it is something else.
    """
    try:
        return {"model": str(state["model"]), "max_tokens": int(state["max_tokens"])}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"This is not a saved tokenizer: {shown(state)}.") from None
