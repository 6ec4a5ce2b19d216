"""SiT as its authors released it, with their names of parameters."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.transformers.adaln import AdaLNTransformer


@networks.register("sit")
class SiT(AdaLNTransformer):
    """Scalable interpolant transformer of willisma/SiT: DiT whose prediction is a velocity.

    It is called with times in [0, 1], where 1 is data, and `context.pooled` is a one-hot vector of
    the classes and, last, of no class; without a context there is no class. The released SiT-XL/2
    has the default settings.

    Source: Ma et al. 2024, SiT: Exploring Flow and Diffusion-based Generative Models with Scalable
    Interpolant Transformers; models.py.

    Attributes:
        patch_size, hidden_size, depth, num_heads, mlp_ratio, remat: as of `OriginalDiT`.
        attention_implementation, perturbed, dtype: as of `OriginalDiT`.
        learn_sigma: whether a second half of the channels is computed, which nobody uses.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size.
    """

    learn_sigma: bool = True

    owner: ClassVar[str] = "sit"
    unused: ClassVar[tuple[str, ...]] = ("pos_embed",)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.switch(self.owner, learn_sigma=self.learn_sigma)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width channels"]:
        """Returns the network's raw prediction; `deterministic` decides nothing."""
        channels = x.shape[-1]
        computed = 2 * channels if self.learn_sigma else channels
        return self.transformed(x, c_noise, context, deterministic, computed)[..., :channels]
