"""EDM2UNet: the U-Net whose activations and weights keep their magnitude."""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.edm import sides
from diffusion_jax.networks.edm.levels import Blocks, down, up
from diffusion_jax.networks.edm2.block import EDM2Block, EDM2Style
from diffusion_jax.networks.edm2.uncertainty import LogVariance
from diffusion_jax.networks.embeddings import side_by_side
from diffusion_jax.networks.magnitude_preserving import (
    MPConv,
    MPFourier,
    forced,
    mp_cat,
    mp_silu,
    mp_sum,
)
from diffusion_jax.networks.resample import check_taps

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch height width outputs"]
Hidden = Float[Array, "batch _ _ _"]
Embedding = Float[Array, "batch embedding"]
OWNER = "edm2_unet"


@networks.register("edm2_unet")
class EDM2UNet(nn.Module):
    """Magnitude-preserving U-Net without group norms and biases.

    c_noise is EDM's ln(sigma)/4. `context.pooled` is the class as a one-hot vector, zeros for none,
    or any vector. A level narrower than an attention head has no attention. While it is trained its
    filters are normalised after every update (`constrained`), and its loss "uncertainty" has a head
    of its own (`uncertainty_head`).

    Source: Karras et al. 2024 (EDM2), section 2, figure 21 and appendix B;
    github.com/NVlabs/edm2, training/networks_edm2.py.

    Attributes:
        img_resolution: side of the pictures, from which levels have their names; others of sides
            that can be halved as often are taken as well.
        label_dim: width of `context.pooled`; 0 is the width of what comes.
        model_channels: channels, which each level has a multiple of: 128 in the released network
            XS, 192 in S, 256 in M, 320 in L, 384 in XL, 448 in XXL.
        channel_mult: multiples, finest level first.
        channel_mult_noise: multiple of channels that c_noise is embedded in; None is that of the
            finest level.
        channel_mult_emb: of the embedding that steers the blocks; None is the largest of a level.
        num_blocks: residual blocks of a level on the way down; one more on the way up.
        attn_resolutions: sides at which all blocks attend, besides the middle, which does always.
        label_balance: share of the class in the embedding.
        concat_balance: share of what comes from the way down in the way up.
        res_balance: share of a residual branch in its sum.
        attn_balance: share of the attention in its sum.
        clip_act: largest size of what a block gives; None is any.
        channels_per_head: features of an attention head.
        resample_filter: taps of the filter of all resampling.
        dropout: fraction of activations dropped in each block while training.
        remat: compute blocks again in the backward pass, for less memory.
        attention_implementation: as of a `DiT`.
        perturbed: as of a `UNet`.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; the result is at least float32.

    Raises:
        UserError: a setting that cannot work, or data that does not fit.

    >>> import jax
    >>> network = EDM2UNet(img_resolution=8, model_channels=8, channel_mult=(1, 2), num_blocks=1)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 4)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 4)
    """

    img_resolution: int = 64
    label_dim: int = 0
    model_channels: int = 192
    channel_mult: tuple[int, ...] = (1, 2, 3, 4)
    channel_mult_noise: int | None = None
    channel_mult_emb: int | None = None
    num_blocks: int = 3
    attn_resolutions: tuple[int, ...] = (16, 8)
    label_balance: float = 0.5
    concat_balance: float = 0.5
    res_balance: float = 0.3
    attn_balance: float = 0.3
    clip_act: float | None = 256.0
    channels_per_head: int = 64
    resample_filter: tuple[float, ...] = (1.0, 1.0)
    dropout: float = 0.0
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        sides.check_settings(OWNER, self)
        checks.positive_integers(OWNER, channels_per_head=self.channels_per_head)
        for name in ("channel_mult_noise", "channel_mult_emb"):
            if getattr(self, name) is not None:
                checks.positive_integers(OWNER, **{name: getattr(self, name)})
        for name in ("label_balance", "concat_balance", "res_balance", "attn_balance"):
            checks.fraction(OWNER, **{name: getattr(self, name)})
        check_taps(self.resample_filter)
        heads = [width // self.channels_per_head for width in sides.widths(self)]
        each = [w // h for w, h in zip(sides.widths(self), heads, strict=True) if h]
        checks.attention(OWNER, self.attention_implementation, each, self.dtype)

    @property
    def self_attentions(self) -> int:
        """How many there are: of each block of a level that attends, and of the middle."""
        return sides.self_attentions(self)

    @nn.nowrap
    def constrained(self, params: PyTree[Array]) -> PyTree[Array]:
        """The parameters with their filters normalised."""
        return forced(params)

    @nn.nowrap
    def uncertainty_head(self) -> nn.Module:
        """What tells how large its error is."""
        return LogVariance()

    @nn.compact
    def __call__(
        self,
        x: Picture,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Result:
        """Returns the network's raw prediction; arguments as in `SongUNet`."""
        sides.check_picture(OWNER, self, x.shape)
        embedding = self._embedding(c_noise, context)
        given = embedding, deterministic, self.remat, self.perturbed
        block = Blocks(EDM2Block, self._style(), *given)

        def first(name: str) -> Hidden:
            # A channel of ones stands for all biases.
            h = jnp.concatenate([x, jnp.ones_like(x[..., :1])], axis=-1).astype(self.dtype)
            return MPConv(sides.widths(self)[0], (3, 3), name=name)(h)

        joined = functools.partial(mp_cat, t=self.concat_balance)
        h = up(self, down(self, first, block), block, joined)
        gain = jnp.asarray(self.param("out_gain", nn.initializers.zeros, ()))
        h = MPConv(self.outputs * x.shape[-1], (3, 3), name="out_conv")(h, gain)
        return h.astype(jnp.promote_types(jnp.float32, self.dtype))

    def _style(self) -> EDM2Style:
        return EDM2Style(
            taps=self.resample_filter,
            channels_per_head=self.channels_per_head,
            dropout=self.dropout,
            res_balance=self.res_balance,
            attn_balance=self.attn_balance,
            clip_act=self.clip_act,
            attention_implementation=self.attention_implementation,
        )

    def _embedding(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Embedding:
        widths = sides.widths(self)
        noise, emb = self.channel_mult_noise, self.channel_mult_emb
        features = MPFourier(
            widths[0] if noise is None else noise * self.model_channels, name="emb_fourier"
        )
        wide = max(widths) if emb is None else emb * self.model_channels
        known = side_by_side(features, c_noise).astype(self.dtype)
        embedding = MPConv(wide, name="emb_noise")(known)
        pooled = None if context is None else context.pooled
        pooled = checks.vector(OWNER, "label_dim", self.label_dim, pooled, len(c_noise))
        if pooled is not None:
            scaled = (pooled * math.sqrt(pooled.shape[-1])).astype(self.dtype)
            label = MPConv(wide, name="emb_label")(scaled)
            embedding = mp_sum(embedding, label, self.label_balance)
        return mp_silu(embedding)
