"""Tensors of files onto devices, each part straight to where it belongs."""

from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np


@runtime_checkable
class TensorSource(Protocol):
    """A tensor of a file, of which nothing is read before it is indexed; or an array in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""
        ...

    @property
    def dtype(self) -> Any:
        """A dtype of NumPy."""
        ...

    def astype(self, dtype: Any, /) -> Any:
        """The same with numbers of another dtype."""
        ...

    def transpose(self, axes: Any, /) -> Any:
        """The same with its axes in another order."""
        ...

    def __getitem__(self, index: Any, /) -> Any:
        """That part of it, as an array of NumPy."""
        ...


def place(source: TensorSource, like: jax.ShapeDtypeStruct) -> jax.Array:
    """Reads a tensor into an array on devices.

    Every device is given the part that it is to hold, in the dtype that it is to hold it in. It is
    there when this returns, so that of tensors that are placed one after another there is never
    more than one in memory besides those that are placed.

    Args:
        source: of the shape of `like`.
        like: the shape, dtype and sharding; without a sharding it goes to JAX's default device.

    Raises:
        UserError: the tensor cannot be read, or not as what is asked for.
    """
    converted = source if source.dtype == like.dtype else source.astype(like.dtype)
    if like.sharding is None:
        return jax.device_put(_own(converted, ...)).block_until_ready()
    parts: dict[tuple[tuple[int | None, int | None], ...], np.ndarray] = {}

    def part(index: Any) -> np.ndarray:
        # Devices that hold the same part share one reading of it.
        key = tuple((each.start, each.stop) for each in index)
        if key not in parts:
            parts[key] = _own(converted, index)
        return parts[key]

    return jax.make_array_from_callback(like.shape, like.sharding, part).block_until_ready()


def _own(source: TensorSource, index: Any) -> np.ndarray:
    """A part that nobody else has: on a CPU its memory becomes the array's."""
    part: np.ndarray = source[index]
    return part.copy() if isinstance(source, np.ndarray) else part
