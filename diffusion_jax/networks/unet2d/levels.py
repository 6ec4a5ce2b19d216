"""The levels of diffusers' U-Nets and autoencoder: residual blocks, attention, another size.

A level is a module called down_blocks.i, mid_block or up_blocks.i; what is in it has the original's
names, so that the path of a parameter is the name of its tensor.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.unet2d.attention import (
    CellAttention,
    LevelAttention,
    Text,
    Transformer,
)
from diffusion_jax.networks.unet2d.resampling import DownsampleConv, Upsample
from diffusion_jax.networks.unet2d.resnet import ResnetBlock, ResnetStyle

Grid = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]
Embedding = Float[Array, "batch embedding"]


class UNetLevel(nn.Module):
    """What the levels down, in the middle and up share.

    Attributes:
        features: channels of its residual blocks' results.
        layers: how many residual blocks.
        groups: of their norms.
        style: what residual blocks share.
        attention: what attends after each of them; None for nothing.
        resample: how the size changes at the end: "conv", "resnet", or "" for not at all.
        padding: of a convolution that halves the size.
        output_scale: divides the results of residual blocks.
        skip_time_act: as of a `ResnetBlock`.
        remat: compute residual blocks again in the backward pass.
    """

    features: int
    layers: int
    groups: int
    style: ResnetStyle
    attention: LevelAttention | None = None
    resample: str = ""
    padding: int = 1
    output_scale: float = 1.0
    skip_time_act: bool = False
    remat: bool = False

    @property
    def block(self) -> type[nn.Module]:
        """The class of its residual blocks."""
        return rematerialised(ResnetBlock) if self.remat else ResnetBlock

    def resnet(self, name: str, resample: str = "") -> nn.Module:
        """A residual block of the level."""
        return self.block(
            self.features,
            self.groups,
            self.groups,
            self.style,
            self.output_scale,
            resample,
            self.skip_time_act,
            name=name,
        )

    def attended(self, h: Grid, number: int, text: Text | None) -> Grid:
        """h after the attention that follows residual block `number`."""
        style, name = self.attention, f"attentions.{number}"
        if style is None:
            return h
        if not style.blocks:
            return CellAttention(style, style.first + number, name=name)(h)
        assert text is not None, "words to attend to"
        first = style.first + sum(style.blocks[:number])
        return Transformer(style, style.blocks[number], first, name=name)(h, text)


class DownLevel(UNetLevel):
    """Residual blocks, each followed by attention, and then half the size."""

    @nn.compact
    def __call__(
        self, h: Grid, embedding: Embedding | None, text: Text | None, deterministic: bool
    ) -> tuple[Result, list[Array]]:
        """Returns the result, and those of all blocks for the levels up."""
        results: list[Array] = []
        for i in range(self.layers):
            h = self.resnet(f"resnets.{i}")(h, embedding, deterministic)
            h = self.attended(h, i, text)
            results.append(h)
        if self.resample == "conv":
            down = DownsampleConv(
                self.features, self.padding, self.style.dtype, name="downsamplers.0"
            )
            h = down(h)
        elif self.resample == "resnet":
            h = self.resnet("downsamplers.0", "down")(h, embedding, deterministic)
        return h, results + [h] * bool(self.resample)


class MiddleLevel(UNetLevel):
    """A residual block, then attention and another residual block, `layers` times."""

    @nn.compact
    def __call__(
        self, h: Grid, embedding: Embedding | None, text: Text | None, deterministic: bool
    ) -> Grid:
        h = self.resnet("resnets.0")(h, embedding, deterministic)
        for i in range(self.layers):
            h = self.attended(h, i, text)
            h = self.resnet(f"resnets.{i + 1}")(h, embedding, deterministic)
        return h


class UpLevel(UNetLevel):
    """Residual blocks over what was found on the way down, and then a larger size."""

    @nn.compact
    def __call__(
        self,
        h: Grid,
        skips: Sequence[Array],
        size: tuple[int, int] | None,
        embedding: Embedding | None,
        text: Text | None,
        deterministic: bool,
    ) -> Result:
        """Returns the result.

        Args:
            h: from the level below.
            skips: results of the blocks down, the last first; none for a decoder.
            size: height and width of the next level; None is twice those of h.
            embedding: of the noise level.
            text: words to attend to.
            deterministic: no dropout.
        """
        for i in range(self.layers):
            if skips:
                h = jnp.concatenate([h, skips[i]], axis=-1)
            h = self.resnet(f"resnets.{i}")(h, embedding, deterministic)
            h = self.attended(h, i, text)
        if self.resample == "conv":
            height, width = size or (2 * h.shape[1], 2 * h.shape[2])
            dtype, convolution = self.style.dtype, self.style.convolution
            up = Upsample(self.features, dtype, convolution, name="upsamplers.0")
            h = up(h, height, width)
        elif self.resample == "resnet":
            h = self.resnet("upsamplers.0", "up")(h, embedding, deterministic)
        return h
