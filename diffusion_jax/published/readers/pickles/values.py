"""What stands on the stack of a pickle in the place of objects."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers.mapped import File, StridedArray, contiguous, extent
from diffusion_jax.published.readers.tensor import Tensor, brief, checked_shape

MOST_REPEATED = 2**24  # numbers of a tensor that has more of them than are stored


@dataclasses.dataclass(frozen=True)
class ByteRange:
    """Bytes that stay in the file: `count` of them from `start`."""

    start: int
    count: int


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function that is asked for, by where Python would look for it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclasses.dataclass(frozen=True)
class StorageKind:
    """A class of PyTorch's storages; of bytes, if no dtype is told."""

    dtype: np.dtype


@dataclasses.dataclass(eq=False)
class Record:
    """What is left of an object: its class by name, and its data.

    Attributes:
        kind: the class.
        arguments: what it was to be made with.
        items: what it holds as a mapping.
        entries: what it holds as a list.
        state: its attributes.
    """

    kind: str
    arguments: tuple[Any, ...] = ()
    items: dict[Any, Any] = dataclasses.field(default_factory=dict)
    entries: list[Any] = dataclasses.field(default_factory=list)
    state: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def build(self, state: Any, where: str) -> None:
        """Takes the attributes that a pickle gives it: a mapping, or that and one of slots."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, Record):
                self.state |= part.items | part.state
            elif isinstance(part, dict):
                self.state |= part
            elif part is not None:
                self.state["state"] = part


@dataclasses.dataclass(eq=False)
class Storage:
    """PyTorch's memory of one or more tensors.

    Attributes:
        dtype: of its numbers.
        count: how many there are.
        start: the byte of the file at which they begin, once that is known.
    """

    dtype: np.dtype
    count: int
    start: int | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers."""
        return self.count * self.dtype.itemsize


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor of PyTorch: some numbers of a storage.

    Attributes:
        storage: where they are.
        dtype: of the numbers.
        offset: of the first, in numbers.
        shape: its sizes.
        strides: steps along each axis, in numbers.
    """

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def handle(self, name: str, file: File) -> Tensor:
        """The tensor under a name.

        Raises:
            UserError: its storage is missing in the file.
        """
        if self.storage.start is None:
            raise UserError(f"{file.path}: tensor {shown(name)} has no storage in the file.")
        start = self.storage.start + self.offset * self.dtype.itemsize
        source = StridedArray(file, start, self.dtype, self.shape, self.strides)
        return Tensor(name, str(file.path), self.shape, self.dtype, source)


@dataclasses.dataclass(frozen=True, eq=False)
class JoinedArray:
    """An array whose numbers lie in pieces, which are put together when it is read.

    Attributes:
        parts: the pieces, each of one axis.
        shape: of all.
    """

    parts: tuple[StoredTensor, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, parts: Sequence[StoredTensor], shape: tuple[int, ...], where: str) -> "JoinedArray":
        """The array that pieces are.

        Raises:
            UserError: they are not as long together as it is.
        """
        if sum(part.shape[0] for part in parts) != math.prod(shape):
            raise UserError(f"{where}: an array of shape {shape} lies in pieces that are not it.")
        return cls(tuple(parts), shape)

    def handle(self, name: str, file: File) -> Tensor:
        """The array under a name."""
        handles = [part.handle(name, file) for part in self.parts]
        dtype = handles[0].dtype

        def source(ranges: tuple[slice, ...]) -> np.ndarray:
            whole = np.concatenate([handle.source((slice(None),)) for handle in handles])
            return whole.reshape(self.shape)[ranges]

        return Tensor(name, str(file.path), self.shape, dtype, source)


def stored_tensor(
    storage: Any, dtype: np.dtype, offset: Any, shape: Any, strides: Any, where: str
) -> StoredTensor:
    """A tensor as a pickle tells it, which lies within its storage.

    Raises:
        UserError: it does not, or is told wrongly.
    """
    sizes = checked_shape(shape, f"{where}: a tensor")
    right = isinstance(storage, Storage) and isinstance(strides, tuple) and _whole(offset)
    if not right or len(strides) != len(sizes) or not all(map(_whole, strides)):
        wrong = f"{where}: a tensor of shape {sizes} and strides {brief(strides)}"
        raise UserError(f"{wrong} is damaged: its storage, offset or strides are none.")
    wrong = f"{where}: a tensor of shape {sizes} and strides {strides}"
    room = storage.nbytes // dtype.itemsize
    needed = extent(sizes, strides)
    if needed and offset + needed > room:
        raise UserError(f"{wrong} from {offset} on leaves its storage of {room} numbers.")
    count = math.prod(sizes)
    if count > max(room, MOST_REPEATED):
        raise UserError(f"{wrong} repeats its {room} numbers too often to be meant.")
    return StoredTensor(storage, dtype, offset, sizes, strides)


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


@dataclasses.dataclass(eq=False)
class PickledDtype:
    """A dtype of NumPy: a letter and a size, then perhaps a byte order."""

    name: str
    order: str = "="

    def build(self, state: Any, where: str) -> None:
        """Takes the byte order."""
        order = state[1] if isinstance(state, tuple) and len(state) > 2 else None
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UserError(f"{where}: a dtype of NumPy has fields, which are not read.")
        self.order = order

    def dtype(self, where: str) -> np.dtype:
        """The dtype itself.

        Raises:
            UserError: it is of objects, or of anything but numbers.
        """
        simple = {"b1", "i1", "u1", "c8", "c16"}
        simple |= {f"{kind}{size}" for kind in "iuf" for size in (2, 4, 8)}
        if self.name not in simple:
            kind = "pickled objects" if self.name.startswith("O") else f"dtype {self.name[:20]!r}"
            raise UserError(f"{where}: an array of NumPy has {kind}, which are not read.")
        return np.dtype(self.name).newbyteorder(self.order)  # type: ignore[arg-type]


@dataclasses.dataclass(eq=False)
class PickledArray:
    """An array of NumPy, whose numbers lie in the file, or, in old pickles, in a text."""

    shape: tuple[int, ...] = (0,)
    dtype: np.dtype = dataclasses.field(default_factory=lambda: np.dtype("uint8"))
    fortran: bool = False
    data: ByteRange | bytes = b""

    def build(self, state: Any, where: str) -> None:
        """Takes version, shape, dtype, order and bytes."""
        if not (isinstance(state, tuple) and len(state) == 5):
            raise UserError(f"{where}: an array of NumPy is damaged.")
        _, shape, dtype, fortran, data = state
        self.fill(shape, dtype, fortran is True, data, where)

    def fill(self, shape: Any, dtype: Any, fortran: bool, data: Any, where: str) -> None:
        """Takes shape, dtype, order and bytes, which must fit each other."""
        if not isinstance(dtype, PickledDtype):
            raise UserError(f"{where}: an array of NumPy has no dtype.")
        self.shape, self.dtype = checked_shape(shape, f"{where}: an array"), dtype.dtype(where)
        self.fortran = fortran
        data = data.encode("latin-1", "replace") if isinstance(data, str) else data
        if not isinstance(data, ByteRange | bytes):
            raise UserError(f"{where}: an array of NumPy has no bytes.")
        self.data = data
        count = data.count if isinstance(data, ByteRange) else len(data)
        if count != math.prod(self.shape) * self.dtype.itemsize:
            raise UserError(f"{where}: an array of shape {self.shape} has {count} bytes.")

    def handle(self, name: str, file: File) -> Tensor:
        """The array under a name."""
        strides = contiguous(self.shape, reverse=self.fortran)
        if isinstance(self.data, ByteRange):
            source: Any = StridedArray(file, self.data.start, self.dtype, self.shape, strides)
        else:
            whole = np.frombuffer(self.data, self.dtype)
            steps = tuple(stride * self.dtype.itemsize for stride in strides)
            kept = np.ndarray(self.shape, self.dtype, whole, 0, steps)
            source = lambda ranges: kept[ranges] if ranges else kept  # noqa: E731
        return Tensor(name, str(file.path), self.shape, self.dtype, source)
