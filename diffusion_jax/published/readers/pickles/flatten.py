"""A nest of mappings, lists and records as tensors by name, and the rest as metadata."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.pickles.values import (
    ByteRange,
    JoinedArray,
    Name,
    PickledArray,
    Record,
    StoredTensor,
)
from diffusion_jax.published.readers.tensor import Tensor
from diffusion_jax.published.readers.weights import ALONE, Weights, without_twins

DEEPEST = 100  # containers within one another
MOST_PARTS = 500_000  # that are looked at, each as often as it is referred to
LONGEST_BYTES = 1024  # that are kept as metadata
OWN = ("_parameters", "_buffers", "_modules")  # of a module, whose names say nothing of it
CLASS = "__class__"
AGAIN = "…"  # stands for a container within itself


def weights_of(value: Any, file: File, format: str) -> Weights:
    """The tensors of a nest, their names joined by dots, and all else in it as metadata.

    A module's parameters, buffers and modules are named after it, as in its state; of a record the
    class is told under `__class__`.

    Args:
        value: what a pickle holds.
        file: in which the tensors lie.
        format: the reader's name.

    Raises:
        UserError: two tensors have one name, or it is too deep or too large.
    """
    walk = _Walk(file)
    tensors = without_twins(str(file.path), walk.tensors(None, value, 0))
    metadata = None if _is_tensor(value) else _Walk(file).metadata(value, 0)
    return Weights(file.path, format, tensors, metadata if isinstance(metadata, dict) else {})


@dataclasses.dataclass
class _Walk:
    file: File
    looked_at: int = 0
    within: set[int] = dataclasses.field(default_factory=set)

    def enter(self, value: Any, depth: int) -> bool:
        """Counts a part; whether it is within itself."""
        self.looked_at += 1
        if self.looked_at > MOST_PARTS:
            raise UserError(f"{self.file.path} holds more than {MOST_PARTS:,} values.")
        if depth > DEEPEST:
            raise UserError(f"{self.file.path} nests more than {DEEPEST} containers.")
        return id(value) in self.within

    def tensors(self, name: str | None, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
        """The tensors in a value that has a name."""
        value = _unwrapped(value)
        if self.enter(value, depth):
            return
        if _is_tensor(value):
            named = ALONE if name is None else name
            yield named, value.handle(named, self.file)
        elif isinstance(value, dict | list | tuple | Record):
            self.within.add(id(value))
            for key, part in _parts(value):
                words = [word for word in (name, key) if word is not None]
                inner = ".".join(words) if words else None
                yield from self.tensors(inner, part, depth + 1)
            self.within.discard(id(value))

    def metadata(self, value: Any, depth: int) -> Any:
        """A value without its tensors: basic values, lists and mappings with texts as keys."""
        value = _unwrapped(value)
        if self.enter(value, depth):
            return AGAIN
        if not isinstance(value, dict | list | tuple | Record):
            return self.basic(value)
        self.within.add(id(value))
        if isinstance(value, list | tuple):
            found: Any = [self.metadata(part, depth + 1) for part in value if not _is_tensor(part)]
        else:
            found = {}
            if isinstance(value, Record) and not _is_mapping(value):
                found[CLASS] = value.kind
            for key, part in _parts(value):
                if not _is_tensor(part):
                    self.put(found, key, part, self.metadata(part, depth + 1))
        self.within.discard(id(value))
        return found

    def put(self, found: dict[str, Any], key: str | None, part: Any, metadata: Any) -> None:
        """Keeps the metadata of a part, unless nothing but tensors was in it."""
        if key is None:
            found |= metadata if isinstance(metadata, dict) else {}
        elif metadata not in ({}, []) or _is_empty(part):
            found[key] = metadata

    def basic(self, value: Any) -> Any:
        """A value that holds no others."""
        if isinstance(value, set | frozenset):
            return sorted(value, key=repr)
        if isinstance(value, PickledArray):
            return value.handle("", self.file).read()[()].item()
        if isinstance(value, ByteRange):
            short = value.count <= LONGEST_BYTES
            return self.file.cut(value.start, value.count) if short else f"{value.count} bytes"
        if isinstance(value, np.dtype | Name):
            return str(value)
        known = value is None or isinstance(value, str | bool | int | float | bytes)
        return value if known else type(value).__name__


def _parts(value: Any) -> Iterator[tuple[str | None, Any]]:
    """What is in a container, by the name that it adds; none for the parts of a module."""
    if isinstance(value, dict):
        yield from ((_word(key), part) for key, part in value.items())
    elif isinstance(value, Record):
        yield from _parts_of_record(value)
    else:
        yield from ((str(place), part) for place, part in enumerate(value))


def _parts_of_record(record: Record) -> Iterator[tuple[str | None, Any]]:
    module = all(isinstance(record.state.get(key), dict | Record) for key in OWN)
    yield from ((_word(key), part) for key, part in record.items.items())
    yield from ((str(place), part) for place, part in enumerate(record.entries))
    for key, part in record.state.items():
        if module and key in OWN:
            yield None, part
        elif not module or not _is_empty(part):
            yield _word(key), part
    if record.arguments and not _is_mapping(record):
        yield "arguments", list(record.arguments)


def _unwrapped(value: Any) -> Any:
    """What an omegaconf object holds; the rest of it is about how it was typed and found."""
    for _ in range(DEEPEST):
        if not (isinstance(value, Record) and value.kind.startswith("omegaconf.")):
            break
        value = value.state.get("_content", value.state.get("_val"))
    return value


def _word(key: Any) -> str:
    return key if isinstance(key, str) else str(key)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, StoredTensor | JoinedArray) or (
        isinstance(value, PickledArray) and value.shape != ()
    )


def _is_mapping(record: Record) -> bool:
    return record.kind.startswith("collections.") or record.kind.endswith(".EasyDict")


def _is_empty(value: Any) -> bool:
    if isinstance(value, Record):
        return not (value.items or value.entries or value.state)
    return isinstance(value, dict | list | tuple | set) and not value
