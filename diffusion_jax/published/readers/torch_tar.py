"""PyTorch's first files, from before version 0.1.10: a tar archive of pickles and storages.

Its entry `storages` has their count, and of each a pickle (key, device, kind), the count of its
numbers in eight bytes, and the numbers; then a list of views. `tensors` has the count of tensors,
and of each a pickle (key, key of its storage, class), the count of its axes in eight bytes, sizes,
strides and offset. `pickle` is the value, in which a tensor is its key.

Source: PyTorch, `torch/serialization.py`, and POSIX.1-1988 for the archive.
"""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.pickles.flatten import weights_of
from diffusion_jax.published.readers.pickles.instructions import follow
from diffusion_jax.published.readers.pickles.machine import Budget, Machine
from diffusion_jax.published.readers.pickles.shells import Shells
from diffusion_jax.published.readers.pickles.values import (
    Name,
    Storage,
    StorageKind,
    stored_tensor,
)
from diffusion_jax.published.readers.tensor import MOST_AXES, brief
from diffusion_jax.published.readers.weights import Weights

BLOCK = 512
MOST_ENTRIES = 100
NEEDED = ("sys_info", "storages", "tensors", "pickle")


@readers.register("torch_tar")
@dataclasses.dataclass(frozen=True)
class TorchTar:
    """PyTorch's first files, tar archives.

    Source: https://github.com/pytorch/pytorch, torch/serialization.py
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it is a tar archive."""
        return found.head[257:262] == b"ustar"

    def open(self, found: PathContents) -> Weights:
        """Follows the pickles; the numbers stay where they are.

        Raises:
            UserError: it is another archive, damaged, or asks for what is not admitted.
        """
        assert found.file is not None
        file = found.file
        with file.mapped() as data:
            places = _entries(file, data)
            missing = [name for name in NEEDED if name not in places]
            if missing:
                raise UserError(f"{file.path} is a tar archive without {missing[0]}: not weights.")
            objects, budget = TarObjects(), Budget()
            machines = {
                name: Machine(data, *places[name], str(file.path), objects, budget)
                for name in NEEDED
            }
            system = follow(machines["sys_info"])
            if isinstance(system, dict) and system.get("little_endian") is False:
                raise UserError(f"{file.path} was written on a machine of the other byte order.")
            _read_storages(machines["storages"], objects)
            _read_tensors(machines["tensors"], objects)
            value = follow(machines["pickle"])
        return weights_of(value, file, "torch_tar")


class TarObjects(Shells):
    """Answers a machine with tensors that were read before."""

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}

    def persistent(self, identity: Any, where: str) -> Any:
        """The tensor or storage of a key; of a class with its source, the class."""
        if isinstance(identity, tuple) and identity and isinstance(identity[0], Name):
            return identity[0]
        digits = isinstance(identity, str) and identity.isdecimal() and len(identity) <= 20
        key = int(identity) if digits else identity
        if type(key) is not int or key not in self.known:
            raise UserError(f"{where} has no tensor of the key {brief(identity)} beside it.")
        return self.known[key]


def _entries(file: File, data: Any) -> dict[str, tuple[int, int]]:
    """Where the entries of a tar archive begin and end."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at + BLOCK <= file.size and data[at : at + 1] != b"\0":
        name = data[at : at + 100].split(b"\0")[0].decode("latin-1").removeprefix("./")
        digits = data[at + 124 : at + 136].strip(b" \0")
        size = int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else -1
        start = at + BLOCK
        if size < 0 or start + size > file.size or len(found) >= MOST_ENTRIES:
            raise UserError(f"{file.path} is cut off or damaged: its entry {brief(name)}.")
        if data[at + 156 : at + 157] in (b"0", b"\0"):
            if name in found:
                raise UserError(f"{file.path} has two entries of the name {brief(name)}.")
            found[name] = (start, start + size)
        at = start + -(-size // BLOCK) * BLOCK
    return found


def _count(machine: Machine) -> int:
    """How many pickles follow."""
    count = follow(machine)
    if type(count) is not int or not 0 <= count <= machine.end - machine.at:
        raise machine.wrong(f"a count {brief(count)}")
    return count


def _read_storages(machine: Machine, objects: TarObjects) -> None:
    for _ in range(_count(machine)):
        told = follow(machine)
        right = isinstance(told, tuple) and len(told) == 3 and isinstance(told[2], StorageKind)
        if not right or type(told[0]) is not int:
            raise machine.wrong(f"a storage {brief(told)}")
        storage = Storage(told[2].dtype, machine.unsigned(8))
        storage.start = machine.take(storage.nbytes)
        objects.known[told[0]] = storage
    views = follow(machine)
    for told in views if isinstance(views, list) else (views,):
        right = isinstance(told, tuple) and [type(part) for part in told] == [int] * 4
        root = objects.known.get(told[1]) if right else None
        if not isinstance(root, Storage) or min(told[2:]) < 0 or told[2] + told[3] > root.count:
            raise machine.wrong(f"a view {brief(told)} of a storage")
        assert root.start is not None
        start = root.start + told[2] * root.dtype.itemsize
        objects.known[told[0]] = Storage(root.dtype, told[3], start)


def _read_tensors(machine: Machine, objects: TarObjects) -> None:
    for _ in range(_count(machine)):
        told = follow(machine)
        right = isinstance(told, tuple) and [type(part) for part in told[:2]] == [int] * 2
        storage = objects.known.get(told[1]) if right else None
        axes = machine.unsigned(4)
        machine.take(4)  # once, the count of axes was eight bytes long
        if not isinstance(storage, Storage) or axes > MOST_AXES:
            raise machine.wrong(f"a tensor {brief(told)}")
        shape = tuple(machine.signed(8) for _ in range(axes))
        strides = tuple(machine.signed(8) for _ in range(axes))
        offset = machine.signed(8)
        objects.known[told[0]] = stored_tensor(
            storage, storage.dtype, offset, shape, strides, machine.where
        )
