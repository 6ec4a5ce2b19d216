"""The residual block of EDM2's U-Net, in which all keeps its magnitude.

Source: Karras et al. 2024 (EDM2), figure 21 and appendix B; github.com/NVlabs/edm2,
training/networks_edm2.py.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.magnitude_preserving import MPConv, mp_silu, mp_sum, normalize
from diffusion_jax.networks.resample import resample

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]
Embedding = Float[Array, "batch embedding"]


@dataclasses.dataclass(frozen=True)
class EDM2Style:
    """What the blocks of a network have in common.

    Attributes:
        taps: of the filter that resamples.
        channels_per_head: features of an attention head; a block with fewer channels has no
            attention.
        dropout: fraction of activations dropped in each block while training.
        res_balance: share of the branch in its sum with what passes it by.
        attn_balance: share of the attention.
        clip_act: largest size of what a block gives; None is any.
        attention_implementation: as of a `DiT`.
    """

    taps: tuple[float, ...]
    channels_per_head: int
    dropout: float
    res_balance: float
    attn_balance: float
    clip_act: float | None
    attention_implementation: str

    def heads(self, channels: int) -> int:
        """Attention heads of a block with so many channels."""
        return channels // self.channels_per_head


class EDM2Block(nn.Module):
    """Two convolutions beside what passes them by; then attention, or none.

    On the way down, where names begin with "enc.", pixels are normalised first.

    Attributes:
        features: channels of the result.
        style: of the network.
        mode: of `resample`.
        attends: whether attention follows.
        perturbed: whether the map of the attention is the identity.
    """

    features: int
    style: EDM2Style
    mode: str = "keep"
    attends: bool = False
    perturbed: bool = False

    @nn.compact
    def __call__(self, x: Picture, embedding: Embedding, deterministic: bool) -> Result:
        style, widens = self.style, x.shape[-1] != self.features
        encodes = str(self.name).startswith("enc.")
        skip = MPConv(self.features, (1, 1), name="conv_skip") if widens else lambda x: x
        x = resample(x, self.mode, style.taps)
        if encodes:
            x = normalize(skip(x), axis=-1)
        h = MPConv(self.features, (3, 3), name="conv_res0")(mp_silu(x))
        gain = jnp.asarray(self.param("emb_gain", nn.initializers.zeros, ()))
        steer = MPConv(self.features, name="emb_linear")(embedding, gain) + 1
        h = mp_silu(h * steer[:, None, None].astype(h.dtype))
        h = nn.Dropout(style.dropout)(h, deterministic=deterministic)
        h = MPConv(self.features, (3, 3), name="conv_res1")(h)
        x = mp_sum(x if encodes else skip(x), h, style.res_balance)
        if self.attends:
            x = mp_sum(x, self._attention(x), style.attn_balance)
        return x if style.clip_act is None else jnp.clip(x, -style.clip_act, style.clip_act)

    def _attention(self, x: Picture) -> Picture:
        """Each place looks at all places, by queries, keys and values of magnitude 1."""
        batch, height, width, channels = x.shape
        heads = self.style.heads(channels)
        qkv = MPConv(3 * channels, (1, 1), name="attn_qkv")(x)
        qkv = qkv.reshape(batch, height * width, heads, channels // heads, 3)
        query, key, value = jnp.moveaxis(normalize(qkv, axis=3), -1, 0)
        mixed = value
        if not self.perturbed:
            how = self.style.attention_implementation
            mixed = attend(query, key, value, implementation=how)
        return MPConv(channels, (1, 1), name="attn_proj")(mixed.reshape(x.shape))
