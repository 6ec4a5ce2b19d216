"""NumPy's files: one array (`.npy`), or a zip archive of them (`.npz`); never with objects.

The header of an array is a Python literal in which only what NumPy writes is understood.

Source: NumPy's format, https://numpy.org/neps/nep-0001-npy-format.html.
"""

import dataclasses
import math
import re
from collections.abc import Callable

import ml_dtypes
import numpy as np

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers import archive
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.mapped import File, StridedArray, contiguous
from diffusion_jax.published.readers.tensor import Ranges, Tensor, checked_shape
from diffusion_jax.published.readers.weights import ALONE, Weights, without_twins

MAGIC = b"\x93NUMPY"
ENDING = ".npy"
LONGEST_HEADER = 10_000  # bytes; what follows it begins after at most twelve more
HEADER = re.compile(
    r"\{'descr': (?P<descr>'[^']*'|\[.*\]), 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>[0-9L, ]*)\),? *\} *\n",
    re.DOTALL,
)
SIMPLE = re.compile(r"'[<>|=](b1|[iu][1248]|f[248]|c8|c16)'")
# NumPy knows no name for it, and calls it two bytes of anything.
BFLOAT16 = ("'<V2'", "'|V2'")


@readers.register("npy")
@dataclasses.dataclass(frozen=True)
class Npy:
    """One array of NumPy, called `tensor`: `.npy`.

    Source: https://numpy.org/neps/nep-0001-npy-format.html
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it begins as every such file does."""
        return found.head.startswith(MAGIC)

    def open(self, found: PathContents) -> Weights:
        """Reads the header.

        Raises:
            UserError: it is damaged, or has objects.
        """
        assert found.file is not None
        file = found.file
        where = str(file.path)
        header = _header(file.head(LONGEST_HEADER + 12), where)
        if header.bytes != file.size:
            raise UserError(f"{where} has {file.size} bytes; its header tells of {header.bytes}.")
        return Weights(file.path, "npy", {ALONE: header.tensor(ALONE, file, 0)})


@readers.register("npz")
@dataclasses.dataclass(frozen=True)
class Npz:
    """Arrays of NumPy by name: `.npz`, compressed or not.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it is a zip archive with nothing but arrays."""
        names = zip_names(found)
        return bool(names) and all(name.endswith(ENDING) for name in names)

    def open(self, found: PathContents) -> Weights:
        """Reads the headers.

        Raises:
            UserError: it is damaged, or has objects.
        """
        assert found.file is not None
        file = found.file
        listed = archive.entries(file).items()
        pairs = ((name.removesuffix(ENDING), entry) for name, entry in listed)
        tensors = without_twins(str(file.path), ((name, _tensor(name, e)) for name, e in pairs))
        return Weights(file.path, "npz", tensors)


def zip_names(found: PathContents) -> list[str]:
    """The names of the entries of a zip archive; none if it is none."""
    if found.file is None or not found.head.startswith((archive.START, archive.EMPTY)):
        return []
    return list(archive.entries(found.file))


def _tensor(name: str, entry: archive.ArchiveEntry) -> Tensor:
    where = f"{entry.file.path}: {shown(entry.name)}"
    header = _header(entry.first(LONGEST_HEADER + 12), where)
    if header.bytes != entry.size:
        raise UserError(f"{where} has {entry.size} bytes; its header tells of {header.bytes}.")
    if entry.stored:
        return header.tensor(name, entry.file, entry.start)
    return header.handle(name, str(entry.file.path), _Packed(entry, header))


@dataclasses.dataclass(frozen=True)
class _Header:
    start: int  # byte at which the numbers begin
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool

    @property
    def bytes(self) -> int:
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def tensor(self, name: str, file: File, at: int) -> Tensor:
        strides = contiguous(self.shape, reverse=self.fortran)
        source = StridedArray(file, at + self.start, self.dtype, self.shape, strides)
        return self.handle(name, str(file.path), source)

    def handle(self, name: str, where: str, source: Callable[[Ranges], np.ndarray]) -> Tensor:
        return Tensor(name, where, self.shape, self.dtype, source)


@dataclasses.dataclass(frozen=True)
class _Packed:
    """Numbers that have to be unpacked, all of them, whichever are asked for."""

    entry: archive.ArchiveEntry
    header: _Header

    def __call__(self, ranges: Ranges) -> np.ndarray:
        numbers = self.entry.unpacked()[self.header.start :].view(self.header.dtype)
        whole = numbers.reshape(self.header.shape, order="F" if self.header.fortran else "C")
        return whole[ranges] if ranges else whole


def _header(data: bytes, where: str) -> _Header:
    """What the first bytes of an array say.

    Raises:
        UserError: they are damaged, or tell of objects or of structures.
    """
    version = data[6:7]
    wide = {b"\1": 2, b"\2": 4, b"\3": 4}.get(version, 0)
    length = int.from_bytes(data[8 : 8 + wide], "little")
    if not data.startswith(MAGIC) or not wide or length > LONGEST_HEADER:
        raise UserError(f"{where} is no array of NumPy, or one with too long a header.")
    start = 8 + wide + length
    match = HEADER.fullmatch(data[8 + wide : start].decode("latin-1"))
    if len(data) < start or match is None:
        raise UserError(f"{where} is damaged: its header is cut off, or not as NumPy writes it.")
    descr = match["descr"]
    if descr.strip("'|<>") == "O":
        raise UserError(f"{where} holds pickled objects, which are not read.")
    if descr not in BFLOAT16 and not SIMPLE.fullmatch(descr):
        raise UserError(f"{where} has the dtype {shown(descr)}, which is not read.")
    dtype = np.dtype(ml_dtypes.bfloat16 if descr in BFLOAT16 else descr.strip("'"))
    sizes = [size.strip().removesuffix("L") for size in match["shape"].split(",")]
    if not all(size.isdecimal() for size in sizes if size) or any(len(s) > 20 for s in sizes):
        raise UserError(f"{where} is damaged: its shape is ({match['shape'][:40]}).")
    shape = checked_shape([int(size) for size in sizes if size], where)
    return _Header(start, dtype, shape, match["fortran"] == "True")
