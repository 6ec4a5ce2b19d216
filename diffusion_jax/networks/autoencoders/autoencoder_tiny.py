"""TAESD: a tiny autoencoder in the latents of a large one, for pictures while sampling."""

from collections.abc import Iterator
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from diffusion_jax.errors import UserError, positive
from diffusion_jax.networks import checks
from diffusion_jax.networks.autoencoders.base import (
    Array,
    Autoencoder,
    Latents,
    Pictures,
    Raw,
    at_least_single,
    autoencoders,
    certain,
    check_sizes,
)
from diffusion_jax.networks.configurations import ANY
from diffusion_jax.networks.layers import Conv, activation
from diffusion_jax.networks.unet2d.resampling import doubled

Grid = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]

OWNER = "autoencoder_tiny"
WIDEST = 3.0  # latents are squashed to -3 … 3 before decoding


@autoencoders.register("autoencoder_tiny")
class AutoencoderTiny(Autoencoder):
    """TAESD: residual blocks without norms, whose latents are those that diffusion models see.

    Source: Bohan 2023 (TAESD), github.com/madebyollin/taesd; autoencoder_tiny.py of
    huggingface/diffusers, whose names of parameters and settings these are.

    Attributes:
        out_channels: colours of pictures.
        encoder_block_out_channels: channels of the encoder, one number for each level.
        decoder_block_out_channels: channels of the decoder, coarsest level first.
        act_fn: activation within blocks.
        latent_channels: channels of latents.
        num_encoder_blocks, num_decoder_blocks: blocks of each level.
        scaling_factor, shift_factor: of latents.
        convolution: as of a `UNet`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work.

    >>> import jax
    >>> network = AutoencoderTiny(encoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
    ...     decoder_block_out_channels=(8, 8), num_decoder_blocks=(1, 1))
    >>> x = jnp.zeros((1, 8, 8, 3))
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x)[0].shape
    (1, 8, 8, 3)
    """

    original: ClassVar[str] = "AutoencoderTiny"
    fixed: ClassVar[dict[str, Any]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "upsample_fn": "nearest",
        "upsampling_scaling_factor": 2,
        "latent_magnitude": ANY,  # of latents as bytes, which is nobody's business here
        "latent_shift": ANY,
        "force_upcast": ANY,  # a matter of dtype
        "block_out_channels": ANY,  # the decoder's once more
    }

    out_channels: int = 3
    encoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64)
    decoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64)
    act_fn: str = "relu"
    latent_channels: int = 4
    num_encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    num_decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    scaling_factor: float = 1.0
    shift_factor: float = 0.0
    convolution: str = "direct"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(
            OWNER, out_channels=self.out_channels, latent_channels=self.latent_channels
        )
        activation(self.act_fn)
        positive(self, "scaling_factor")
        lengths = set()
        for part in ("encoder", "decoder"):
            channels, blocks = (
                getattr(self, name) for name in (f"{part}_block_out_channels", f"num_{part}_blocks")
            )
            for width, number in zip(channels, blocks, strict=False):
                given = {f"{part}_block_out_channels": width, f"num_{part}_blocks": number}
                checks.positive_integers(OWNER, **given)
            if len(set(channels)) > 1:
                raise UserError(
                    f"{OWNER}: {part}_block_out_channels must be the same number for each level, "
                    f"not {channels}."
                )
            lengths |= {len(channels), len(blocks)}
            checks.size(OWNER, sum(blocks), 27 * sum(blocks) * channels[0] ** 2)
        if len(lengths) > 1:
            raise UserError(
                f"{OWNER}: channels and blocks of encoder and decoder must name as many levels, "
                f"not {sorted(lengths)}."
            )

    @property
    def factor(self) -> int:
        """2^(levels - 1)."""
        return int(2 ** (len(self.encoder_block_out_channels) - 1))

    @property
    def channels(self) -> int:
        """Channels of latents."""
        return self.latent_channels

    def setup(self) -> None:
        """Names the parts."""
        style = (self.act_fn, self.convolution, self.dtype)
        self.encoder = TinyEncoder(
            self.encoder_block_out_channels[0], self.num_encoder_blocks, self.channels, *style
        )
        self.decoder = TinyDecoder(
            self.decoder_block_out_channels[0], self.num_decoder_blocks, self.out_channels, *style
        )

    def encode(self, x: Pictures) -> tuple[Raw, Raw]:
        """The latents, which are certain."""
        check_sizes(OWNER, x.shape, self.factor)
        return certain(at_least_single(self.encoder((x.astype(self.dtype) + 1) / 2)))

    def decode(self, z: Raw) -> Pictures:
        """The pictures that z stands for."""
        squashed = jnp.tanh(z.astype(self.dtype) / WIDEST) * WIDEST
        return at_least_single(2 * self.decoder(squashed) - 1)

    def normalise(self, z: Raw) -> Latents:
        """(z - shift) scale."""
        return (z - self.shift_factor) * self.scaling_factor

    def denormalise(self, latents: Latents) -> Raw:
        """latents/scale + shift."""
        return latents / self.scaling_factor + self.shift_factor


