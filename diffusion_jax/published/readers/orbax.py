"""Orbax's folders: one zarr array for each tensor, in files of their own or in an OCDBT database.

What is read of an array before its numbers are is its description, which is checked here, since
TensorStore, which then reads the numbers, trusts its sizes. Keys that lead out of the folder are
refused by TensorStore, links that do by this reader.

Source: Orbax, `checkpoint/_src/handlers`; zarr's specifications 2 and 3,
https://zarr-specs.readthedocs.io.
"""

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers import plain_json
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.dtypes import BY_NAME
from diffusion_jax.published.readers.folder import check_inside
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.numpy_arrays import SIMPLE
from diffusion_jax.published.readers.tensor import (
    Ranges,
    Tensor,
    brief,
    check_memory,
    checked_shape,
)
from diffusion_jax.published.readers.weights import Weights, without_twins

DATABASE, TREE, STEP = "manifest.ocdbt", "_METADATA", "_CHECKPOINT_METADATA"
DRIVERS = {".zarray": "zarr", "zarr.json": "zarr3"}
"""How an array's description is called -> TensorStore's name of the format"""
LONGEST = 10_000_000  # bytes of a description
MOST_FILES = 1_000_000
MOST_PIECES = 10_000_000  # of one chunk
DEFAULT = "default"  # what orbax calls a tree that has no name
TROUBLE = (ValueError, KeyError, OSError, RuntimeError, NotImplementedError)  # of TensorStore


@readers.register("orbax")
@dataclasses.dataclass(frozen=True)
class Orbax:
    """Orbax's folders: a tree of arrays, or the step of a checkpoint manager.

    Source: https://orbax.readthedocs.io
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether files are in the folder that orbax alone writes, or steps that have them."""
        return bool(found.names & {DATABASE, TREE, STEP}) or bool(_steps(found))

    def open(self, found: PathContents) -> Weights:
        """Reads what the arrays are.

        Raises:
            UserError: it is damaged, leads out of the folder, or is not one step but several.
        """
        if steps := _steps(found):
            listed = ", ".join(map(str, steps[:10]))
            raise UserError(f"{found.path} has the steps {listed}: name one, as {steps[-1]} in it.")
        if found.names & {DATABASE, TREE}:
            trees = {"": found.path}
        else:
            folders = (found.path / name for name in sorted(found.names))
            trees = {f.name: f for f in folders if (f / TREE).is_file() or (f / DATABASE).is_file()}
        if set(trees) == {DEFAULT}:
            trees = {"": trees[DEFAULT]}
        metadata: dict[str, Any] = {}
        tensors = []
        for name, folder in trees.items():
            known = _metadata(folder)
            metadata |= {name: known} if name else known
            tensors += _tree(f"{name}." if name else "", folder, known)
        named = without_twins(str(found.path), ((tensor.name, tensor) for tensor in tensors))
        return Weights(found.path, "orbax", named, metadata)


def _steps(found: PathContents) -> list[int]:
    """The steps of a checkpoint manager's folder."""
    numbers = [name for name in found.names if name.isdecimal() and len(name) < 20]
    return sorted(int(name) for name in numbers if (found.path / name / STEP).is_file())


def _metadata(folder: Path) -> dict[str, Any]:
    """What orbax says of a tree, and the texts in it."""
    found: dict[str, Any] = {}
    for name in (TREE, "_strings.json"):
        if (folder / name).is_file():
            check_inside(folder / name, folder)
            file = File.at(folder / name)
            if file.size > LONGEST:
                raise UserError(f"{file.path} has {file.size:,} bytes, more than {LONGEST:,}.")
            text = plain_json.parsed(file.cut(0, file.size), str(file.path))
            found |= plain_json.table(text, str(file.path))
    return found


def _tree(prefix: str, folder: Path, known: dict[str, Any]) -> list[Tensor]:
    """The tensors of a tree, by names that begin with a prefix."""
    import tensorstore  # slow to import

    _check_links(folder)
    if (folder / "checkpoint").exists():
        raise UserError(f"{folder}/checkpoint: such folders, of orbax before 0.3, are not read.")
    place = {"driver": "file", "path": f"{folder.resolve()}/"}
    if (folder / DATABASE).is_file():
        place = {"driver": "ocdbt", "base": place}  # type: ignore[dict-item]
    # Then what is missing is no array of zeros, which old versions left out.
    complete = known.get("store_array_data_equal_to_fill_value") is True
    try:
        store = tensorstore.KvStore.open(place).result()
        keys = [key.decode() for key in store.list().result()]
        described = [key for key in sorted(keys) if key.rpartition("/")[2] in DRIVERS]
        texts = {key: store.read(key).result().value for key in described}
    except TROUBLE as error:
        raise UserError(f"Cannot read {folder}: {_line(error)}") from error
    tensors = []
    for key, text in texts.items():
        name, _, description = key.rpartition("/")
        array = _array(f"{folder}: array {shown(name)}", text)
        spec = {
            "driver": DRIVERS[description],
            "kvstore": {**place, "path": f"{place.get('path', '')}{name}/"},
            "fill_missing_data_reads": not complete,
        }
        source = ZarrNumbers(str(folder), spec, array.chunk)
        named = prefix + name
        tensors.append(Tensor(named, str(folder), array.shape, array.dtype, source))
    _check_complete(folder, known, {key.rpartition("/")[0] for key in described})
    return tensors


