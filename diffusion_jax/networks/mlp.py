"""MLP score network for vectors: distributions in the plane, features, latents."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.embeddings import NoiseEmbedding
from diffusion_jax.networks.initializers import Dense


@networks.register("mlp")
class MLP(nn.Module):
    """Residual MLP whose layers are scaled and shifted by noise level and condition.

    h + Dense(silu(scale LayerNorm(Dense(h)) + shift)), `depth` times, between two linear maps;
    the last one starts at zero.

    Attributes:
        width: features of the hidden vector, even.
        depth: residual layers.
        dropout: fraction of hidden activations dropped in each layer while training.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; parameters and result are float32.

    Raises:
        UserError: a setting that cannot work, or an input that is not a batch of vectors.

    >>> import jax
    >>> network = MLP(width=8, depth=1)
    >>> x, c_noise = jnp.zeros((5, 2)), jnp.zeros(5)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (5, 2)
    """

    width: int = 128
    depth: int = 3
    dropout: float = 0.0
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("mlp", width=self.width, depth=self.depth, outputs=self.outputs)
        checks.size("mlp", self.depth, 2 * self.depth * self.width**2)
        checks.divides("mlp", self.width, "width", 2, "for sines and cosines")
        checks.fraction("mlp", dropout=self.dropout)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch features"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch outputs"]:
        """Returns the network's raw prediction for x, (batch, features); else as in `UNet`."""
        checks.vector_fits("mlp", x.shape)
        pooled = None if context is None else context.pooled
        embedding = NoiseEmbedding(self.width, self.dtype)(c_noise, pooled)
        h = Dense(self.width, dtype=self.dtype, name="in")(x)
        for _ in range(self.depth):
            h += self._layer(h, embedding, deterministic)
        zeros = nn.initializers.zeros_init()
        h = Dense(self.outputs * x.shape[-1], kernel_init=zeros, dtype=self.dtype, name="zero_out")(
            h
        )
        return h.astype(jnp.float32)

    def _layer(
        self,
        h: Float[Array, "batch width"],
        embedding: Float[Array, "batch width"],
        deterministic: bool,
    ) -> Float[Array, "batch width"]:
        modulation = Dense(2 * self.width, dtype=self.dtype)(embedding)
        scale, shift = jnp.split(modulation, 2, axis=-1)
        hidden = Dense(self.width, dtype=self.dtype)(h)
        hidden = nn.LayerNorm(use_bias=False, use_scale=False, dtype=self.dtype)(hidden)
        hidden = nn.silu(hidden * (1 + scale) + shift)
        hidden = nn.Dropout(self.dropout)(hidden, deterministic=deterministic)
        return Dense(self.width, dtype=self.dtype)(hidden)
