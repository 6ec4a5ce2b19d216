"""PRX: one stream for the picture, which attends to itself and to a text that stays as it is."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import attend, is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import (
    TimestepEmbedding,
    timestep_features,
    wide,
)
from diffusion_jax.networks.transformers.joint_attention import joint_mask
from diffusion_jax.networks.transformers.layers import (
    Dense,
    Tokens,
    Vector,
    ZeroDense,
    layer_norm,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.packing import packed, unpacked
from diffusion_jax.networks.transformers.rotary import (
    Rotation,
    check_axes,
    grid_places,
    rotated,
    rotation,
)

OWNER = "prx"
EPSILON = 1e-6
SIDE_FEATURES = 128  # sines and cosines of a side of the picture
LAYERS = "in_layer", "out_layer"


@networks.register(OWNER)
class PRX(nn.Module):
    """PRX's transformer (Photoroom), as diffusers' PRXTransformer2DModel.

    It is called with times from 0 for data to 1 for noise, and the features of a text in
    `context.tokens` with their mask; without a context the picture attends to itself alone.

    Source: Photoroom 2025, PRX; diffusers 0.42, transformer_prx.py. First values are those of DiT.

    Attributes:
        patch_size: side of a patch.
        hidden_size: features of a token.
        mlp_ratio: features within a layer for each of a token.
        num_heads: attention heads.
        depth: number of blocks.
        axes_dim: features of a head that turn with the row and with the column; their sum is that
            of a head.
        theta: longest period of the rotation over 2 pi.
        time_factor: by which times are multiplied.
        time_max_period: longest period of their sines over 2 pi.
        bottleneck_size: features that a patch is first reduced to; None is no such layer.
        resolution_embeds: whether it is told the picture's sides.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: blocks in which a row of the picture looks at itself and the text alone; () is
            all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size.
    """

    patch_size: int = 2
    hidden_size: int = 1792
    mlp_ratio: float = 3.5
    num_heads: int = 28
    depth: int = 16
    axes_dim: tuple[int, ...] | None = (32, 32)
    theta: float = 10_000
    time_factor: float = 1000.0
    time_max_period: float = 10_000
    bottleneck_size: int | None = None
    resolution_embeds: bool = False
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"
    outputs: int = 1

    original: ClassVar[str] = "PRXTransformer2DModel"
    fixed: ClassVar[dict[str, object]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "context_in_dim": ANY,  # as many as the context's tokens have
    }

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        side, channels = self.patch_size, configuration.get("in_channels", 16)
        text = told(configuration.get("context_in_dim", 2304))
        return rows(side, side, channels), rows(), text

    def __post_init__(self) -> None:
        super().__post_init__()
        width, heads = self.hidden_size, self.num_heads
        counts = {"patch_size": self.patch_size, "depth": self.depth, "outputs": self.outputs}
        checks.positive_integers(OWNER, hidden_size=width, num_heads=heads, **counts)
        if self.bottleneck_size is not None:
            checks.positive_integers(OWNER, bottleneck_size=self.bottleneck_size)
        checks.divides(OWNER, width, "hidden_size", heads, "the number of heads")
        checks.size(OWNER, self.depth, 18 * self.depth * width**2)
        checks.switch(OWNER, remat=self.remat, resolution_embeds=self.resolution_embeds)
        checks.attention(OWNER, self.attention_implementation, [width // heads], self.dtype)
        check_axes(OWNER, self.axes, 2, width // heads, "axes_dim")

    @property
    def axes(self) -> tuple[int, ...]:
        """Features of a head that turn with each axis."""
        return (32, 32) if self.axes_dim is None else self.axes_dim

    @property
    def self_attentions(self) -> int:
        """How many blocks attend."""
        return self.depth

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; `deterministic` decides nothing."""
        checks.picture_fits(OWNER, x.shape, self.patch_size, "its patch_size")
        rows, columns = (side // self.patch_size for side in x.shape[1:3])
        tokens = packed(x.astype(self.dtype), self.patch_size)
        h = self._embedded(tokens)
        words, mask = None, None
        if context is not None:
            mask = context.mask
            words = Dense(self.hidden_size, dtype=self.dtype, name="txt_in")(context.tokens)
        turn = rotation(grid_places(rows, columns), self.axes, self.theta)
        condition = self._condition(c_noise, x.shape[1:3])
        kind = rematerialised(PRXBlock) if self.remat else PRXBlock
        for i in range(self.depth):
            block = kind(
                self.num_heads,
                self.mlp_ratio,
                self.dtype,
                self.attention_implementation,
                is_perturbed(i, self.perturbed),
                name=f"blocks.{i}",
            )
            h = block(h, words, mask, condition, turn, deterministic)
        steer = modulations(condition, 2, self.dtype, "final_layer.adaLN_modulation.1")
        h = modulate(layer_norm(EPSILON, self.dtype)(h), *steer)
        features = self.outputs * tokens.shape[-1]
        h = ZeroDense(features, dtype=self.dtype, name="final_layer.linear")(h)
        return unpacked(h, rows, self.patch_size).astype(wide(self.dtype))

    def _embedded(self, tokens: Tokens) -> Float[Array, "batch tokens hidden"]:
        if self.bottleneck_size is None:
            result: Array = Dense(self.hidden_size, dtype=self.dtype, name="img_in")(tokens)
            return result
        few = Dense(self.bottleneck_size, dtype=self.dtype, name="img_in.0")(tokens)
        result = Dense(self.hidden_size, dtype=self.dtype, name="img_in.1")(few)
        return result

    def _condition(self, c_noise: Float[Array, "batch *numbers"], sides: tuple[int, ...]) -> Vector:
        """The time as a vector, with the picture's sides if they are told."""

        def embedded(name: str, features: Float[Array, "rows features"]) -> Array:
            return TimestepEmbedding(self.hidden_size, LAYERS, self.dtype, name=name)(features)

        features = timestep_features(
            c_noise,
            dtype=self.dtype,
            angles="float32",
            period=self.time_max_period,
            scale=self.time_factor,
        )
        condition = embedded("time_in", features)
        if not self.resolution_embeds:
            return condition
        each = timestep_features(
            jnp.asarray(sides, jnp.float32),
            SIDE_FEATURES,
            self.dtype,
            "float32",
            period=self.time_max_period,
        )
        return condition + embedded("resolution_embedder.mlp", each.reshape(1, -1))


class PRXBlock(nn.Module):
    """Attention to picture and text, and a gated GELU layer, steered by the time."""

    heads: int
    mlp_ratio: float
    dtype: str
    attention_implementation: str
    perturbed: bool

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        words: Float[Array, "batch words width"] | None,
        mask: Bool[Array, "batch words"] | None,
        condition: Vector,
        rotation: Rotation,
        deterministic: bool,
    ) -> Tokens:
        steer = modulations(condition, 6, self.dtype, "modulation.lin")
        hidden = modulate(layer_norm(EPSILON, self.dtype)(h), steer[0], steer[1])
        h += steer[2][:, None] * self._attention(hidden, words, mask, rotation)
        hidden = modulate(layer_norm(EPSILON, self.dtype)(h), steer[3], steer[4])
        width = h.shape[-1]
        features = int(width * self.mlp_ratio)
        gate, up = (self._dense(features, f"{name}_proj")(hidden) for name in ("gate", "up"))
        return h + steer[5][:, None] * self._dense(width, "down_proj")(nn.gelu(gate) * up)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return Dense(features, use_bias=False, dtype=self.dtype, name=name)

    def _attention(
        self,
        h: Tokens,
        words: Float[Array, "batch words width"] | None,
        mask: Bool[Array, "batch words"] | None,
        rotation: Rotation,
    ) -> Tokens:
        batch, rows, width = h.shape

        def parts(tokens: Tokens, count: int, name: str) -> Float[Array, "parts ..."]:
            found = self._dense(count * width, f"attention.{name}")(tokens)
            shape = batch, tokens.shape[1], count, self.heads, width // self.heads
            return jnp.moveaxis(found.reshape(shape), 2, 0)

        def norm(name: str) -> nn.RMSNorm:
            return nn.RMSNorm(EPSILON, dtype=self.dtype, name=f"attention.norm_{name}")

        query, key, value = parts(h, 3, "img_qkv_proj")
        query = rotated(norm("q")(query), rotation)
        key = rotated(norm("k")(key), rotation)
        length = 0 if words is None else words.shape[1]
        if words is not None:
            text_key, text_value = parts(words, 2, "txt_kv_proj")
            key = jnp.concatenate([norm("added_k")(text_key), key], axis=1)
            value = jnp.concatenate([text_value, value], axis=1)
        allowed = joint_mask(mask, length, rows, self.perturbed)
        if allowed is not None and allowed.shape[2] > 1:
            allowed = allowed[:, :, length:]  # the text asks for nothing
        mixed = attend(query, key, value, allowed, self.attention_implementation)
        return self._dense(width, "attention.to_out.0")(mixed.reshape(h.shape))
