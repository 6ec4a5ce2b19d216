"""The residual block of diffusers' U-Nets and autoencoder."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.layers import Conv, Linear, activation, affine_group_norm
from diffusion_jax.networks.unet2d.resampling import RESAMPLING

Grid = Float[Array, "batch height width channels"]
Embedding = Float[Array, "batch embedding"]


@dataclasses.dataclass(frozen=True)
class ResnetStyle:
    """What all residual blocks of a network share.

    Attributes:
        epsilon: of norms.
        act: activation, one of `layers.ACTIVATIONS`.
        time_scale_shift: "default" adds the embedding; "scale_shift" scales and shifts by it.
        dropout: fraction of activations dropped while training.
        dtype: dtype of the computation.
        convolution: as of a `UNet`.
    """

    epsilon: float = 1e-6
    act: str = "silu"
    time_scale_shift: str = "default"
    dropout: float = 0.0
    dtype: str = "float32"
    convolution: str = "direct"


class ResnetBlock(nn.Module):
    """(x + conv2(act(norm2(conv1(act(norm1(x))) + W act(embedding)))))/output_scale.

    With time_scale_shift = "scale_shift", the embedding scales and shifts what norm2 gives. The
    size may change before conv1. There is a 1 × 1 convolution in the skip where the number of
    channels changes.

    Source: Ho et al. 2020 (DDPM), appendix B; huggingface/diffusers, models/resnet.py.

    Attributes:
        features: channels of the result.
        groups: of the first norm.
        groups_out: of the second.
        style: what blocks share.
        output_scale: divides the result.
        resample: "" or a key of `RESAMPLING`, for both paths.
        skip_time_act: take the embedding as it is, without the activation.
        shortcut: have a convolution in the skip, whatever the number of channels.
    """

    features: int
    groups: int
    groups_out: int
    style: ResnetStyle
    output_scale: float = 1.0
    resample: str = ""
    skip_time_act: bool = False
    shortcut: bool = False

    @nn.compact
    def __call__(
        self, x: Grid, embedding: Embedding | None, deterministic: bool
    ) -> Float[Array, "batch new_height new_width features"]:
        act, epsilon, dtype = activation(self.style.act), self.style.epsilon, self.style.dtype
        h = act(affine_group_norm(self.groups, x.shape[-1], epsilon, dtype, "norm1")(x))
        if self.resample:
            x, h = (RESAMPLING[self.resample](each) for each in (x, h))
        h = self._conv("conv1")(h)
        norm2 = affine_group_norm(self.groups_out, self.features, epsilon, dtype, "norm2")
        if embedding is None:
            h = norm2(h)
        else:
            told = embedding if self.skip_time_act else act(embedding)
            if self.style.time_scale_shift == "scale_shift":
                scale, shift = jnp.split(self._told(told, 2), 2, axis=-1)
                h = norm2(h) * (1 + scale) + shift
            else:
                h = norm2(h + self._told(told, 1))
        h = nn.Dropout(self.style.dropout)(act(h), deterministic=deterministic)
        h = self._conv("conv2")(h)
        if self.shortcut or x.shape[-1] != self.features:
            x = Conv(self.features, 1, dtype=dtype, name="conv_shortcut")(x)
        return (x + h) / self.output_scale

    def _conv(self, name: str) -> Conv:
        return Conv(
            self.features, dtype=self.style.dtype, convolution=self.style.convolution, name=name
        )

    def _told(self, told: Embedding, times: int) -> Float[Array, "batch 1 1 told"]:
        linear = Linear(times * self.features, dtype=self.style.dtype, name="time_emb_proj")
        return linear(told)[:, None, None]
