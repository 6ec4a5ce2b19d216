"""Files of which parts are looked at where they lie on disk, and copied only when they are read."""

import dataclasses
import math
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from diffusion_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class File:
    """A file as it was when it was opened; what is read of it later must be of the same file.

    Nothing is held open between two looks at it.

    Attributes:
        path: where it is.
        size: bytes.
        stamp: when it was last written, in nanoseconds, and its number on the disk.
    """

    path: Path
    size: int
    stamp: tuple[int, int]

    @classmethod
    def at(cls, path: Path) -> "File":
        """The file at a path, a regular one.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                told = os.fstat(file.fileno())
        except IsADirectoryError as error:
            raise UserError(f"{path} is a folder, not a file.") from error
        except OSError as error:
            raise UserError(f"Cannot read {path}: {error.strerror}.") from error
        if not stat.S_ISREG(told.st_mode):
            raise UserError(f"{path} is not a regular file.")
        return cls(path, told.st_size, _stamp(told))

    def head(self, count: int) -> bytes:
        """The first bytes, at most `count`."""
        return self.cut(0, min(count, self.size))

    def cut(self, start: int, count: int) -> bytes:
        """A copy of `count` bytes from `start`."""
        return self.bytes_at(start, count).tobytes()

    def bytes_at(self, start: int, count: int) -> np.ndarray:
        """`count` bytes from `start`, mapped: uint8, (count,), read-only.

        Raises:
            UserError: the file ends before, or is no longer the same.
        """
        if start < 0 or count < 0 or start + count > self.size:
            raise UserError(
                f"{self.path} is cut off: bytes {start} to {start + count} of {self.size} are "
                "asked for."
            )
        if count == 0:
            return np.empty(0, np.uint8)
        try:
            with open(self.path, "rb") as file:
                if _stamp(os.fstat(file.fileno())) != self.stamp:
                    raise UserError(f"{self.path} has been changed since it was opened.")
                return np.memmap(file, np.uint8, "r", start, (count,))
        except OSError as error:
            raise UserError(f"Cannot read {self.path}: {error.strerror}.") from error

    @contextmanager
    def mapped(self) -> Iterator[mmap.mmap]:
        """While entered, the whole file as bytes, of which only what is looked at is in memory.

        It must not be empty.
        """
        with open(self.path, "rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data


@dataclasses.dataclass(frozen=True)
class StridedArray:
    """An array somewhere in a file.

    Attributes:
        file: the file.
        start: byte at which its storage begins.
        dtype: of its numbers.
        shape: its sizes.
        strides: steps along each axis in numbers, from 0 on.
    """

    file: File
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, ranges: tuple[slice, ...]) -> np.ndarray:
        """The numbers of some ranges of the axes, mapped."""
        shape, first = [], 0
        for part, size, stride in zip(ranges, self.shape, self.strides, strict=True):
            low, high, _ = part.indices(size)
            shape.append(max(high - low, 0))
            first += low * stride
        count = extent(tuple(shape), self.strides)
        width = self.dtype.itemsize
        data = self.file.bytes_at(self.start + first * width if count else 0, count * width)
        steps = tuple(stride * width for stride in self.strides)
        return np.ndarray(tuple(shape), self.dtype, data, 0, steps)


def extent(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many numbers of a storage an array spans, from its first to its last."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def contiguous(shape: tuple[int, ...], reverse: bool = False) -> tuple[int, ...]:
    """The strides, in numbers, of an array in C order, or `reverse`, in Fortran's.

    >>> contiguous((2, 3, 4)), contiguous((2, 3, 4), reverse=True)
    ((12, 4, 1), (1, 2, 6))
    """
    if reverse:
        return tuple(math.prod(shape[:axis]) for axis in range(len(shape)))
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _stamp(told: os.stat_result) -> tuple[int, int]:
    return told.st_mtime_ns, told.st_ino


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe without waiting for what would be written to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
