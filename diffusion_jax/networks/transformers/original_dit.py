"""DiT as its authors released it, with their names of parameters."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.transformers.adaln import AdaLNTransformer


@networks.register("original_dit")
class OriginalDiT(AdaLNTransformer):
    """Diffusion transformer of facebookresearch/DiT: patches as tokens, steered by adaLN-zero.

    It is called with timesteps 0 … 999, and `context.pooled` is a one-hot vector of the classes
    and, last, of no class; without a context there is no class. The released DiT-XL/2 has the
    default settings and `outputs=2`. Patches have the places 0, 1, 2, … of a picture of any size.

    Source: Peebles & Xie 2022, Scalable Diffusion Models with Transformers; models.py.

    Attributes:
        patch_size: side of a patch.
        hidden_size: features of a token, a multiple of 4 and of num_heads.
        depth: number of blocks.
        num_heads: attention heads.
        mlp_ratio: features within a GELU layer for each of a token.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: self-attentions whose map is the identity; () is all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x; 2 with a variance (`learn_sigma`).

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size.

    >>> import jax, jax.numpy as jnp
    >>> network = OriginalDiT(hidden_size=8, depth=1, num_heads=2)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 4)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 4)
    """

    outputs: int = 1

    owner: ClassVar[str] = "original_dit"
    unused: ClassVar[tuple[str, ...]] = ("pos_embed",)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(self.owner, outputs=self.outputs)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; `deterministic` decides nothing."""
        return self.transformed(x, c_noise, context, deterministic, self.outputs * x.shape[-1])
