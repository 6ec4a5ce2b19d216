"""Flax's files: a MessagePack map of maps, whose arrays are an extension of its own.

Extension 1 is an array, (shape, name of the dtype, bytes in C order) packed again; 2 a complex
number, (real, imaginary); 3 a scalar, packed as an array. An array of more than 2^30 bytes is a map
of its shape and of pieces of it, one behind another.

Source: Flax, `flax/serialization.py`; https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

import dataclasses
import struct
from typing import Any

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers import plain_json
from diffusion_jax.published.readers.base import PathContents, readers
from diffusion_jax.published.readers.dtypes import dtype_named
from diffusion_jax.published.readers.mapped import contiguous
from diffusion_jax.published.readers.pickles.flatten import weights_of
from diffusion_jax.published.readers.pickles.values import (
    ByteRange,
    JoinedArray,
    Storage,
    StoredTensor,
)
from diffusion_jax.published.readers.tensor import brief, checked_shape
from diffusion_jax.published.readers.weights import Weights

ARRAY, COMPLEX, SCALAR = 1, 2, 3
CHUNKED = "__msgpack_chunked_array__"
MOST_VALUES = 4_000_000  # of one file
DEEPEST = 100  # containers within one another
LONGEST_TEXT = 2**26  # bytes
NUMBERS = {
    **{0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"},
    **{0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"},
}
"""First byte of a number -> how `struct` calls it"""
FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
"""First byte of an extension -> its bytes"""


@readers.register("flax")
@dataclasses.dataclass(frozen=True)
class FlaxMessagePack:
    """Flax's files: `.msgpack`, and checkpoints from before orbax.

    Source: https://flax.readthedocs.io/en/latest/api_reference/flax.serialization.html
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it begins with a map whose first key is a text."""
        if plain_json.follows_its_length(found.head):
            return False
        head = found.head.ljust(6, b"\0")
        first = {0xDE: head[3], 0xDF: head[5]}.get(head[0], head[1] if head[0] in MAPS else 0)
        return first in TEXTS or first in (0xD9, 0xDA, 0xDB)

    def open(self, found: PathContents) -> Weights:
        """Goes through the map; the numbers stay where they are.

        Raises:
            UserError: it is damaged, or holds what is not read.
        """
        assert found.file is not None
        file = found.file
        with file.mapped() as data:
            packed = Unpacker(data, 0, file.size, str(file.path))
            value = packed.value(0)
            if packed.at != file.size:
                raise UserError(f"{file.path} is damaged: something follows its end.")
        return weights_of(value, file, "flax")


MAPS, LISTS, TEXTS = range(0x80, 0x90), range(0x90, 0xA0), range(0xA0, 0xC0)


class Unpacker:
    """Reads MessagePack, of which bytes stay where they are.

    Args:
        data: the bytes of the file.
        start: where the first value begins.
        end: where the last must have ended.
        where: the file, for messages.
        left: how many values may still be read.
    """

    def __init__(self, data: Any, start: int, end: int, where: str, left: int = MOST_VALUES):
        self.data, self.at, self.end, self.where, self.left = data, start, end, where, left

    def value(self, depth: int) -> Any:
        """The next value, within `depth` containers.

        Raises:
            UserError: it is cut off or damaged, or there are too many.
        """
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            raise UserError(f"{self.where} has too many values, or nests them too deeply.")
        code = self.number(">B")
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 0x100
        if code in NUMBERS:
            return self.number(NUMBERS[code])
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        if code in TEXTS or 0xD9 <= code <= 0xDB:
            return self.text(code & 31 if code in TEXTS else self.count(code - 0xD9))
        if 0xC4 <= code <= 0xC6:
            return self.stay(self.count(code - 0xC4))
        if code in FIXED or 0xC7 <= code <= 0xC9:
            return self.extension(FIXED[code] if code in FIXED else self.count(code - 0xC7), depth)
        if code in LISTS or code in (0xDC, 0xDD):
            return self.entries(code & 15 if code in LISTS else self.count(code - 0xDB), depth)
        if code in MAPS or code in (0xDE, 0xDF):
            return self.table(code & 15 if code in MAPS else self.count(code - 0xDD), depth)
        raise UserError(f"{self.where} (byte {self.at - 1}) is no MessagePack.")

    def take(self, count: int) -> int:
        """Where the next `count` bytes begin."""
        start = self.at
        if count > self.end - start:
            raise UserError(f"{self.where} is cut off: byte {start + count} is behind its end.")
        self.at += count
        return start

    def number(self, kind: str) -> Any:
        """A number, as `struct` calls its kind."""
        return struct.unpack_from(kind, self.data, self.take(struct.calcsize(kind)))[0]

    def count(self, width: int) -> int:
        """A count of 1, 2 or 4 bytes: of width 0, 1 or 2."""
        return self.number((">B", ">H", ">I")[width])

    def stay(self, count: int) -> ByteRange:
        """Bytes, which stay where they are."""
        return ByteRange(self.take(count), count)

    def text(self, count: int) -> str:
        """A text."""
        if count > LONGEST_TEXT:
            raise UserError(f"{self.where} has a text of {count:,} bytes.")
        start = self.take(count)
        try:
            return self.data[start : start + count].decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{self.where} (byte {start}) has a text that is none.") from error

    def entries(self, count: int, depth: int) -> list[Any]:
        """A list."""
        return [self.value(depth + 1) for _ in range(count)]

    def table(self, count: int, depth: int) -> Any:
        """A map, or the array that Flax made one of because it is large."""
        found: dict[str, Any] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str | int):
                raise UserError(f"{self.where} has a map with the key {brief(key)}.")
            if str(key) in found:
                raise UserError(f"{self.where} has a map with the key {shown(key)} twice.")
            found[str(key)] = self.value(depth + 1)
        return self.joined(found) if CHUNKED in found else found

    def joined(self, told: dict[str, Any]) -> JoinedArray:
        """An array that lies in pieces."""
        parts = _listed(told.get("chunks"))
        shape = checked_shape(_listed(told.get("shape")), f"{self.where}: an array")
        right = all(isinstance(part, StoredTensor) and len(part.shape) == 1 for part in parts)
        if not parts or not right or len({part.dtype for part in parts}) > 1:
            raise UserError(f"{self.where} has an array in pieces that are none.")
        return JoinedArray.of(parts, shape, self.where)

    def extension(self, count: int, depth: int) -> Any:
        """A value of an extension."""
        kind = self.number(">b")
        start = self.take(count)
        if kind not in (ARRAY, COMPLEX, SCALAR):
            raise UserError(f"{self.where} has an extension {kind}, which is not read.")
        inner = Unpacker(self.data, start, start + count, self.where, self.left)
        told = inner.value(depth + 1)
        self.left = inner.left
        if inner.at != start + count or not isinstance(told, list):
            raise UserError(f"{self.where} (byte {start}) has an array that is damaged.")
        if kind == COMPLEX:
            if [type(part) for part in told] != [float, float]:
                raise UserError(f"{self.where} (byte {start}) has a complex number that is none.")
            return complex(*told)
        return self.array(told)

    def array(self, told: list[Any]) -> StoredTensor:
        """An array: its shape, the name of its dtype, its bytes."""
        where = f"{self.where}: an array"
        if len(told) != 3 or not isinstance(told[2], ByteRange):
            raise UserError(f"{where} is damaged.")
        name = told[1]
        if isinstance(name, ByteRange):
            name = str(self.data[name.start : name.start + min(name.count, 40)], "latin-1")
        shape, dtype = checked_shape(told[0], where), dtype_named(str(name), where)
        count = told[2].count
        storage = Storage(dtype, count // dtype.itemsize, told[2].start)
        tensor = StoredTensor(storage, dtype, 0, shape, contiguous(shape))
        if tensor.nbytes != count:
            raise UserError(f"{where} of {dtype} and shape {shape} has {count} bytes.")
        return tensor


def _listed(table: Any) -> list[Any]:
    """A list that Flax wrote as a map from "0", "1" on."""
    if not isinstance(table, dict) or set(table) != {str(k) for k in range(len(table))}:
        return []
    return [table[str(k)] for k in range(len(table))]
