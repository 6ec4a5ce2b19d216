"""Levels of NCSN++, beside which the picture itself is halved on the way down and built up again.

Source: Song et al. 2021 (score SDE), appendix H.2; huggingface/diffusers, models/unets/
unet_2d_blocks.py.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.layers import Conv, affine_group_norm
from diffusion_jax.networks.unet2d.attention import CellAttention
from diffusion_jax.networks.unet2d.levels import Embedding, Grid, Result, UNetLevel
from diffusion_jax.networks.unet2d.resampling import fir_doubled, fir_halved

Picture = Float[Array, "batch height width colours"]
SmallerPicture = Float[Array, "batch new_height new_width colours"]
HalfPicture = Float[Array, "batch half_height half_width colours"]

OUTPUT_SCALE = math.sqrt(2)
MOST_GROUPS = 32


def group_count(channels: int) -> int:
    """Groups of norms: of four channels each, 32 at most."""
    return min(channels // 4, MOST_GROUPS)


class SkipLevel(UNetLevel):
    """Level whose size changes by the filter (1, 3, 3, 1) if `resample` is "fir"."""

    def grouped(self, name: str, inputs: int, groups: int | None = None, to: str = "") -> nn.Module:
        """A residual block with a group for four channels.

        Args:
            name: of the module.
            inputs: its channels.
            groups: of its first norm, if it is another number.
            to: a key of `resampling.RESAMPLING`, or "".
        """
        return self.block(
            self.features,
            group_count(inputs) if groups is None else groups,
            group_count(self.features),
            self.style,
            OUTPUT_SCALE,
            to,
            shortcut=bool(to),
            name=name,
        )


class SkipDownLevel(SkipLevel):
    """Residual blocks and attention; then both h and the picture at half the size, summed."""

    @nn.compact
    def __call__(
        self, h: Grid, picture: Picture, embedding: Embedding, deterministic: bool
    ) -> tuple[Result, list[Array], SmallerPicture]:
        """Returns the result, those of all blocks, and the smaller picture."""
        results: list[Array] = []
        for i in range(self.layers):
            h = self.grouped(f"resnets.{i}", h.shape[-1])(h, embedding, deterministic)
            h = self.attended(h, i, None)
            results.append(h)
        if self.resample:
            h = self.grouped("resnet_down", self.features, to="fir_down")(
                h, embedding, deterministic
            )
            picture = fir_halved(picture)
            h += Conv(self.features, 1, dtype=self.style.dtype, name="skip_conv")(picture)
            results.append(h)
        return h, results, picture


class SkipUpLevel(SkipLevel):
    """Residual blocks, one attention; what they add to the picture, and both at double the size."""

    @nn.compact
    def __call__(
        self,
        h: Grid,
        skips: Sequence[Array],
        picture: HalfPicture | None,
        colours: int,
        embedding: Embedding,
        deterministic: bool,
    ) -> tuple[Result, Picture | None]:
        """Returns the result, and the picture of the size of h; other arguments as of an `UpLevel`.

        Args:
            picture: from the level below, or None.
            colours: of the picture.
        """
        for i in range(self.layers):
            here, skip = h.shape[-1], skips[i].shape[-1]
            # The original means a group for four channels, and divides those of the skip alone.
            groups = None if self.attention is None else min(here + skip // 4, MOST_GROUPS)
            block = self.grouped(f"resnets.{i}", here + skip, groups)
            h = block(jnp.concatenate([h, skips[i]], axis=-1), embedding, deterministic)
        if self.attention is not None:
            h = CellAttention(self.attention, self.attention.first, name="attentions.0")(h)
        larger = None if picture is None else fir_doubled(picture)
        if self.resample:
            groups, epsilon, dtype = (
                group_count(self.features),
                self.style.epsilon,
                self.style.dtype,
            )
            normed = affine_group_norm(groups, self.features, epsilon, dtype, "skip_norm")(h)
            added = Conv(colours, dtype=dtype, name="skip_conv")(nn.silu(normed))
            larger = added if larger is None else larger + added
            h = self.grouped("resnet_up", self.features, to="fir_up")(h, embedding, deterministic)
        return h, larger
