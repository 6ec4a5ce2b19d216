"""Where arrays live: one mesh over all devices of all processes, the batch split over it.

Everything is written for the global batch; `jax.jit` does the rest. The state is whole on every
device, so a run can go on with another number of devices.
"""

from typing import Any, TypeVar

import jax
import numpy as np
import psutil
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import PyTree

from diffusion_jax.errors import UserError

T = TypeVar("T")
AXIS = "data"


def free_memory() -> int:
    """Bytes that programs may take on each device of this process, what they hold included."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return host_memory() // len(jax.local_devices())


def host_memory() -> int:
    """Bytes that this process may take of the machine's memory, what it holds included."""
    return int(psutil.virtual_memory().available + psutil.Process().memory_info().rss)


def is_primary() -> bool:
    """Whether this is the process that writes files and talks to the user."""
    return jax.process_index() == 0


def from_primary(*numbers: float) -> list[float]:
    """The numbers that the first process has, in all of them; waits until all have called it."""
    return [float(x) for x in multihost_utils.broadcast_one_to_all(np.array(numbers))]


def data_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, 'data', over `devices` (all of them, process by process, if None).

    The order is that of processes, so that process p's rows are a contiguous block.
    """
    ordered = sorted(devices or jax.devices(), key=lambda d: (d.process_index, d.id))
    return Mesh(np.array(ordered), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_rows(mesh: Mesh) -> NamedSharding:
    """Split along the first axis."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def check_batch(batch_size: int, microbatches: int, mesh: Mesh) -> None:
    """Raises UserError unless every device gets as many rows of every microbatch."""
    parts = microbatches * mesh.size
    if batch_size < 1 or microbatches < 1 or batch_size % parts:
        fitting = max(1, round(batch_size / parts)) * parts if parts > 0 else 1
        raise UserError(
            f"training.batch_size={batch_size} cannot be split evenly over {mesh.size} device(s) "
            f"and training.microbatches={microbatches}: use a multiple of {parts}, "
            f"for example {fitting}."
        )


def replicate(tree: PyTree[Any], mesh: Mesh) -> PyTree[Any]:
    """Puts a copy of every array, the same in all processes, on every device.

    Always copies: the result may be donated without harm to `tree`.
    """

    def place(leaf: ArrayLike) -> jax.Array:
        host = np.array(leaf)
        return jax.make_array_from_callback(host.shape, replicated(mesh), lambda i: host[i])

    return jax.tree.map(place, tree)


def local(tree: PyTree[Any]) -> PyTree[Any]:
    """The copies, on one device of this process, of arrays that are whole on every device."""
    return jax.tree.map(lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x, tree)


def split_rows(tree: PyTree[np.ndarray], mesh: Mesh) -> PyTree[jax.Array]:
    """Makes the global batch from this process's rows of it, split over the devices."""
    sharding = by_rows(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)
