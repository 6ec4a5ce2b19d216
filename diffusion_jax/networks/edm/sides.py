"""What the U-Nets of EDM and EDM2 have in common: levels named by the side of their pictures."""

from typing import Protocol, runtime_checkable

from diffusion_jax.networks import checks


@runtime_checkable
class Levels(Protocol):
    """The settings of a network that say what its levels are."""

    img_resolution: int
    label_dim: int
    model_channels: int
    channel_mult: tuple[int, ...]
    num_blocks: int
    attn_resolutions: tuple[int, ...]
    dropout: float
    remat: bool
    outputs: int


@runtime_checkable
class Headed(Levels, Protocol):
    """Such a network whose attention has heads of a width."""

    channels_per_head: int


def sides(network: Levels) -> list[int]:
    """The side of the pictures at each level, finest first."""
    return [network.img_resolution >> level for level in range(len(network.channel_mult))]


def widths(network: Levels) -> list[int]:
    """The channels of each level, finest first."""
    return [network.model_channels * multiple for multiple in network.channel_mult]


def self_attentions(network: Headed) -> int:
    """How many there are where all blocks of a level attend, and the middle always.

    A level narrower than an attention head has none.
    """
    heads = [width // network.channels_per_head for width in widths(network)]
    attend = [side in network.attn_resolutions for side in sides(network)]
    each = sum(a and h > 0 for a, h in zip(attend, heads, strict=True))
    return each * (2 * network.num_blocks + 1) + (heads[-1] > 0)


def check_settings(owner: str, network: Levels) -> None:
    """Raises UserError for settings that cannot work."""
    checks.channel_tuple(owner, network.channel_mult, "channel_mult", (1, 2))
    for name in ("img_resolution", "model_channels", "num_blocks", "outputs"):
        checks.positive_integers(owner, **{name: getattr(network, name)})
    checks.divides(owner, network.model_channels, "model_channels", 2, "for sines and cosines")
    halvings = len(network.channel_mult) - 1
    checks.divides(
        owner, network.img_resolution, "img_resolution", 2**halvings, f"for {halvings} halvings"
    )
    checks.counts(owner, label_dim=network.label_dim)
    checks.fraction(owner, dropout=network.dropout)
    checks.switch(owner, remat=network.remat)
    # Two convolutions in each block, down and up.
    weights = 36 * network.num_blocks * sum(width**2 for width in widths(network))
    checks.size(owner, 2 * network.num_blocks * len(network.channel_mult), weights)


def check_picture(owner: str, network: Levels, shape: tuple[int, ...]) -> None:
    """Raises UserError unless pictures can be halved for all levels."""
    halvings = len(network.channel_mult) - 1
    checks.picture_fits(owner, shape, 2**halvings, f"{halvings} halvings")
