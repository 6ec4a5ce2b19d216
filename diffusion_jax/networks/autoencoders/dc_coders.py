"""Encoder and decoder of DC-AE."""

import dataclasses

import flax.linen as nn

from diffusion_jax.networks.autoencoders.dc_blocks import (
    BiasedRMSNorm,
    ConvBlock,
    DownShuffle,
    EfficientViTBlock,
    Grid,
    Result,
    UpShuffle,
    averaged,
    repeated,
)
from diffusion_jax.networks.layers import Conv, activation

BLOCKS = ("ResBlock", "EfficientViTBlock")


@dataclasses.dataclass(frozen=True)
class LevelOfBlocks:
    """A level of encoder or decoder.

    Attributes:
        channels: of its results.
        count: of its blocks.
        kind: a member of `BLOCKS`.
        scales: sides of kernels of its attention.
        norm: of its blocks.
        act: of its blocks.
    """

    channels: int
    count: int
    kind: str
    scales: tuple[int, ...]
    norm: str
    act: str

    def block(self, head_width: int, dtype: str, name: str) -> nn.Module:
        """One of its blocks."""
        if self.kind == "ResBlock":
            return ConvBlock(self.norm, self.act, dtype, name=name)
        return EfficientViTBlock(head_width, self.scales, self.norm, dtype, name=name)


class DCEncoder(nn.Module):
    """Pictures to latents.

    Attributes:
        levels: finest first.
        features: channels of the result.
        shuffles: whether sizes change by moving pixels into channels.
        shortcut: add means of the last level's channels to the result.
        head_width: features of a head.
        dtype: dtype of the computation.
    """

    levels: tuple[LevelOfBlocks, ...]
    features: int
    shuffles: bool
    shortcut: bool
    head_width: int
    dtype: str

    @nn.compact
    def __call__(self, x: Grid) -> Result:
        finest, last = self.levels[0], len(self.levels) - 1
        if finest.count:
            h = Conv(finest.channels, dtype=self.dtype, name="conv_in")(x)
        else:
            h = self._down(1, False, "conv_in")(x)
        for i, level in enumerate(self.levels):
            for j in range(level.count):
                h = level.block(self.head_width, self.dtype, f"down_blocks.{i}.{j}")(h)
            if i < last and level.count:
                h = self._down(i + 1, True, f"down_blocks.{i}.{level.count}")(h)
        out = Conv(self.features, dtype=self.dtype, name="conv_out")(h)
        return out + averaged(h, self.features) if self.shortcut else out

    def _down(self, to: int, shortcut: bool, name: str) -> DownShuffle:
        channels = self.levels[to].channels
        return DownShuffle(channels, self.shuffles, shortcut, self.dtype, name=name)


class DCDecoder(nn.Module):
    """Latents to pictures.

    Attributes:
        act: activation before the last convolution.

    The others are those of a `DCEncoder`, with the shortcut at the beginning.
    """

    levels: tuple[LevelOfBlocks, ...]
    features: int
    shuffles: bool
    shortcut: bool
    head_width: int
    dtype: str
    act: str

    @nn.compact
    def __call__(self, z: Grid) -> Result:
        coarsest, last = self.levels[-1], len(self.levels) - 1
        h = Conv(coarsest.channels, dtype=self.dtype, name="conv_in")(z)
        h = h + repeated(z, coarsest.channels) if self.shortcut else h
        for i, level in reversed(list(enumerate(self.levels))):
            first = int(i < last and level.count > 0)
            if first:
                name = f"up_blocks.{i}.0"
                h = UpShuffle(level.channels, self.shuffles, True, self.dtype, name=name)(h)
            for j in range(level.count):
                h = level.block(self.head_width, self.dtype, f"up_blocks.{i}.{first + j}")(h)
        h = activation(self.act)(BiasedRMSNorm(self.dtype, name="norm_out")(h))
        if self.levels[0].count:
            return Conv(self.features, dtype=self.dtype, name="conv_out")(h)
        return UpShuffle(self.features, self.shuffles, False, self.dtype, name="conv_out")(h)
