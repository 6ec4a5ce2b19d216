"""PyTorch's files from before version 1.6: pickles one behind another, then the storages.

The pickles are a magic number, a version, what the machine was, the value, and the keys of its
storages; of each storage there follow the count of its numbers, in eight bytes, and the numbers.

Source: PyTorch, `torch/serialization.py`.
"""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.pickles.flatten import weights_of
from diffusion_jax.published.readers.pickles.instructions import follow
from diffusion_jax.published.readers.pickles.machine import Budget, Machine
from diffusion_jax.published.readers.pickles.shells import Shells, storage_of
from diffusion_jax.published.readers.pickles.values import Storage
from diffusion_jax.published.readers.tensor import brief
from diffusion_jax.published.readers.weights import Weights

MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # the number, as a pickle writes it
VERSION = 1001


@readers.register("torch_legacy")
@dataclasses.dataclass(frozen=True)
class TorchLegacy:
    """PyTorch's files from before version 1.6: `.pt`, `.pth`, `.bin`, `.ckpt`.

    Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it begins with the magic number."""
        return found.head[:1] == b"\x80" and found.head[2:].startswith(MAGIC)

    def open(self, found: PathContents) -> Weights:
        """Follows the pickles; the numbers stay where they are.

        Raises:
            UserError: it is damaged, or asks for what is not admitted.
        """
        assert found.file is not None
        file = found.file
        with file.mapped() as data:
            value = legacy_value(file, data, 0, file.size, Budget())
        return weights_of(value, file, "torch_legacy")


class LegacyStorages(Shells):
    """Answers a machine whose storages follow behind the pickle."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self.views: list[tuple[Storage, Storage, int]] = []

    def persistent(self, identity: Any, where: str) -> Any:
        """The storage of a key, or that part of it of which an old file speaks.

        A module's class is kept so too, with its source, which is passed over.
        """
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return identity[1]
        storage, key, view = storage_of(identity, where)
        known = self.storages.setdefault(key, storage)
        if (known.dtype, known.count) != (storage.dtype, storage.count):
            raise UserError(f"{where} has two storages of the key {brief(key)}.")
        if view is None:
            return known
        right = isinstance(view, tuple) and len(view) == 3 and all(type(n) is int for n in view[1:])
        if not right or not (view[1] >= 0 and view[2] >= 0 and view[1] + view[2] <= known.count):
            raise UserError(f"{where} has a view {brief(view)} of a storage that is none.")
        part = Storage(known.dtype, view[2])
        self.views.append((part, known, view[1]))
        return part

    def settle(self) -> None:
        """Tells views where they are, once their storages know."""
        for part, whole, offset in self.views:
            if whole.start is not None:
                part.start = whole.start + offset * whole.dtype.itemsize


def legacy_value(file: File, data: Any, start: int, end: int, budget: Budget) -> Any:
    """The value of such a file, or of a part of a file that is one.

    Args:
        file: the file.
        data: its bytes.
        start: where it begins.
        end: where it ends.
        budget: of instructions.

    Raises:
        UserError: it is damaged, or asks for what is not admitted.
    """
    stored = LegacyStorages()
    machine = Machine(data, start, end, str(file.path), stored, budget)
    magic, version = follow(machine), follow(machine)
    if magic != int.from_bytes(MAGIC[2:], "little") or version != VERSION:
        raise UserError(f"{file.path} is no file of PyTorch's version {VERSION}.")
    system = follow(machine)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise UserError(f"{file.path} was written on a machine of the other byte order.")
    value, keys = follow(machine), follow(machine)
    named = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not named or len(set(keys)) < len(keys):
        raise UserError(f"{file.path} is damaged: its storages have no list of different keys.")
    for key in keys:
        count = machine.unsigned(8)
        storage = stored.storages.get(key)
        if storage is None or storage.count != count:
            raise UserError(f"{file.path}: the storage {brief(key)} is not as the pickle says.")
        storage.start = machine.take(storage.nbytes)
    stored.settle()
    return value