class TinyCoder(nn.Module):
    """What encoder and decoder share: layers that are numbered in one row.

    Attributes:
        width: channels within.
        blocks: of each level.
        features: channels of the result.
        act: activation within blocks.
        convolution: as of a `UNet`.
        dtype: dtype of the computation.
    """

    width: int
    blocks: tuple[int, ...]
    features: int
    act: str
    convolution: str
    dtype: str

    def conv(self, number: int, features: int, stride: int = 1, bias: bool = True) -> Conv:
        """A convolution."""
        return Conv(
            features,
            stride=stride,
            padding=1,
            use_bias=bias,
            dtype=self.dtype,
            convolution=self.convolution,
            name=f"layers.{number}",
        )

    def levelled(self, h: Grid, numbers: Iterator[int], count: int) -> Grid:
        """h after the blocks of a level."""
        for _ in range(count):
            name = f"layers.{next(numbers)}"
            h = TinyBlock(self.act, self.convolution, self.dtype, name=name)(h)
        return h


class TinyEncoder(TinyCoder):
    """Pictures from 0 to 1 to latents."""

    @nn.compact
    def __call__(self, x: Grid) -> Result:
        numbers, h = iter(range(1000)), x
        for i, count in enumerate(self.blocks):
            h = self.conv(next(numbers), self.width, stride=1 + (i > 0), bias=i == 0)(h)
            h = self.levelled(h, numbers, count)
        return self.conv(next(numbers), self.features)(h)


class TinyDecoder(TinyCoder):
    """Latents to pictures from 0 to 1."""

    @nn.compact
    def __call__(self, z: Grid) -> Result:
        numbers, last = iter(range(1000)), len(self.blocks) - 1
        h = activation(self.act)(self.conv(next(numbers), self.width)(z))
        next(numbers)  # the activation, which is a layer of the original
        for i, count in enumerate(self.blocks):
            h = self.levelled(h, numbers, count)
            if i < last:
                next(numbers)  # and so is the larger size
                h = doubled(h)
            features = self.width if i < last else self.features
            h = self.conv(next(numbers), features, bias=i == last)(h)
        return h


class TinyBlock(nn.Module):
    """relu(x + conv(act(conv(act(conv(x)))))).

    Attributes:
        act: activation.
        convolution: as of a `UNet`.
        dtype: dtype of the computation.
    """

    act: str
    convolution: str
    dtype: str

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        h = x
        for i in (0, 2, 4):
            h = activation(self.act)(h) if i else h
            conv = Conv(
                x.shape[-1], dtype=self.dtype, convolution=self.convolution, name=f"conv.{i}"
            )
            h = conv(h)
        return nn.relu(x + h)
