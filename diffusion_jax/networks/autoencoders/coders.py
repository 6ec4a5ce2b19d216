"""Encoder and decoder of the autoencoders of latent diffusion."""

import dataclasses

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.layers import Conv, activation, affine_group_norm
from diffusion_jax.networks.unet2d.attention import LevelAttention
from diffusion_jax.networks.unet2d.levels import DownLevel, MiddleLevel, UpLevel
from diffusion_jax.networks.unet2d.resnet import ResnetStyle

Grid = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]

EPSILON = 1e-6
ATTENDS = {
    "DownEncoderBlock2D": False,
    "AttnDownEncoderBlock2D": True,
    "UpDecoderBlock2D": False,
    "AttnUpDecoderBlock2D": True,
}
"""Whether a level has attention, by its kind."""


@dataclasses.dataclass(frozen=True)
class CoderStyle:
    """What encoder and decoder share.

    Attributes:
        block_out_channels: channels of each level, finest first.
        layers_per_block: residual blocks per level of the encoder; the decoder has one more.
        groups: of norms.
        act: activation of residual blocks.
        middle_attention: whether the middle has attention.
        implementation: of attention, as of a `DiT`.
        convolution: as of a `UNet`.
        dtype: dtype of the computation.
    """

    block_out_channels: tuple[int, ...]
    layers_per_block: int
    groups: int
    act: str
    middle_attention: bool
    implementation: str
    convolution: str
    dtype: str

    @property
    def resnet(self) -> ResnetStyle:
        """What residual blocks share."""
        return ResnetStyle(EPSILON, self.act, dtype=self.dtype, convolution=self.convolution)

    def attention(self, channels: int, attends: bool) -> LevelAttention | None:
        """Attention of one head among the cells of a level, if it has any."""
        if not attends:
            return None
        implementation, dtype = self.implementation, self.dtype
        return LevelAttention(
            1, channels, self.groups, EPSILON, implementation=implementation, dtype=dtype
        )

    def middle(self) -> MiddleLevel:
        """The level in the middle."""
        channels = self.block_out_channels[-1]
        attention = self.attention(channels, self.middle_attention)
        return MiddleLevel(channels, 1, self.groups, self.resnet, attention, name="mid_block")

    def conv(self, features: int, name: str) -> Conv:
        """A 3 × 3 convolution."""
        return Conv(features, dtype=self.dtype, convolution=self.convolution, name=name)

    def ended(self, h: Grid) -> Grid:
        """The last norm and activation; their layers are those of the calling module."""
        norm = affine_group_norm(self.groups, h.shape[-1], EPSILON, self.dtype, "conv_norm_out")
        return nn.silu(norm(h))


class LatentEncoder(nn.Module):
    """Pictures to features on a grid of 1/2^(levels - 1) the size.

    Attributes:
        features: channels of the result.
        kinds: of the levels, keys of `ATTENDS`.
        style: what encoder and decoder share.
    """

    features: int
    kinds: tuple[str, ...]
    style: CoderStyle

    @nn.compact
    def __call__(self, x: Grid) -> Result:
        style, last = self.style, len(self.kinds) - 1
        h = style.conv(style.block_out_channels[0], "conv_in")(x.astype(style.dtype))
        for i, (channels, kind) in enumerate(
            zip(style.block_out_channels, self.kinds, strict=True)
        ):
            level = DownLevel(
                channels,
                style.layers_per_block,
                style.groups,
                style.resnet,
                style.attention(channels, ATTENDS[kind]),
                resample="conv" if i < last else "",
                padding=0,
                name=f"down_blocks.{i}",
            )
            h, _ = level(h, None, None, True)
        h = style.middle()(h, None, None, True)
        return style.conv(self.features, "conv_out")(style.ended(h))


class LatentDecoder(nn.Module):
    """Features on a grid to pictures of 2^(levels - 1) the size; as a `LatentEncoder`."""

    features: int
    kinds: tuple[str, ...]
    style: CoderStyle

    @nn.compact
    def __call__(self, z: Grid) -> Result:
        style, last = self.style, len(self.kinds) - 1
        h = style.conv(style.block_out_channels[-1], "conv_in")(z.astype(style.dtype))
        h = style.middle()(h, None, None, True)
        reversed_channels = style.block_out_channels[::-1]
        for i, (channels, kind) in enumerate(zip(reversed_channels, self.kinds, strict=True)):
            level = UpLevel(
                channels,
                style.layers_per_block + 1,
                style.groups,
                style.resnet,
                style.attention(channels, ATTENDS[kind]),
                resample="conv" if i < last else "",
                name=f"up_blocks.{i}",
            )
            h = level(h, (), None, None, None, True)
        return style.conv(self.features, "conv_out")(style.ended(h))


def check_coders(
    owner: str,
    style: CoderStyle,
    down_block_types: tuple[str, ...],
    up_block_types: tuple[str, ...],
) -> None:
    """Raises UserError for settings that cannot work."""
    checks.channel_tuple(owner, style.block_out_channels)
    checks.positive_integers(
        owner, layers_per_block=style.layers_per_block, norm_num_groups=style.groups
    )
    activation(style.act)
    for channels in style.block_out_channels:
        checks.divides(
            owner, channels, "block_out_channels", style.groups, "the groups of its norms"
        )
    kinds = {"down_block_types": down_block_types, "up_block_types": up_block_types}
    for name, chosen in kinds.items():
        part = "Encoder" if name.startswith("down") else "Decoder"
        for kind in chosen:
            one_of(kind, [each for each in ATTENDS if part in each], f"of {name} of an {owner}")
        if len(chosen) != len(style.block_out_channels):
            raise UserError(
                f"{owner}: {name} must name as many levels as block_out_channels has, "
                f"{len(style.block_out_channels)}, not {len(chosen)}."
            )
    all_channels = style.block_out_channels
    levels = zip(all_channels * 2, down_block_types + up_block_types[::-1], strict=True)
    widths = [width for width, kind in levels if ATTENDS[kind]]
    widths += [all_channels[-1]] if style.middle_attention else []
    checks.attention(owner, style.implementation, widths, style.dtype)
    one_of(style.convolution, ("direct", "winograd"), f"convolution of an {owner}")
    layers = 2 * (style.layers_per_block + 1) * len(style.block_out_channels)
    weights = 18 * layers * max(style.block_out_channels) ** 2
    checks.size(owner, layers, weights)