@dataclasses.dataclass(frozen=True)
class ZarrNumbers:
    """The numbers of a zarr array, read by TensorStore when they are asked for.

    Attributes:
        folder: for messages.
        spec: TensorStore's, of the array.
        chunk: bytes that it reads at a time.
    """

    folder: str
    spec: dict[str, Any]
    chunk: int

    def __call__(self, ranges: Ranges) -> np.ndarray:
        """The numbers of some ranges of the axes.

        Raises:
            UserError: they are missing or damaged, or there is no memory for a chunk of them.
        """
        import tensorstore

        check_memory(self.chunk, f"{self.folder}: a chunk")
        try:
            store = tensorstore.open(self.spec, open=True, read=True).result()
            return np.asarray(store[ranges].read().result())
        except TROUBLE as error:
            raise UserError(f"Cannot read {self.folder}: {_line(error)}") from error


@dataclasses.dataclass(frozen=True)
class _Described:
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: int


def _array(where: str, text: bytes) -> _Described:
    """What a zarr array is, by its description.

    Raises:
        UserError: it is wrong, or of chunks that cannot be meant.
    """
    if len(text) > LONGEST:
        raise UserError(f"{where} has a description of {len(text):,} bytes.")
    told = plain_json.table(plain_json.parsed(text, where), where)
    shape = checked_shape(told.get("shape"), where)
    dtype = _dtype(told.get("dtype", told.get("data_type")), where)
    chunks = [told["chunks"]] if "chunks" in told else list(_chunks(told, where))
    sizes = [checked_shape(chunk, f"{where}: its chunk") for chunk in chunks]
    for size in sizes:
        within = [0 < part <= max(whole, 1) for part, whole in zip(size, shape, strict=False)]
        if len(size) != len(shape) or not all(within):
            raise UserError(f"{where} of shape {shape} has chunks of shape {size}.")
    if math.prod(sizes[0]) > MOST_PIECES * min(map(math.prod, sizes)):
        raise UserError(f"{where} has chunks of more than {MOST_PIECES:,} pieces.")
    return _Described(shape, dtype, math.prod(sizes[0]) * dtype.itemsize)


def _chunks(told: dict[str, Any], where: str) -> Iterator[Any]:
    """The shapes of chunks of zarr 3, and of the pieces in which they are kept."""
    grid = plain_json.table(told.get("chunk_grid"), f"{where}: chunk_grid")
    settings = plain_json.table(grid.get("configuration"), f"{where}: chunk_grid")
    yield settings.get("chunk_shape")
    codecs = told.get("codecs")
    for codec in codecs if isinstance(codecs, list) else []:
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(inner, dict) and "chunk_shape" in inner:
            yield inner["chunk_shape"]


def _dtype(name: Any, where: str) -> np.dtype:
    if isinstance(name, str) and name in BY_NAME:
        return BY_NAME[name]
    if isinstance(name, str) and SIMPLE.fullmatch(f"'{name}'"):
        return np.dtype(name)
    raise UserError(f"{where} has the dtype {brief(name)}, which is not read.")


def _check_links(folder: Path) -> None:
    """Raises UserError if a link in a folder leads out of it, or there are too many files."""
    count = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            count += 1
            if os.path.islink(os.path.join(place, name)):
                check_inside(Path(place) / name, folder)
        if count > MOST_FILES:
            raise UserError(f"{folder} has more than {MOST_FILES:,} files.")


def _check_complete(folder: Path, known: dict[str, Any], names: set[str]) -> None:
    """Raises UserError if an array is missing that orbax says is there."""
    tree = known.get("tree_metadata")
    for entry in tree.values() if isinstance(tree, dict) else ():
        told = entry if isinstance(entry, dict) else {}
        value, keys = told.get("value_metadata"), told.get("key_metadata")
        listed = keys if isinstance(keys, list) else [keys]
        words = [key.get("key") if isinstance(key, dict) else None for key in listed]
        if not isinstance(value, dict) or not all(isinstance(word, str | int) for word in words):
            raise UserError(f"{folder}/{TREE} is damaged: it has {brief(entry)} for an array.")
        name = ".".join(map(str, words))
        kept = value.get("value_type") == "string" or value.get("skip_deserialize") is True
        if not kept and name not in names:
            raise UserError(f"{folder} has no array {shown(name)}, of which {TREE} tells.")


def _line(error: Exception) -> str:
    """The first line of what TensorStore says."""
    return str(error).split("\n")[0].split(" [")[0][:300]
