"""A file of each format with the same contents, and what it takes to make a wrong one."""

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.serialization
import ml_dtypes
import numpy as np

from tests.published.readers.contents import TENSORS, nested

DATA = Path(__file__).parent / "data"
NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "uint8": "U8",
    "bool": "BOOL",
}


def header_and(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file, with a header and perhaps a wrong length of it."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def as_safetensors(tensors: Mapping[str, np.ndarray], **metadata: str) -> bytes:
    """A safetensors file as the format's description has it."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    return header_and(json.dumps(header).encode(), b"".join(a.tobytes() for a in tensors.values()))


def _safetensors(folder: Path) -> Path:
    path = folder / "weights"
    path.write_bytes(as_safetensors(TENSORS))
    return path


def _sharded(folder: Path) -> Path:
    names = list(TENSORS)
    places = {}
    for k, part in enumerate((names[:4], names[4:])):
        file = f"model-{k + 1:05}-of-00002.safetensors"
        (folder / file).write_bytes(as_safetensors({name: TENSORS[name] for name in part}))
        places |= dict.fromkeys(part, file)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return path


def _npz(folder: Path) -> Path:
    path = folder / "weights.zip"
    with open(path, "wb") as file:
        np.savez(file, **TENSORS)  # type: ignore[arg-type]
    return path


def _npz_compressed(folder: Path) -> Path:
    path = folder / "weights.zip"
    with open(path, "wb") as file:
        np.savez_compressed(file, **TENSORS)  # type: ignore[arg-type]
    return path


def _npy(folder: Path) -> Path:
    path = folder / "weights.of.numpy"
    with open(path, "wb") as file:
        np.save(file, np.asfortranarray(TENSORS["model.exact"]))
    return path


def _flax(folder: Path) -> Path:
    path = folder / "weights"
    path.write_bytes(flax.serialization.to_bytes(nested()))
    return path


def orbax_tree() -> dict[str, Any]:
    """The same contents without an array of no numbers, which orbax does not save."""
    tree: Any = nested()
    del tree["model"]["nothing"]
    return tree


def _orbax(folder: Path) -> Path:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "weights", orbax_tree())
    return folder / "weights"


def _orbax_of_files(folder: Path) -> Path:
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer(use_ocdbt=False) as checkpointer:
        checkpointer.save(folder / "weights", orbax_tree())
    return folder / "weights"


def _orbax_of_zarr3(folder: Path) -> Path:
    import orbax.checkpoint as ocp

    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=True)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(folder / "weights", orbax_tree())
    return folder / "weights"


def _recorded(name: str) -> Callable[[Path], Path]:
    def copied(folder: Path) -> Path:
        return Path(shutil.copy(DATA / name, folder / "weights"))

    return copied


WRITERS: dict[str, Callable[[Path], Path]] = {
    "safetensors": _safetensors,
    "sharded": _sharded,
    "npz": _npz,
    "npz_compressed": _npz_compressed,
    "npy": _npy,
    "flax": _flax,
    "orbax": _orbax,
    "orbax_of_files": _orbax_of_files,
    "orbax_of_zarr3": _orbax_of_zarr3,
    # By the libraries themselves, see `tests/published/record/weights.py`.
    "safetensors_of_torch": _recorded("torch.safetensors"),
    "torch": _recorded("zip.pt"),
    "torch_legacy": _recorded("legacy.pt"),
    "torch_tar": _recorded("tar.pt"),
    "pickle": _recorded("persistent_contract.pkl"),
}
"""Kind of file -> writes one into a folder, and says where; the kind begins with its reader."""

# Where a format holds less than the rest, or under other names.
EXPECTED: dict[str, dict[str, np.ndarray]] = {"npy": {"tensor": TENSORS["model.exact"]}}


def expected(kind: str) -> dict[str, np.ndarray]:
    """The arrays of a kind of file, by the names that its reader gives."""
    if kind.startswith("orbax"):
        return {name: array for name, array in TENSORS.items() if array.size}
    return EXPECTED.get(kind, TENSORS)


assert ml_dtypes.bfloat16 is not None  # its import is what lets NumPy know the name
