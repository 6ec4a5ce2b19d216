"""VDMUNet: a U-Net that never halves a picture, with Fourier features of its pixels."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import attend, is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.convolution import convolve
from diffusion_jax.networks.embeddings import side_by_side
from diffusion_jax.networks.rematerialise import rematerialised

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch height width outputs"]
Vector = Float[Array, "batch conditions"]
GROUPS = 32  # of all norms
POWERS = (6, 7)  # of two: the frequencies of the features of pixels
OWNER = "vdm_unet"


@networks.register("vdm_unet")
class VDMUNet(nn.Module):
    """Residual blocks at the full size of the picture; predicts x and what is to be added to it.

    c_noise is 1000 times the share of the way that the log-SNR has gone from the clean to the noisy
    end, 0 to 1000. `context.pooled` stands beside the features of c_noise; without a context it is
    a 0, as in the released networks.

    Source: Kingma et al. 2021 (VDM), appendix B; github.com/google-research/vdm, model_vdm.py.

    Attributes:
        sm_n_embd: channels of all blocks, a multiple of 32.
        sm_n_layer: residual blocks on the way in; one more on the way out.
        sm_pdrop: fraction of activations dropped in each block while training.
        with_fourier_features: whether sines of pixels go in besides, by which a network sees the
            last bits of a picture.
        with_attention: whether all blocks attend, besides the middle, which does always.
        remat: compute blocks again in the backward pass, for less memory.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
        perturbed: as of a `UNet`.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; the result is at least float32.

    Raises:
        UserError: a setting that cannot work, or data that is no picture.

    >>> import jax
    >>> network = VDMUNet(sm_n_embd=32, sm_n_layer=1)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    sm_n_embd: int = 256
    sm_n_layer: int = 32
    sm_pdrop: float = 0.1
    with_fourier_features: bool = True
    with_attention: bool = False
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = {"sm_n_embd": self.sm_n_embd, "sm_n_layer": self.sm_n_layer}
        checks.positive_integers(OWNER, **counts, outputs=self.outputs)
        checks.divides(OWNER, self.sm_n_embd, "sm_n_embd", GROUPS, "the groups of its norms")
        checks.fraction(OWNER, sm_pdrop=self.sm_pdrop)
        switches = {"with_attention": self.with_attention, "remat": self.remat}
        checks.switch(OWNER, with_fourier_features=self.with_fourier_features, **switches)
        one_of(self.convolution, ("direct", "winograd"), f"convolution of a {OWNER}")
        checks.attention(OWNER, self.attention_implementation, [self.sm_n_embd], self.dtype)
        checks.size(OWNER, 2 * self.sm_n_layer, 45 * self.sm_n_layer * self.sm_n_embd**2)

    @property
    def self_attentions(self) -> int:
        """How many there are: of the middle, and of all blocks if they attend."""
        return 1 + self.with_attention * (2 * self.sm_n_layer + 1)

    @nn.compact
    def __call__(
        self,
        x: Picture,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Result:
        """Returns the network's raw prediction; arguments as in `SongUNet`."""
        checks.picture_fits(OWNER, x.shape, 1, "it halves none")
        condition = self._condition(c_noise, context)
        kind = rematerialised(VDMBlock) if self.remat else VDMBlock
        attentions = 0

        def block(h: Picture, name: str) -> Array:
            settings = self.sm_n_embd, self.sm_pdrop, self.convolution, self.dtype
            found: Array = kind(*settings, name=name)(h, condition, deterministic)
            return found

        def attention(h: Picture, name: str) -> Array:
            nonlocal attentions
            perturbed = is_perturbed(attentions, self.perturbed)
            attentions += 1
            how = self.attention_implementation
            found: Array = VDMAttention(how, perturbed, self.dtype, name=name)(h)
            return found

        h = jnp.concatenate([x, sines(x)], axis=-1) if self.with_fourier_features else x
        how = convolve if self.convolution == "winograd" else None
        first = nn.Conv(
            self.sm_n_embd, (3, 3), dtype=self.dtype, conv_general_dilated=how, name="conv_in"
        )
        made = [first(h.astype(self.dtype))]
        for i in range(self.sm_n_layer):
            h = block(made[-1], f"down.block_{i}")
            made.append(attention(h, f"down.attn_{i}") if self.with_attention else h)
        h = block(made[-1], "mid.block_1")
        h = block(attention(h, "mid.attn_1"), "mid.block_2")
        for i in range(self.sm_n_layer + 1):
            h = block(jnp.concatenate([h, made.pop()], axis=-1), f"up.block_{i}")
            h = attention(h, f"up.attn_{i}") if self.with_attention else h
        h = nn.silu(vdm_norm(self.dtype, "GroupNorm_0")(h))
        last = nn.Conv(
            self.outputs * x.shape[-1],
            (3, 3),
            kernel_init=nn.initializers.zeros,
            dtype=self.dtype,
            name="conv_out",
        )
        # What tells a variance is no picture, to which x would be added.
        own = jnp.pad(x, [(0, 0)] * 3 + [(0, (self.outputs - 1) * x.shape[-1])])
        return (last(h) + own).astype(jnp.promote_types(jnp.float32, self.dtype))

    def _condition(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Vector:
        """The noise level and the pooled condition as one vector."""

        def features(c_noise: Float[Array, " rows"]) -> Float[Array, "rows width"]:
            half = self.sm_n_embd // 2
            frequencies = jnp.exp(-math.log(10_000) * jnp.linspace(0, 1, half, dtype=c_noise.dtype))
            angles = c_noise[:, None] * frequencies
            return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)

        level = side_by_side(features, c_noise)
        pooled = jnp.zeros((len(level), 1)) if context is None else context.pooled
        h = jnp.concatenate([level, pooled.astype(level.dtype)], axis=1)
        for name in ("dense0", "dense1"):
            h = nn.silu(nn.Dense(4 * self.sm_n_embd, dtype=self.dtype, name=name)(h))
        return h


class VDMBlock(nn.Module):
    """A residual block, to which the condition is added between its convolutions.

    Attributes:
        features: channels of the result.
        dropout: fraction of activations dropped while training.
        convolution, dtype: of the network.
    """

    features: int
    dropout: float
    convolution: str
    dtype: str

    @nn.compact
    def __call__(self, x: Picture, condition: Vector, deterministic: bool) -> Array:
        how = convolve if self.convolution == "winograd" else None

        def conv(h: Picture, name: str, zero: bool = False) -> Array:
            first = nn.initializers.zeros if zero else nn.initializers.lecun_normal()
            layer = nn.Conv(
                self.features,
                (3, 3),
                kernel_init=first,
                dtype=self.dtype,
                conv_general_dilated=how,
                name=name,
            )
            return layer(h)

        zeros = nn.initializers.zeros
        h = conv(nn.silu(vdm_norm(self.dtype, "GroupNorm_0")(x)), "conv1")
        steer = nn.Dense(
            self.features, use_bias=False, kernel_init=zeros, dtype=self.dtype, name="cond_proj"
        )
        h += steer(condition)[:, None, None]
        h = nn.silu(vdm_norm(self.dtype, "GroupNorm_1")(h))
        h = nn.Dropout(self.dropout)(h, deterministic=deterministic)
        h = conv(h, "conv2", zero=True)
        if x.shape[-1] != self.features:
            x = nn.Dense(self.features, dtype=self.dtype, name="nin_shortcut")(x)
        return x + h


class VDMAttention(nn.Module):
    """Each place looks at all places, with one head.

    Attributes:
        implementation: of the attention.
        perturbed: whether its map is the identity.
        dtype: of the network.
    """

    implementation: str
    perturbed: bool
    dtype: str

    @nn.compact
    def __call__(self, x: Picture) -> Picture:
        batch, height, width, channels = x.shape
        rows = vdm_norm(self.dtype, "GroupNorm_0")(x).reshape(batch, height * width, channels)
        query, key, value = (
            nn.Dense(channels, dtype=self.dtype, name=name)(rows)[:, :, None] for name in "qkv"
        )
        mixed = value
        if not self.perturbed:
            mixed = attend(query, key, value, implementation=self.implementation)
        zeros = nn.initializers.zeros
        last = nn.Dense(channels, kernel_init=zeros, dtype=self.dtype, name="proj_out")
        return x + last(mixed[:, :, 0]).reshape(x.shape)


def vdm_norm(dtype: str, name: str) -> nn.GroupNorm:
    """Group norm over 32 groups."""
    return nn.GroupNorm(GROUPS, epsilon=1e-6, use_fast_variance=False, dtype=dtype, name=name)


def sines(x: Picture) -> Float[Array, "batch height width features"]:
    """[sin(2 pi 2^n x), cos(2 pi 2^n x)] of each channel, n of `POWERS`.

    Source: Kingma et al. 2021 (VDM), appendix C.

    >>> sines(jnp.zeros((1, 1, 1, 1)))[0, 0, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    frequencies = 2 * jnp.pi * 2.0 ** jnp.asarray(POWERS, x.dtype)
    angles = (x[..., None] * frequencies).reshape(*x.shape[:3], -1)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
