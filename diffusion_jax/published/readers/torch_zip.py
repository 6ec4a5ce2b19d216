"""PyTorch's files since version 1.6: a zip archive of a pickle and of storages.

Source: PyTorch, `torch/serialization.py` and `caffe2/serialize/inline_container.h`.
"""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers import archive
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.numpy_arrays import zip_names
from diffusion_jax.published.readers.pickles.flatten import weights_of
from diffusion_jax.published.readers.pickles.instructions import follow
from diffusion_jax.published.readers.pickles.machine import Budget, Machine
from diffusion_jax.published.readers.pickles.shells import Shells, storage_of
from diffusion_jax.published.readers.pickles.values import Storage
from diffusion_jax.published.readers.weights import Weights

PICKLE = "data.pkl"


@readers.register("torch")
@dataclasses.dataclass(frozen=True)
class TorchZip:
    """PyTorch's files since version 1.6: `.pt`, `.pth`, `.bin`, `.ckpt`.

    Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it is a zip archive with a pickle in its folder."""
        return any(name.split("/")[-1] == PICKLE for name in zip_names(found))

    def open(self, found: PathContents) -> Weights:
        """Follows the pickle; the numbers stay where they are.

        Raises:
            UserError: it is damaged, packed, or asks for what is not admitted.
        """
        assert found.file is not None
        file = found.file
        listed = archive.entries(file)
        pickles = [name for name in listed if name.split("/")[-1] == PICKLE]
        if len(pickles) > 1:
            raise UserError(f"{file.path} has several pickles: {shown(pickles)}.")
        if not listed[pickles[0]].stored:
            raise UserError(f"{file.path}: its pickle is packed, as PyTorch never does.")
        folder = pickles[0].removesuffix(PICKLE)
        order = listed.get(f"{folder}byteorder")
        if order is not None and order.first(10) != b"little":
            raise UserError(f"{file.path} was written on a machine of the other byte order.")
        entry, stored = listed[pickles[0]], ArchiveStorages(listed, f"{folder}data/")
        with file.mapped() as data:
            end = entry.start + entry.size
            value = follow(Machine(data, entry.start, end, str(file.path), stored, Budget()))
        return weights_of(value, file, "torch")


class ArchiveStorages(Shells):
    """Answers a machine whose storages are entries of the same archive.

    Args:
        entries: of the archive.
        folder: in which storages lie, under their keys.
    """

    def __init__(self, entries: dict[str, archive.ArchiveEntry], folder: str):
        self.entries, self.folder = entries, folder
        self.storages: dict[str, Storage] = {}

    def persistent(self, identity: Any, where: str) -> Any:
        """The storage of a key."""
        storage, key, view = storage_of(identity, where)
        entry = self.entries.get(self.folder + key)
        if entry is None or view is not None:
            raise UserError(f"{where} has no storage of the key {shown(key)} beside it.")
        if not entry.stored:
            raise UserError(f"{where}: the storage {shown(key)} is packed, as PyTorch never does.")
        if entry.size < storage.nbytes:
            raise UserError(
                f"{where}: the storage {shown(key)} has {entry.size} bytes, not {storage.nbytes}."
            )
        storage.start = entry.start
        return storage
