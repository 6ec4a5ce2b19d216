"""Kinds of levels by the names that configurations have for them, and checks of settings."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.layers import activation


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a level has.

    Attributes:
        attends: to "cells", to cells and "words", or "" to nothing.
        resample: how the size changes: "conv", "resnet", "fir", or "choice" as the network's
            downsample_type or upsample_type says.
    """

    attends: str
    resample: str


DOWN = {
    "DownBlock2D": Kind("", "conv"),
    "ResnetDownsampleBlock2D": Kind("", "resnet"),
    "AttnDownBlock2D": Kind("cells", "choice"),
    "CrossAttnDownBlock2D": Kind("words", "conv"),
    "SkipDownBlock2D": Kind("", "fir"),
    "AttnSkipDownBlock2D": Kind("cells", "fir"),
}
UP = {
    "UpBlock2D": Kind("", "conv"),
    "ResnetUpsampleBlock2D": Kind("", "resnet"),
    "AttnUpBlock2D": Kind("cells", "choice"),
    "CrossAttnUpBlock2D": Kind("words", "conv"),
    "SkipUpBlock2D": Kind("", "fir"),
    "AttnSkipUpBlock2D": Kind("cells", "fir"),
}


def without(kinds: Mapping[str, Kind], *, attends: str = "-", resample: str = "-") -> set[str]:
    """The names of kinds that neither attend nor change their size in one way."""
    return {
        name
        for name, kind in kinds.items()
        if kind.attends != attends and kind.resample != resample
    }


def check_levels(
    owner: str,
    channels: tuple[int, ...],
    down: tuple[str, ...],
    up: tuple[str, ...],
    known_down: set[str],
    known_up: set[str],
) -> None:
    """Raises UserError unless levels are named, as many as there are channels.

    Args:
        owner: the network.
        channels: of each level.
        down, up: the kinds that are chosen.
        known_down, known_up: that the network can have.
    """
    checks.channel_tuple(owner, channels)
    for name, chosen, known in (
        ("down_block_types", down, known_down),
        ("up_block_types", up, known_up),
    ):
        for kind in chosen:
            one_of(kind, known, f"of {name} of a {owner}")
        if len(chosen) != len(channels):
            raise UserError(
                f"{owner}: {name} must name as many levels as block_out_channels has, "
                f"{len(channels)}, not {len(chosen)}."
            )


def check_blocks(owner: str, network: Any) -> None:
    """Raises UserError for settings that both U-Nets have and that cannot work."""
    checks.positive_integers(owner, outputs=network.outputs)
    checks.fraction(owner, dropout=network.dropout)
    checks.switch(owner, remat=network.remat, flip_sin_to_cos=network.flip_sin_to_cos)
    activation(network.act_fn)
    shifts = ("default", "scale_shift")
    one_of(network.resnet_time_scale_shift, shifts, f"resnet_time_scale_shift of a {owner}")
    one_of(network.convolution, ("direct", "winograd"), f"convolution of a {owner}")
    if network.downsample_padding not in (0, 1):
        raise UserError(
            f"{owner}: downsample_padding must be 0 or 1, got {network.downsample_padding!r}."
        )
    if network.out_channels is not None:
        checks.positive_integers(owner, out_channels=network.out_channels)
        if network.outputs != 1:
            raise UserError(
                f"{owner}: out_channels={network.out_channels} says how many channels the result "
                f"has, and outputs={network.outputs} too: leave one out."
            )


def per_level(owner: str, name: str, value: Any, levels: int) -> tuple[Any, ...]:
    """A setting for each level: one for all, or a tuple with one for each.

    Raises:
        UserError: a tuple of another length.
    """
    if not isinstance(value, tuple):
        return (value,) * levels
    if len(value) != levels:
        raise UserError(
            f"{owner}: {name} must be one for all levels or one for each of {levels}, "
            f"got {len(value)}."
        )
    return value
