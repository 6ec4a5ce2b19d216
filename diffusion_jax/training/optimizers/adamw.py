"""Adam with decoupled weight decay."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import optax
from jaxtyping import PyTree

from diffusion_jax.errors import one_of
from diffusion_jax.struct import Scalar, pytree, static
from diffusion_jax.training.optimizers.adam import Adam
from diffusion_jax.training.optimizers.base import optimizers


def _kernels(params: PyTree[Any]) -> PyTree[bool]:
    """Which parameters are weights of layers: of two axes or more, and no embedding."""

    def is_kernel(path: tuple[Any, ...], leaf: Any) -> bool:
        return leaf.ndim >= 2 and "embedding" not in [getattr(each, "key", None) for each in path]

    return jax.tree_util.tree_map_with_path(is_kernel, params)


# How which parameters lose weight is called -> which of a tree of them do.
DECAYED: dict[str, Callable[[PyTree[Any]], PyTree[bool]] | None] = {
    "all": None,
    "kernels": _kernels,
}


@optimizers.register("adamw")
@pytree
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Attributes:
        weight_decay: share of a parameter taken away by an update, times the learning rate.
        decayed: which parameters that is done to: "all", or "kernels", the weights of layers, so
            that biases, scales of norms and embeddings are left alone.
    """

    formula: ClassVar[str] = "m/(√v + eps) + weight_decay θ"

    weight_decay: Scalar = 1e-2
    decayed: str = static(default="all")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("weight_decay")
        one_of(self.decayed, DECAYED, "choice of parameters that decay")

    def rule(self) -> optax.GradientTransformation:
        decay = optax.add_decayed_weights(self.weight_decay, DECAYED[self.decayed])
        return optax.chain(super().rule(), decay)
