"""A tensor that lies in a file: its shape and dtype are known, its numbers are read by parts."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any

import numpy as np
import psutil

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers.dtypes import convert

Index = EllipsisType | int | slice | tuple[EllipsisType | int | slice, ...]
Ranges = tuple[slice, ...]
MOST_AXES = 32  # that an array may have, as in NumPy's first thirty years
CERTAIN = 2**26  # bytes that any machine has


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor in a file; it is used as an array is, and nothing is read before it is indexed.

    Attributes:
        name: what its file calls it.
        where: of the file, for messages.
        shape: its sizes, from 0 on.
        dtype: of its numbers when they are read.
        source: ranges, one for each axis → the numbers there as they are stored: an array of the
            caller's, or a view of mapped memory.
    """

    name: str
    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    source: Callable[[Ranges], np.ndarray] = dataclasses.field(repr=False)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers once they are read."""
        return self.size * self.dtype.itemsize

    def read(self, dtype: Any = None, index: Index = ...) -> np.ndarray:
        """Reads its numbers, or a part of them; nothing else is copied.

        Args:
            dtype: what to convert them to, see `dtypes.convert`; the tensor's if None.
            index: numbers and slices of step 1, as for an array.

        Returns:
            An array of its own, in C order and the machine's byte order.

        Raises:
            UserError: the file is no longer the same, the numbers cannot have that dtype, there is
                no memory for them, or there is no such part.
        """
        wanted = np.dtype(dtype if dtype is not None else self.dtype).newbyteorder("=")
        what = f"{self.where}: tensor {shown(self.name)}"
        ranges, kept = _ranges(index, self.shape, what)
        sizes = [part.stop - part.start for part in ranges]
        check_memory(math.prod(sizes) * wanted.itemsize, what)
        part = self.source(ranges)
        if list(part.shape) != sizes:
            raise UserError(f"{what} was read as {part.shape}, in place of {tuple(sizes)}.")
        return convert(part, wanted, what).reshape([sizes[axis] for axis in kept])

    def __getitem__(self, index: Index) -> np.ndarray:
        """Reads a part of it, as `read` does."""
        return self.read(None, index)

    def astype(self, dtype: Any) -> "Tensor":
        """The same tensor, converted when it is read."""
        return dataclasses.replace(self, dtype=np.dtype(dtype))

    def transpose(self, axes: Sequence[int]) -> "Tensor":
        """The same tensor with its axes in another order.

        Args:
            axes: a permutation; entry i is which axis becomes axis i.
        """
        order = tuple(int(axis) for axis in axes)
        if sorted(order) != list(range(self.ndim)):
            raise UserError(f"Tensor {shown(self.name)} of shape {self.shape} has no axes {order}.")
        back = np.argsort(order).tolist()

        def source(ranges: Ranges) -> np.ndarray:
            return self.source(tuple(ranges[axis] for axis in back)).transpose(order)

        shape = tuple(self.shape[axis] for axis in order)
        return dataclasses.replace(self, shape=shape, source=source)

    def reshape(self, shape: Sequence[int]) -> "Tensor":
        """The same numbers, in C order, in another shape; read whole whatever part is asked for."""
        sizes = checked_shape(tuple(shape), f"Tensor {shown(self.name)}")
        if math.prod(sizes) != self.size:
            raise UserError(f"Tensor {shown(self.name)} of shape {self.shape} cannot be {sizes}.")

        def source(ranges: Ranges) -> np.ndarray:
            whole = self.source(tuple(slice(0, size) for size in self.shape)).reshape(sizes)
            return whole[ranges] if ranges else whole

        return dataclasses.replace(self, shape=sizes, source=source)


def check_memory(count: int, what: str) -> None:
    """Raises UserError if there is no memory for so many bytes, before any are asked for."""
    if count > CERTAIN and count > (free := psutil.virtual_memory().available):
        raise UserError(f"{what} needs {count:,} bytes of memory; {free:,} are free.")


def brief(value: Any) -> str:
    """A value of a file in a few words, however large it is or often it holds itself.

    >>> brief("a" * 1000)[-3:], brief((2, 3)), brief([[[]]])
    ('aa…', '(2, 3)', 'a list')
    """
    if isinstance(value, str | bytes):
        return shown(value[:200])
    parts = value if isinstance(value, list | tuple) and len(value) <= MOST_AXES else [value]
    if value == [] or not all(isinstance(part, int | float | None) for part in parts):
        return f"a {type(value).__name__}"
    return shown(value)


def checked_shape(shape: Any, where: str) -> tuple[int, ...]:
    """A shape as a file tells it: whole numbers from 0 on, not too many.

    Args:
        shape: a list or tuple of anything.
        where: whose it is, for the message.

    Raises:
        UserError: it is no shape, or one of more numbers than any memory holds.
    """
    right = isinstance(shape, list | tuple) and len(shape) <= MOST_AXES
    if not right or not all(type(size) is int and 0 <= size < 2**63 for size in shape):
        raise UserError(f"{where} has the shape {brief(shape)}; sizes are whole numbers from 0 on.")
    if math.prod(max(size, 1) for size in shape) >= 2**60:
        raise UserError(f"{where} has the shape {brief(shape)}, more than any memory holds.")
    return tuple(shape)


def _ranges(index: Index, shape: tuple[int, ...], what: str) -> tuple[Ranges, list[int]]:
    """A range for each axis, and the axes that stay: those asked for by ranges, not by numbers."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if parts.count(...) > 1 or len(parts) - parts.count(...) > len(shape):
        raise UserError(f"{what} of shape {shape} has no part {shown(index)}.")
    at = parts.index(...) if ... in parts else len(parts)
    rest: list[Any] = [slice(None)] * (len(shape) - len(parts) + parts.count(...))
    parts = [*parts[:at], *rest, *parts[at + 1 :]]
    ranges, kept = [], []
    for axis, (part, size) in enumerate(zip(parts, shape, strict=True)):
        if isinstance(part, slice) and part.step in (None, 1):
            low, high, _ = part.indices(size)
            ranges.append(slice(low, max(low, high)))
            kept.append(axis)
        elif isinstance(part, int) and -size <= part < size:
            ranges.append(slice(part % size, part % size + 1))
        else:
            raise UserError(f"{what} of shape {shape} has no part {shown(index)}.")
    return tuple(ranges), kept
