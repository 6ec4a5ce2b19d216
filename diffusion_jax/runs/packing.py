"""States as a few long arrays on the host, as which they are written and read at once.

Written one by one, some thousand small arrays take many times as long.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding
from jaxtyping import PyTree

from diffusion_jax.parallel.devices import local

States = Mapping[str, PyTree[Any]]
# arm -> dtype -> all its numbers of that dtype, (n,)
Joined = dict[str, dict[str, np.ndarray]]


def join(states: States) -> Joined:
    """All arrays of a state with one dtype behind each other, in the order of its leaves.

    Args:
        states: arm -> state, whole on every device.

    Returns:
        Copies on the host.
    """
    here = {arm: jax.tree.leaves(local(state)) for arm, state in states.items()}
    joined: Joined = {}
    for arm, leaves in jax.device_get(here).items():
        parts: dict[str, list[np.ndarray]] = {}
        for leaf in leaves:
            parts.setdefault(str(leaf.dtype), []).append(np.ravel(leaf))
        joined[arm] = {dtype: np.concatenate(each) for dtype, each in parts.items()}
    return joined


def split(joined: Joined, template: States) -> dict[str, PyTree[Any]]:
    """The inverse of `join`.

    Args:
        joined: what it returned.
        template: arm -> state of arrays or `jax.ShapeDtypeStruct`: the shapes, and on which
            devices they go; a leaf without a sharding stays as it is.
    """
    found = {}
    for arm, state in template.items():
        leaves, structure = jax.tree.flatten(state)
        used = dict.fromkeys(joined[arm], 0)
        arrays = []
        for leaf in leaves:
            dtype, start = str(leaf.dtype), used[str(leaf.dtype)]
            used[dtype] += leaf.size
            part = joined[arm][dtype][start : used[dtype]].reshape(leaf.shape)
            arrays.append(leaf if leaf.sharding is None else _placed(part, leaf.sharding))
        found[arm] = jax.tree.unflatten(structure, arrays)
    return found


def shapes(template: States) -> Joined:
    """What `join` returns for such states, but for the numbers."""
    sizes: dict[str, dict[str, int]] = {}
    for arm, state in template.items():
        own = sizes.setdefault(arm, {})
        for leaf in jax.tree.leaves(state):
            own[str(leaf.dtype)] = own.get(str(leaf.dtype), 0) + leaf.size
    return {
        arm: {dtype: np.empty(size, jax.numpy.dtype(dtype)) for dtype, size in own.items()}
        for arm, own in sizes.items()
    }


def digest(tree: PyTree[Any]) -> str:
    """SHA-256 of the numbers of arrays that are whole on every device, one after another."""
    found = hashlib.sha256()
    for leaf in jax.device_get(jax.tree.leaves(local(tree))):
        found.update(np.ascontiguousarray(leaf).view(np.uint8).data)
    return found.hexdigest()


def _placed(part: np.ndarray, sharding: Sharding) -> jax.Array:
    # A copy: the state is donated, and must not share its memory.
    own = np.array(part)
    return jax.make_array_from_callback(own.shape, sharding, lambda index: own[index])
