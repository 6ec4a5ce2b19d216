"""Pickles that hold their tensors within: those of NVIDIA's EDM and EDM2, and of NumPy's arrays.

EDM pickles networks whole, as objects of persistent classes: what each holds is a mapping of its
attributes, beside the source of its class. The attributes are kept, the source is passed over. A
tensor's storage is a file of PyTorch within the pickle, as bytes.

Source: https://github.com/NVlabs/edm, torch_utils/persistence.py; PyTorch, torch/storage.py.
"""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import plain_json
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.pickles.flatten import weights_of
from diffusion_jax.published.readers.pickles.instructions import follow
from diffusion_jax.published.readers.pickles.machine import Budget, Machine
from diffusion_jax.published.readers.pickles.shells import Shells
from diffusion_jax.published.readers.pickles.values import ByteRange
from diffusion_jax.published.readers.torch_legacy import MAGIC, legacy_value
from diffusion_jax.published.readers.weights import Weights

OLD = b"c(]}"  # how pickles of protocols 0 and 1 begin: a name, a mark, a list or a mapping


@readers.register("pickle")
@dataclasses.dataclass(frozen=True)
class PlainPickle:
    """Pickles that hold all within, as NVIDIA's networks: `.pkl`.

    Source: https://github.com/NVlabs/edm
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it begins as a pickle of some protocol."""
        head = found.head
        if plain_json.follows_its_length(head):
            return False
        if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
            return not head[2:].startswith(MAGIC)
        return bool(head) and head[0] in OLD

    def open(self, found: PathContents) -> Weights:
        """Follows the pickle; the numbers stay where they are.

        Raises:
            UserError: it is damaged, or asks for what is not admitted.
        """
        assert found.file is not None
        file = found.file
        with file.mapped() as data:
            within = Within(file, data)
            value = follow(Machine(data, 0, file.size, str(file.path), within, within.budget))
        return weights_of(value, file, "pickle")


class Within(Shells):
    """Answers a machine whose storages are files of PyTorch within the pickle."""

    def __init__(self, file: File, data: Any):
        self.file, self.data, self.budget = file, data, Budget()

    def from_bytes(self, span: Any, where: str) -> Any:
        """What such a file holds; in it there are no others."""
        if not isinstance(span, ByteRange):
            raise UserError(f"{where} has a storage that is not kept as bytes.")
        end = span.start + span.count
        return legacy_value(self.file, self.data, span.start, end, self.budget)
