"""What the rest of the library knows of a conditioner, and how several are used together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from diffusion_jax.errors import UserError
from diffusion_jax.registry import Registry
from diffusion_jax.struct import pytree

Condition = dict[str, Shaped[Array | np.ndarray, "batch ..."]]
"""Arrays by the keys that conditioners read, a row per sample; {} for none."""

Example = Mapping[str, Any]
"""An example of a data set, see `data.example`."""

Rows = dict[str, np.ndarray]
"""A condition on the host."""


@runtime_checkable
class Examples(Protocol):
    """What data sets train on, as far as conditioners know it."""

    def __getitem__(self, index: int, /) -> Example:
        """One example."""
        ...


@runtime_checkable
class Corpus(Protocol):
    """What a conditioner may learn of a data set."""

    @property
    def name(self) -> str:
        """In messages."""
        ...

    @property
    def train(self) -> "Examples":
        """Examples by index."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """What labels stand for."""
        ...

    @property
    def captions(self) -> Iterable[str]:
        """All captions, of training, test and prompts."""
        ...


@pytree
class Context:
    """An encoded condition, as backbones use it.

    Attributes:
        tokens: (batch, length, width) float, vectors for attention.
        mask: (batch, length) bool, false where a token is padding.
        pooled: (batch, features) float, the whole condition in one vector.
        channels: (batch, ..., channels) float, set beside those of x by `ScoreNetwork`; None for
            none.
        numbers: (batch, count) float, which networks embed themselves, such as the size of the
            original picture or a guidance scale; None for none.
    """

    tokens: Float[Array, "batch length width"]
    mask: Bool[Array, "batch length"]
    pooled: Float[Array, "batch features"]
    channels: Float[Array, "batch ..."] | None = None
    numbers: Float[Array, "batch count"] | None = None


class Conditioner(nn.Module):
    """Reads entries of the condition.

    On the device it is a flax module, `conditioner(condition, x) -> Context`. On the host it turns
    examples and prompts into those entries; what it has learnt of a data set for that (words,
    names of classes, shapes) is its state, which is saved with a run.
    """

    @property
    def answers(self) -> tuple[str, ...]:
        """What users can ask it for: "prompt", "class name", both or nothing."""
        return ()

    @property
    def mirrors(self) -> bool:
        """Whether its entries stay right where pictures are mirrored."""
        return True

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries that it reads."""
        raise NotImplementedError

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """The condition with its entries saying nothing, and all others as they are."""
        raise NotImplementedError

    @nn.nowrap
    def fit(self, data: Corpus) -> "Conditioner":
        """The conditioner that has learnt what it must know of a data set.

        Raises:
            UserError: the data set has not what it reads.
        """
        raise NotImplementedError

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """What it has learnt: key -> plain data for JSON."""
        raise NotImplementedError

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "Conditioner":
        """The conditioner that has learnt what `states` says of its keys.

        Raises:
            UserError: a key is missing, or what it says is no such state.
        """
        raise NotImplementedError

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """Its entries for examples, a row for each."""
        raise NotImplementedError

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """Its entries for what users ask for, a row for each prompt; "" asks for nothing.

        Args:
            prompts: in words.
            class_name: of a class, for all, where it `answers` to class names.

        Raises:
            UserError: it cannot be asked for that.
        """
        raise NotImplementedError

    @nn.nowrap
    def texts(self, data: Corpus) -> dict[str, Iterable[str]]:
        """The texts of a data set that it reads, by what they are called in messages."""
        return {}


conditioners: Registry[Conditioner] = Registry("conditioner", Conditioner)


def state_of(states: Mapping[str, Any], key: str) -> Any:
    """What is saved of a key.

    Raises:
        UserError: nothing is.
    """
    if key not in states:
        raise UserError(f"Nothing is known of the condition {key!r}: its conditioner was not fit.")
    return states[key]


def check_agreement(parts: Mapping[str, Conditioner]) -> None:
    """Refuses conditioners that mean different things by one key.

    Args:
        parts: by what they are called in the message, such as "arm 'edm'".

    Raises:
        UserError: two do.
    """
    seen: dict[str, tuple[str, Any]] = {}
    for name, conditioner in parts.items():
        for key, state in conditioner.state().items():
            other, own = seen.setdefault(key, (name, state))
            if own != state:
                raise UserError(
                    f"{other} and {name} read {key!r} differently: give them the same "
                    "tokenizer, or train them in two runs."
                )


def encode(parts: Iterable[Conditioner], examples: Sequence[Example]) -> Rows:
    """The condition of examples for several conditioners, each key once."""
    found: Rows = {}
    for conditioner in parts:
        if not set(conditioner.keys) <= found.keys():
            found |= conditioner.encode(examples)
    return found


def ask(parts: Iterable[Conditioner], prompts: Sequence[str], class_name: str = "") -> Rows:
    """What users ask for as a condition for several conditioners.

    Those that read no words are asked for nothing, unless none does.
    """
    parts, found = tuple(parts), Rows()
    heard = any("prompt" in each.answers for each in parts)
    for conditioner in parts:
        if not set(conditioner.keys) <= found.keys():
            deaf = heard and "prompt" not in conditioner.answers
            found |= conditioner.ask([""] * len(prompts) if deaf else prompts, class_name)
    return found


def states(parts: Iterable[Conditioner]) -> dict[str, Any]:
    """What several have learnt, by key."""
    found: dict[str, Any] = {}
    for conditioner in parts:
        found |= conditioner.state()
    return found
