"""Modules that hold their own parameters (flax nnx, Equinox) as functions of these."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Condition
from diffusion_jax.process.losses import Output
from diffusion_jax.process.objective import Network


@dataclasses.dataclass(frozen=True, eq=False)
class HeldParameters:
    """A module that is called with (x, c_noise, condition) and was made with its parameters.

    Training starts from these, whatever its seed.

    Attributes:
        module: as it was made.
        params: the first parameters.
        rebuilt: parameters -> the module with them.
    """

    module: object
    params: PyTree
    rebuilt: Callable[[PyTree], Network]

    def init(self, key: Key[Array, ""], x0: Float[Array, "1 ..."], condition: Condition) -> PyTree:
        """The parameters that the module was made with."""
        return self.params

    def apply(
        self,
        params: PyTree,
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, "batch *numbers"],
        condition: Condition,
        key: Key[Array, ""] | None,
    ) -> Output:
        """The module's output."""
        return self.rebuilt(params)(x, c_noise, condition)


def held_parameters(module: object) -> HeldParameters | None:
    """The functions that a module is: an nnx module, or a callable pytree such as Equinox's.

    Args:
        module: anything.

    Returns:
        None if it is no such module.

    Raises:
        UserError: it keeps state besides its parameters, which training does not update.
    """
    if isinstance(module, nnx.Module):
        graph, params, *rest = nnx.split(module, nnx.Param, ...)
        if others := jax.tree.leaves(rest):
            raise UserError(
                f"{type(module).__name__} keeps {len(others)} arrays beside its parameters, which "
                "training does not update: use layers without such state, such as GroupNorm in "
                "place of BatchNorm, and no dropout."
            )
        plain = nnx.to_pure_dict(params)
        return HeldParameters(module, plain, lambda params: nnx.merge(graph, _state(params)))
    leaves, structure = jax.tree.flatten(module)
    trained = [_is_trained(leaf) for leaf in leaves]
    if not callable(module) or isinstance(module, type) or not any(trained):
        return None
    fixed = [None if own else leaf for leaf, own in zip(leaves, trained, strict=True)]

    def rebuilt(params: list[Array]) -> Network:
        values = iter(params)
        merged = [next(values) if own else x for x, own in zip(fixed, trained, strict=True)]
        return jax.tree.unflatten(structure, merged)

    held = [x for x, own in zip(leaves, trained, strict=True) if own]
    return HeldParameters(module, held, rebuilt)


def _is_trained(leaf: object) -> bool:
    return isinstance(leaf, jax.Array) and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _state(params: PyTree) -> nnx.State:
    return nnx.State(jax.tree.map(nnx.Param, params))
