"""Down and up the levels of EDM's and EDM2's U-Nets, by blocks that are named after them."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.edm import sides
from diffusion_jax.networks.rematerialise import rematerialised

Hidden = Float[Array, "batch _ _ _"]
Embedding = Float[Array, "batch embedding"]


@runtime_checkable
class Style(Protocol):
    """What the blocks of a network have in common."""

    def heads(self, channels: int) -> int:
        """Attention heads of a block with so many channels; 0 for none."""


@dataclasses.dataclass
class Blocks:
    """Makes the blocks of a network and calls them.

    Attributes:
        kind: their class.
        style: of the network.
        embedding: what steers the blocks.
        deterministic: no dropout.
        remat, perturbed: of the network.
    """

    kind: type[nn.Module]
    style: Style
    embedding: Embedding
    deterministic: bool
    remat: bool
    perturbed: tuple[int, ...] | None
    attentions: int = 0  # made so far

    def __call__(
        self, h: Hidden, width: int, name: str, attends: bool = False, mode: str = "keep"
    ) -> Hidden:
        """The result of a block of that name."""
        attends = attends and self.style.heads(width) > 0
        perturbed = attends and is_perturbed(self.attentions, self.perturbed)
        self.attentions += attends
        kind = rematerialised(self.kind) if self.remat else self.kind
        block = kind(width, self.style, mode, attends, perturbed, name=name)
        found: Array = block(h, self.embedding, self.deterministic)
        return found


def down(network: sides.Levels, first: Callable[[str], Hidden], block: Blocks) -> list[Hidden]:
    """What each layer makes, from the finest to the coarsest level.

    Args:
        network: which has these levels.
        first: makes the first, by its name.
        block: makes the others.
    """
    made: list[Hidden] = []
    for level, (side, width) in enumerate(
        zip(sides.sides(network), sides.widths(network), strict=True)
    ):
        name, attends = f"enc.{side}x{side}", side in network.attn_resolutions
        if level == 0:
            made.append(first(f"{name}_conv"))
        else:
            made.append(block(made[-1], made[-1].shape[-1], f"{name}_down", mode="down"))
        for i in range(network.num_blocks):
            made.append(block(made[-1], width, f"{name}_block{i}", attends))
    return made


def entered(network: sides.Levels, level: int, h: Hidden, block: Blocks) -> Hidden:
    """What a level on the way up begins with: the middle, or a block that doubles sides."""
    side = sides.sides(network)[level]
    name = f"dec.{side}x{side}"
    if level < len(network.channel_mult) - 1:
        return block(h, h.shape[-1], f"{name}_up", mode="up")
    h = block(h, h.shape[-1], f"{name}_in0", attends=True)
    return block(h, h.shape[-1], f"{name}_in1")


def up(
    network: sides.Levels,
    made: list[Hidden],
    block: Blocks,
    joined: Callable[[Hidden, Hidden], Hidden] = lambda h, skip: jnp.concatenate([h, skip], -1),
) -> Hidden:
    """What the coarsest to the finest level make of all that was made on the way down.

    Args:
        network: which has these levels.
        made: by `down`, which is used up.
        block: makes the blocks.
        joined: of what comes from below and from the way down.
    """
    h = made[-1]
    for level, side in reversed(list(enumerate(sides.sides(network)))):
        h = entered(network, level, h, block)
        for i in range(network.num_blocks + 1):
            name, width = f"dec.{side}x{side}_block{i}", sides.widths(network)[level]
            h = block(joined(h, made.pop()), width, name, side in network.attn_resolutions)
    return h
