"""The class of a picture as released networks are told it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners.base import Condition, Context, conditioners
from diffusion_jax.networks.conditioners.labels import KEY, NO_LABEL, LabelConditioner

NONES = ("last", "zeros")


@conditioners.register("one_hot")
class OneHot(LabelConditioner):
    """A class as a vector of zeros with a single one, for networks that have their own table.

    It has no parameters: what the network does with the vector is the network's.

    Attributes:
        none: what stands for no class: "last", an entry of its own after those of the classes, as
            DiT has it; or "zeros", as EDM and guided diffusion have it.
        dtype: dtype of the vector.

    Raises:
        UserError: another `none`.

    >>> conditioner = OneHot(num_classes=2)
    >>> conditioner.apply({}, {"label": jnp.array([1, -1])}).pooled.tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    registered = "one_hot"

    none: str = "last"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self.none, NONES, "entry for no class of a one_hot")
        checks.size("one_hot", 1, self.num_classes)

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Encodes condition["label"], (batch,) int in [0, num_classes), or -1 for no class."""
        checks.positive_integers("one_hot", num_classes=self.num_classes)
        label = jnp.asarray(condition[KEY])
        last = self.none == "last"
        index = jnp.where((label == NO_LABEL) & last, self.num_classes, label)
        pooled = jax.nn.one_hot(index, self.num_classes + last, dtype=self.dtype)
        return Context(pooled[:, None], jnp.ones((len(label), 1), bool), pooled)
