"""DiT in the layout of diffusers, whose blocks embed timestep and class each for itself."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.transformers.diffusers_layout import (
    SteeredBlock,
    SteeredTransformer,
    Table,
)
from diffusion_jax.networks.transformers.embeddings import (
    ClassTable,
    TimestepEmbedding,
    timestep_features,
)
from diffusion_jax.networks.transformers.layers import (
    Tokens,
    Vector,
    layer_norm,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.positions import sincos_table

OWNER = "diffusers_dit"


@networks.register(OWNER)
class DiffusersDiT(SteeredTransformer):
    """DiT as diffusers' DiTTransformer2DModel: adaLN-zero blocks with embeddings of their own.

    The same network as `OriginalDiT` but for how its parameters are named and parted, the last
    frequency of the timestep's features, and places that are stretched to `sample_size`. It is
    called with timesteps 0 … 999, and `context.pooled` is a one-hot vector of the classes and,
    last, of no class; without a context there is no class. The released DiT-XL/2 has the default
    settings and `outputs=2`.

    Source: Peebles & Xie 2022, Scalable Diffusion Models with Transformers; diffusers 0.42,
    dit_transformer_2d.py.

    Attributes:
        norm_elementwise_affine: whether the norm before the layer after attention has a scale and a
            shift.
        norm_eps: of that norm.
        others: as of a `SteeredTransformer`.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size.
    """

    owner: ClassVar[str] = OWNER
    original: ClassVar[str] = "DiTTransformer2DModel"
    fixed: ClassVar[dict[str, object]] = {
        "norm_type": "ada_norm_zero",
        "in_channels": ANY,  # those of the pictures that it is given
        "num_embeds_ada_norm": ANY,  # one less than the entries of the one-hot vector
        "norm_num_groups": ANY,  # of another norm_type
        "upcast_attention": ANY,  # the softmax is always at least in float32
    }

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        x = rows(self.sample_size, self.sample_size, configuration.get("in_channels", 4))
        return x, rows(), told(pooled=configuration.get("num_embeds_ada_norm", 1000) + 1)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; arguments as in `UNet`."""
        base = self.sample_size // self.patch_size

        def places(rows: int, columns: int) -> Table:
            return jnp.asarray(sincos_table(rows, columns, self.width, base))

        h, sides = self._patched(x, places)
        features = timestep_features(c_noise, dtype=self.dtype, angles="float32", shift=1.0)
        conditions = []
        for i in range(self.num_layers):
            conditions.append(self._condition(i, features, context))
            h = self._block(DiffusersDiTBlock, i)(h, conditions[i], deterministic)
        shift, scale = modulations(conditions[0], 2, self.dtype, "proj_out_1")
        h = modulate(layer_norm(1e-6, self.dtype)(h), shift, scale)
        return self._picture(h, sides, x.shape[-1], "proj_out_2")

    def _condition(
        self, i: int, features: Float[Array, "batch features"], context: Context | None
    ) -> Vector:
        """What steers block i, from parameters that are the block's in the original."""
        owner = f"transformer_blocks.{i}.norm1.emb"
        layers = "linear_1", "linear_2"
        name = f"{owner}.timestep_embedder"
        condition = TimestepEmbedding(self.width, layers, self.dtype, name=name)(features)
        if context is not None:
            name = f"{owner}.class_embedder.embedding_table"
            condition += ClassTable(self.width, self.dtype, name=name)(context.pooled)
        return condition


class DiffusersDiTBlock(SteeredBlock):
    """Attention and the layer after it, each scaled, shifted and gated by the condition."""

    @nn.compact
    def __call__(self, h: Tokens, condition: Vector, deterministic: bool) -> Tokens:
        steer = modulations(condition, 6, self.dtype, "norm1.linear")
        attention = self._attention("attn1", self.perturbed)
        hidden = modulate(layer_norm(1e-6, self.dtype)(h), steer[0], steer[1])
        h += steer[2][:, None] * attention(hidden, None, None, deterministic)
        hidden = self._normalised(h, "norm3", steer[3], steer[4])
        return h + steer[5][:, None] * self._layer(hidden, deterministic)
