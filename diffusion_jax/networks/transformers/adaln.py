"""Transformer over patches that the noise level and a class steer: what DiT and SiT are."""

import functools
from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.patches import from_patches
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import (
    ClassTable,
    TimestepEmbedding,
    timestep_features,
    wide,
)
from diffusion_jax.networks.transformers.fused_attention import FusedAttention
from diffusion_jax.networks.transformers.layers import (
    PatchProjection,
    Tokens,
    TwoLayers,
    Vector,
    ZeroDense,
    layer_norm,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.positions import sincos_table

EPSILON = 1e-6


class AdaLNTransformer(nn.Module):
    """What DiT and SiT share; the fields are explained there."""

    patch_size: int = 2
    hidden_size: int = 1152
    depth: int = 28
    num_heads: int = 16
    mlp_ratio: float = 4.0
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"

    owner: ClassVar[str] = "transformer"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(
            self.owner,
            patch_size=self.patch_size,
            hidden_size=self.hidden_size,
            depth=self.depth,
            num_heads=self.num_heads,
        )
        width = self.hidden_size
        checks.divides(self.owner, width, "hidden_size", 4, "for sines and cosines of two axes")
        checks.divides(self.owner, width, "hidden_size", self.num_heads, "the number of heads")
        checks.size(self.owner, self.depth, 18 * self.depth * width**2)
        checks.switch(self.owner, remat=self.remat)
        head = [width // self.num_heads]
        checks.attention(self.owner, self.attention_implementation, head, self.dtype)

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        return self.depth

    def transformed(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None,
        deterministic: bool,
        channels: int,
    ) -> Float[Array, "batch height width {channels}"]:
        """The raw prediction with so many channels."""
        checks.picture_fits(self.owner, x.shape, self.patch_size, "its patch_size")
        width = self.hidden_size
        patches = PatchProjection(self.patch_size, width, self.dtype, name="x_embedder.proj")(x)
        rows, columns = patches.shape[1:3]
        h = patches + sincos_table(rows, columns, width).astype(self.dtype)
        h = h.reshape(len(x), rows * columns, width)
        features = timestep_features(c_noise, dtype=self.dtype)
        embed = TimestepEmbedding(width, ("mlp.0", "mlp.2"), self.dtype, name="t_embedder")
        condition = embed(features)
        if context is not None:
            table = ClassTable(width, self.dtype, name="y_embedder.embedding_table")
            condition += table(context.pooled)
        block = rematerialised(AdaLNBlock) if self.remat else AdaLNBlock
        settings = self.num_heads, self.mlp_ratio, self.dtype, self.attention_implementation
        for i in range(self.depth):
            call = block(*settings, is_perturbed(i, self.perturbed), name=f"blocks.{i}")
            h = call(h, condition, deterministic)
        h = FinalLayer(self.patch_size**2 * channels, self.dtype, name="final_layer")(h, condition)
        h = h.reshape(len(x), rows, columns, -1)
        return from_patches(h, self.patch_size).astype(wide(self.dtype))


class AdaLNBlock(nn.Module):
    """Attention and a GELU layer, each scaled, shifted and gated by the condition."""

    heads: int
    mlp_ratio: float
    dtype: str
    attention_implementation: str = "xla"
    perturbed: bool = False

    @nn.compact
    def __call__(self, h: Tokens, condition: Vector, deterministic: bool) -> Tokens:
        width = h.shape[-1]
        steer = modulations(condition, 6, self.dtype, "adaLN_modulation.1")
        norm = functools.partial(layer_norm, EPSILON, self.dtype)
        attention = FusedAttention(
            self.heads, self.dtype, self.attention_implementation, self.perturbed, name="attn"
        )
        h += steer[2][:, None] * attention(modulate(norm()(h), steer[0], steer[1]))
        hidden = int(width * self.mlp_ratio)
        mlp = TwoLayers(hidden, ("fc1", "fc2"), self.dtype, name="mlp")
        return h + steer[5][:, None] * mlp(modulate(norm()(h), steer[3], steer[4]))


class FinalLayer(nn.Module):
    """A norm, scaled and shifted by the condition, and a linear map that starts at 0."""

    features: int
    dtype: str

    @nn.compact
    def __call__(
        self, h: Tokens, condition: Vector
    ) -> Float[Array, "batch tokens {self.features}"]:
        shift, scale = modulations(condition, 2, self.dtype, "adaLN_modulation.1")
        h = modulate(layer_norm(EPSILON, self.dtype)(h), shift, scale)
        result: Array = ZeroDense(self.features, dtype=self.dtype, name="linear")(h)
        return result
