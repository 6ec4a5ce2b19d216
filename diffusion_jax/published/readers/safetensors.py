"""safetensors: a JSON header of names, dtypes, shapes and offsets, then the numbers.

Eight bytes tell the length of the header (little-endian); offsets count from its end. The tensors
lie one behind another in C order and fill the file.

Source: the format's description, https://github.com/huggingface/safetensors.
"""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers import plain_json
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.dtypes import BY_NAME
from diffusion_jax.published.readers.mapped import File, StridedArray, contiguous
from diffusion_jax.published.readers.tensor import Tensor, brief, checked_shape
from diffusion_jax.published.readers.weights import Weights

LONGEST_HEADER = 100_000_000  # bytes, as in the reference implementation
METADATA = "__metadata__"
DTYPES = {
    "BOOL": "bool",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BF16": "bfloat16",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


@readers.register("safetensors")
@dataclasses.dataclass(frozen=True)
class Safetensors:
    """A header in JSON, then numbers: `.safetensors`.

    Source: https://github.com/huggingface/safetensors
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether a JSON object follows the eight bytes of its length."""
        return found.head[8:9] == b"{" and not plain_json.begins(found.head)

    def open(self, found: PathContents) -> Weights:
        """Reads the header.

        Raises:
            UserError: the header or an offset in it is wrong.
        """
        assert found.file is not None
        file = found.file
        length = int.from_bytes(found.head[:8], "little")
        if length > min(LONGEST_HEADER, file.size - 8):
            raise UserError(
                f"{file.path} is cut off or damaged: its header should have {length:,} bytes; the "
                f"file has {file.size:,}, and a header at most {LONGEST_HEADER:,}."
            )
        where = f"{file.path}: the header"
        header = plain_json.table(plain_json.parsed(file.cut(8, length), where), where)
        metadata = header.pop(METADATA, {})
        entries = [_entry(file, name, entry) for name, entry in header.items()]
        _check_filled(file, file.size - 8 - length, entries)
        tensors = {entry.name: entry.tensor(file, 8 + length) for entry in entries}
        return Weights(file.path, "safetensors", tensors, plain_json.table(metadata, where))


@dataclasses.dataclass(frozen=True)
class _Entry:
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int

    def tensor(self, file: File, start: int) -> Tensor:
        """The tensor, where the numbers of the file begin at `start`."""
        strides = contiguous(self.shape)
        source = StridedArray(file, start + self.begin, self.dtype, self.shape, strides)
        return Tensor(self.name, str(file.path), self.shape, self.dtype, source)


def _entry(file: File, name: str, entry: Any) -> _Entry:
    where = f"{file.path}: tensor {shown(name)}"
    told = plain_json.table(entry, where)
    if told.keys() != {"dtype", "shape", "data_offsets"}:
        raise UserError(f"{where} must have dtype, shape and data_offsets, not {shown([*told])}.")
    if not (isinstance(told["dtype"], str) and told["dtype"] in DTYPES):
        raise UserError(f"{where} has the dtype {brief(told['dtype'])}, which is not read.")
    dtype, shape = BY_NAME[DTYPES[told["dtype"]]], checked_shape(told["shape"], where)
    offsets, count = told["data_offsets"], math.prod(shape) * dtype.itemsize
    right = isinstance(offsets, list) and [type(place) for place in offsets] == [int, int]
    if not right or offsets[0] < 0 or offsets[1] - offsets[0] != count:
        raise UserError(f"{where} lies at bytes {brief(offsets)}; its shape needs {count} bytes.")
    return _Entry(name, dtype, shape, *offsets)


def _check_filled(file: File, size: int, entries: list[_Entry]) -> None:
    """Raises UserError unless the tensors lie one behind another up to the end of the file."""
    ordered = sorted(entries, key=lambda entry: (entry.begin, entry.end))
    for before, entry in itertools.pairwise(ordered):
        if entry.begin != before.end:
            kind = "overlap" if entry.begin < before.end else "leave a gap"
            raise UserError(
                f"{file.path} is damaged: tensors {shown(before.name)} and {shown(entry.name)} "
                f"{kind}."
            )
    begin, end = (ordered[0].begin, ordered[-1].end) if ordered else (0, 0)
    if (begin, end) != (0, size):
        raise UserError(
            f"{file.path} is cut off or damaged: its tensors lie at bytes {begin} to {end} of "
            f"{size}."
        )
