"""Functions of a whole batch, asked by algorithms that follow each sample by itself."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree


def each(function: Callable[[PyTree], PyTree], example: PyTree) -> Callable[[PyTree], PyTree]:
    """A function of a batch as a function of one of its samples, for use under `jax.vmap` alone.

    A denoiser may hold what belongs to a whole batch (captions, guidance's scales), so it can be
    asked for a whole batch alone: this is what `vmap` turns the function back into. What the
    function holds is made an argument, since batching rules may not reach for it.

    Args:
        function: of a tree whose leaves have a row per sample, to another.
        example: such a tree.

    >>> known = jnp.array([1.0, 2.0])
    >>> one = each(lambda x: x + known, jnp.zeros(2))
    >>> jax.vmap(one)(jnp.array([10.0, 20.0])).tolist()
    [11.0, 22.0]
    """
    batch = jax.tree.leaves(example)[0].shape[0]

    def repeat(value: Array) -> Array:
        return jnp.broadcast_to(value, (batch, *value.shape))

    traced, shape = jax.make_jaxpr(function, return_shape=True)(example)

    def whole(held: list[Array], given: PyTree) -> PyTree:
        found = jax.core.eval_jaxpr(traced.jaxpr, held, *jax.tree.leaves(given))
        return jax.tree.unflatten(jax.tree.structure(shape), found)

    @jax.custom_batching.custom_vmap
    def one(held: list[Array], given: PyTree) -> PyTree:
        return jax.tree.map(lambda values: values[0], whole(held, jax.tree.map(repeat, given)))

    @one.def_vmap
    def rule(
        size: int, batched: Sequence[PyTree], held: list[Array], given: PyTree
    ) -> tuple[PyTree, PyTree]:
        # A branch on a sample's own number makes rows of all that it sees, which are all alike.
        held = [v[0] if is_batched else v for v, is_batched in zip(held, batched[0], strict=True)]
        rows = jax.tree.map(lambda v, is_batched: v if is_batched else repeat(v), given, batched[1])
        return whole(held, rows), jax.tree.map(lambda _: True, shape)

    return lambda given: one(traced.consts, given)
