"""Which levels a conditional U-Net has, and what attends in each."""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.unet2d.attention import LevelAttention
from diffusion_jax.networks.unet2d.kinds import DOWN, UP, Kind, per_level
from diffusion_jax.networks.unet2d.levels import DownLevel, MiddleLevel, UpLevel
from diffusion_jax.networks.unet2d.resnet import ResnetStyle

MIDDLES = {"UNetMidBlock2DCrossAttn": Kind("words", ""), "UNetMidBlock2D": Kind("", "")}


@dataclasses.dataclass(frozen=True)
class LevelPlan:
    """One level.

    Attributes:
        name: of its module.
        kind: what it has.
        channels: of its results.
        layers: residual blocks.
        attention: what attends after each; None for nothing.
        resample: how the size changes at its end, "" for not at all.
    """

    name: str
    kind: Kind
    channels: int
    layers: int
    attention: LevelAttention | None
    resample: str

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        if self.attention is None or self.attention.only_cross:
            return 0
        return sum(self.attention.blocks) if self.kind.attends == "words" else self.layers


def plan(owner: str, network: Any) -> list[LevelPlan]:
    """The levels of a `UNet2DCondition`, down, in the middle and up.

    Args:
        owner: the network, for messages.
        network: with its settings.

    Raises:
        UserError: settings for each level that are not as many as there are levels.
    """
    count = len(network.block_out_channels)
    layers = per_level(owner, "layers_per_block", network.layers_per_block, count)
    heads = per_level(owner, "attention_head_dim", network.attention_head_dim, count)
    only = per_level(owner, "only_cross_attention", network.only_cross_attention, count)
    blocks = per_level(
        owner, "transformer_layers_per_block", network.transformer_layers_per_block, count
    )
    back = network.reverse_transformer_layers_per_block
    if back is None and any(isinstance(each, tuple) for each in blocks):
        raise UserError(
            f"{owner}: transformer_layers_per_block with a number for each transformer needs "
            "reverse_transformer_layers_per_block for the levels up."
        )
    back = per_level(owner, "reverse_transformer_layers_per_block", back or blocks[::-1], count)
    found: list[LevelPlan] = []

    def add(
        name: str,
        kind: Kind,
        channels: int,
        layers: int,
        heads: int,
        head_width: int,
        blocks: Any,
        only_cross: bool,
        ends: bool,
    ) -> None:
        attention = None
        if kind.attends:
            words = kind.attends == "words"
            attention = LevelAttention(
                heads if words else max(channels // head_width, 1),
                channels // heads if words else head_width,
                network.norm_num_groups,
                network.norm_eps,
                blocks=_for_each(owner, blocks, layers) if words else (),
                linear=network.use_linear_projection,
                only_cross=only_cross and words,
                first=sum(level.self_attentions for level in found),
                perturbed=network.perturbed,
                implementation=network.attention_implementation,
                remat=network.remat,
                dtype=network.dtype,
            )
        resample = "conv" if kind.resample == "choice" else kind.resample
        found.append(LevelPlan(name, kind, channels, layers, attention, "" if ends else resample))

    for i, name in enumerate(network.down_block_types):
        channels, ends = network.block_out_channels[i], i == count - 1
        add(
            f"down_blocks.{i}",
            DOWN[name],
            channels,
            layers[i],
            heads[i],
            heads[i],
            blocks[i],
            only[i],
            ends,
        )
    if network.mid_block_type is not None:
        kind = MIDDLES[one_of(network.mid_block_type, MIDDLES, f"mid_block_type of a {owner}")]
        transformers = int(kind.attends == "words")
        last = blocks[-1][0] if isinstance(blocks[-1], tuple) else blocks[-1]
        add(
            "mid_block",
            kind,
            network.block_out_channels[-1],
            transformers,
            heads[-1],
            heads[-1],
            last,
            False,
            True,
        )
    for i, name in enumerate(network.up_block_types):
        j, ends = count - 1 - i, i == count - 1
        # The original looks up the width of heads in the order down, even on the way up.
        add(
            f"up_blocks.{i}",
            UP[name],
            network.block_out_channels[j],
            layers[j] + 1,
            heads[j],
            heads[i],
            back[i],
            only[j],
            ends,
        )
    return found


def _for_each(owner: str, blocks: Any, layers: int) -> tuple[int, ...]:
    """Blocks of each transformer of a level."""
    each = blocks if isinstance(blocks, tuple) else (blocks,) * layers
    for number in each:
        checks.positive_integers(owner, transformer_layers_per_block=number)
    if len(each) < layers:
        raise UserError(
            f"{owner}: a level of {layers} transformers needs as many numbers of blocks, not "
            f"{len(each)}."
        )
    return each[:layers]


def level(network: Any, which: LevelPlan, style: ResnetStyle) -> Any:
    """The module of a level, within the calling module."""
    kinds = {"down": DownLevel, "mid_": MiddleLevel, "up_b": UpLevel}
    kind: Any = kinds[which.name[:4]]
    scale = network.mid_block_scale_factor if kind is MiddleLevel else 1.0
    by_resnet = which.kind.resample == "resnet"
    return kind(
        which.channels,
        which.layers,
        network.norm_num_groups,
        style,
        which.attention,
        which.resample,
        network.downsample_padding,
        network.resnet_out_scale_factor if by_resnet else scale,
        network.resnet_skip_time_act and by_resnet,
        network.remat,
        name=which.name,
    )
