"""The class of a picture as a learned vector."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners.base import Condition, Context, conditioners
from diffusion_jax.networks.conditioners.labels import KEY, NO_LABEL, LabelConditioner, class_of
from diffusion_jax.networks.initializers import unit_normal

__all__ = ["ClassLabel", "class_of"]


@conditioners.register("label")
class ClassLabel(LabelConditioner):
    """A class as one learned vector of standard deviation 1, with one more for "no class".

    Attributes:
        num_classes: number of classes; as many as there are names, once it has learnt them.
        width: features of the vector.
        dtype: dtype of the computation.
        class_names: by which users ask; learnt from the data set.

    >>> import jax
    >>> labels, conditioner = {"label": jnp.array([2, -1])}, ClassLabel(num_classes=3, width=8)
    >>> context, _ = jax.eval_shape(conditioner.init_with_output, jax.random.key(0), labels)
    >>> context.pooled.shape
    (2, 8)
    """

    registered = "label"

    width: int = 64
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("label", width=self.width)
        checks.size("label", 1, self.num_classes * self.width)

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Encodes condition["label"], (batch,) int in [0, num_classes), or -1 for no class."""
        checks.positive_integers("label", num_classes=self.num_classes)
        label = condition[KEY]
        index = jnp.where(label == NO_LABEL, self.num_classes, label)
        classes = nn.Embed(
            self.num_classes + 1, self.width, embedding_init=unit_normal, name="classes"
        )
        pooled = classes(index).astype(self.dtype)
        return Context(pooled[:, None], jnp.ones((len(label), 1), bool), pooled)
