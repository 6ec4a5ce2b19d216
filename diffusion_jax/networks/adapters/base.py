"""What an adapter is, and how parameters are chosen by their names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from flax.traverse_util import flatten_dict
from jaxtyping import Array, Key, PyTree

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.registry import Registry
from diffusion_jax.struct import pytree

Params = dict[str, Any]
"""Parameters of a network: nested dicts of arrays."""

Path = tuple[str, ...]

BACKBONE = "backbone"  # of a `ScoreNetwork`, which names leave out


@runtime_checkable
class Adapter(Protocol):
    """What of a network's parameters is trained, and how all of them follow from that."""

    def split(self, params: Params, key: Key[Array, ""]) -> tuple[Params, Params]:
        """What stays as it is, and what is trained, as it starts.

        Args:
            params: of the network, before it is trained further.
            key: of what is drawn.

        Raises:
            UserError: a name that no parameter has.
        """
        ...

    def merged(self, frozen: Params, trained: Params) -> Params:
        """The parameters of the network; before any update, those that were split."""
        ...


adapters: Registry[Adapter] = Registry("adapter", Adapter)


@pytree
class Tuning:
    """An adapter with what it leaves as it is; its leaves may be traced.

    Attributes:
        adapter: what is trained.
        frozen: the parameters that stay.
    """

    adapter: Adapter
    frozen: PyTree

    def whole(self, trained: Params) -> Params:
        """The parameters of the network."""
        return self.adapter.merged(self.frozen, trained)


def name_of(path: Sequence[str]) -> str:
    """What a parameter or a module is called: its path with dots, without that of the backbone.

    >>> name_of(("backbone", "mid_block", "conv", "kernel"))
    'mid_block.conv.kernel'
    """
    return ".".join(path[1:] if path[0] == BACKBONE else path)


def flat(params: Params) -> dict[Path, Any]:
    """Path -> array."""
    found: dict[Path, Any] = flatten_dict(params)
    return found


def as_patterns(names: str | Sequence[str], what: str) -> tuple[str, ...]:
    """One or several regular expressions as a tuple.

    Raises:
        UserError: there is none, or one cannot be read.
    """
    found = (names,) if isinstance(names, str) else tuple(names)
    if not found or not all(isinstance(each, str) and each for each in found):
        raise UserError(f"{what} must be a regular expression, or several, not {names!r}.")
    for each in found:
        try:
            re.compile(each)
        except re.error as error:
            raise UserError(f"{what} {each!r} is no regular expression: {error}.") from None
    return found


def check_matched(patterns: Mapping[str, bool], names: Sequence[str], what: str) -> None:
    """Refuses patterns that name nothing.

    Args:
        patterns: pattern -> whether it has matched.
        names: of what there is.
        what: is named, for the message.

    Raises:
        UserError: one has not.
    """
    for pattern, matched in patterns.items():
        if not matched:
            raise UserError(
                f"No {what} of the network has a name that fits {pattern!r}."
                f"{nearest(pattern, names)} Names are such as {names[0]!r}."
            )
