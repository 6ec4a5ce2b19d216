"""Whether a model fits into memory, said before it is read."""

import math
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import psutil
from jax.sharding import Sharding

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import Tensor


def free_memory() -> int:
    """Bytes that the default device has left: of an accelerator its own, of a CPU the machine's."""
    device = jax.local_devices()[0]
    told = device.memory_stats() if device.platform != "cpu" else None
    if told and "bytes_limit" in told:
        return int(told["bytes_limit"]) - int(told.get("bytes_in_use", 0))
    return int(psutil.virtual_memory().available)


def check_room(
    tensors: Iterable[Tensor], dtype: str, where: Path, sharding: Sharding | None = None
) -> None:
    """Refuses tensors that would not fit into memory.

    Args:
        tensors: that are to be read.
        dtype: that they are to have.
        where: what they are of, for the message.
        sharding: over which devices they are spread; None for the default device.

    Raises:
        UserError: they take more memory than is free.
    """
    count = sum(math.prod(tensor.shape) for tensor in tensors)
    devices = 1 if sharding is None else len(sharding.device_set)
    needed, free = count * jnp.dtype(dtype).itemsize / devices, free_memory()
    if needed > free:
        less = " As bfloat16 they take half of it." if dtype == "float32" else ""
        raise UserError(
            f"{where} has {count:,} parameters, which take {gigabytes(needed)} as {dtype}, and "
            f"{gigabytes(free)} of memory are free.{less}"
        )


def check_pictures(count: int, size: tuple[int, int], features: int) -> None:
    """Refuses pictures of which not even one layer would fit into memory.

    Args:
        count: pictures that are drawn at once.
        size: height and width in pixels.
        features: of a pixel in the layer, float32.

    Raises:
        UserError: it would take more memory than is free.
    """
    height, width = size
    needed, free = 4 * features * count * height * width, free_memory()
    if needed > free:
        some = f"{count} pictures" if count > 1 else "A picture"
        raise UserError(
            f"{some} of {width}x{height} cannot be drawn at once: one layer alone takes "
            f"{gigabytes(needed)}, and {gigabytes(free)} of memory are free."
        )


def gigabytes(count: float) -> str:
    """Bytes in words.

    >>> gigabytes(2_500_000_000), gigabytes(334_641_190), gigabytes(1200)
    ('2.50 GB', '0.335 GB', '1.2e-06 GB')
    """
    return f"{count / 1e9:.3g} GB" if count < 1e9 else f"{count / 1e9:.2f} GB"
