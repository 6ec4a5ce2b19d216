"""What a reader gives: tensors by name, and what else the file says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError, nearest, shown
from diffusion_jax.published.readers.tensor import Tensor

ALONE = "tensor"  # the name of one that a file holds without a name


class UnknownTensor(UserError, KeyError):
    """A name that a file has no tensor of; a KeyError too, as mappings raise them."""

    def __str__(self) -> str:
        return str(self.args[0])


class Weights(Mapping[str, Tensor]):
    """The tensors of a file or folder by name, in its order; none has been read.

    Args:
        path: of the file or folder.
        format: which reader opened it, by its registered name.
        tensors: by name.
        metadata: what the file holds besides: basic values in mappings and lists.
    """

    def __init__(
        self,
        path: Path,
        format: str,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, Any] | None = None,
    ):
        self.path, self.format = path, format
        self.metadata: Mapping[str, Any] = metadata or {}
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of a name.

        Raises:
            UnknownTensor: there is none, a UserError.
        """
        if name not in self._tensors:
            hint = nearest(str(name), self._tensors)
            raise UnknownTensor(f"{self.path} has no tensor {shown(name)}.{hint}")
        return self._tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"Weights({str(self.path)!r}, {self.format!r}, {len(self)} tensors)"

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, as they are stored."""
        return sum(tensor.nbytes for tensor in self.values())

    def under(self, prefix: str) -> "Weights":
        """The tensors whose names begin with a prefix and a dot, without these.

        A checkpoint that holds several states, {"ema": …, "optimizer": …}, is read as one:
        `weights.under("ema")`. The metadata are then those of that part.

        Raises:
            UserError: no name begins so.
        """
        start = f"{prefix}."
        inner = {n.removeprefix(start): t for n, t in self.items() if n.startswith(start)}
        if not inner:
            firsts = dict.fromkeys(name.partition(".")[0] for name in self)
            listed = ", ".join(list(firsts)[:10]) or "nothing"
            raise UserError(f"{self.path} has no tensors under {shown(prefix)}; it has {listed}.")
        metadata: Any = self.metadata
        for part in prefix.split("."):
            metadata = metadata.get(part) if isinstance(metadata, Mapping) else None
        known = metadata if isinstance(metadata, Mapping) else {}
        return Weights(self.path, self.format, inner, known)


def without_twins(where: str, pairs: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        UserError: two of them have one name.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in pairs:
        if name in found:
            raise UserError(f"{where} has two tensors of the name {shown(name)}.")
        found[name] = tensor
    return found
