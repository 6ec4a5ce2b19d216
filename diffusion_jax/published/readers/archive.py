"""Zip archives: what is in them, and where each entry lies, without unpacking anything.

Written for archives of weights: no encryption, no comments of files, entries that are stored or
deflated and do not overlap. Names lead nowhere: entries are looked up, never written.

Source: PKWARE's APPNOTE, sections 4.3 and 4.4.
"""

import dataclasses
import itertools
import mmap
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.tensor import check_memory

START = b"PK\x03\x04"
EMPTY = b"PK\x05\x06"
MOST_ENTRIES = 200_000
STORED, DEFLATED = 0, 8
FULL = 0xFFFFFFFF  # a size that is told elsewhere, in eight bytes
MOST_EXPANSION = 1032  # no deflated byte gives more
PIECE = 2**20  # bytes unpacked at a time


@dataclasses.dataclass(frozen=True)
class ArchiveEntry:
    """One file of an archive.

    Attributes:
        file: the archive.
        name: of the entry.
        start: byte at which its data begin.
        packed: bytes of its data in the archive.
        size: bytes once unpacked.
        method: how it is packed.
    """

    file: File
    name: str
    start: int
    packed: int
    size: int
    method: int

    @property
    def stored(self) -> bool:
        """Whether its bytes lie in the archive as they are."""
        return self.method == STORED

    def first(self, count: int) -> bytes:
        """Its first bytes, at most `count`."""
        return self.unpacked(min(count, self.size)).tobytes()

    def unpacked(self, count: int | None = None) -> np.ndarray:
        """Its bytes, or the first `count` of them: uint8; mapped where they are stored.

        Raises:
            UserError: it is damaged, or there is no memory for it.
        """
        wanted = self.size if count is None else count
        if self.stored:
            return self.file.bytes_at(self.start, wanted)
        where = f"{self.file.path}: {shown(self.name)}"
        check_memory(wanted, where)
        found = np.empty(wanted, np.uint8)
        at = 0
        try:
            for piece in self._pieces():
                part = np.frombuffer(piece, np.uint8)[: wanted - at]
                found[at : at + len(part)] = part
                at += len(part)
                if at == wanted:
                    return found
        except zlib.error as error:
            raise UserError(f"{where} is damaged: {error}.") from error
        raise UserError(f"{where} is cut off: {at:,} of {wanted:,} bytes are there.")

    def _pieces(self) -> Iterator[bytes]:
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        for start in range(0, self.packed, PIECE):
            packed = self.file.cut(self.start + start, min(PIECE, self.packed - start))
            while packed:
                yield machine.decompress(packed, PIECE)
                packed = machine.unconsumed_tail
        yield machine.flush()


def entries(file: File) -> dict[str, ArchiveEntry]:
    """The entries of an archive by name; folders are left out.

    Raises:
        UserError: it is cut off or damaged, or made to mislead: entries that overlap, a name twice
            or one that leads out of the archive, sizes that cannot be.
    """
    found: dict[str, ArchiveEntry] = {}
    with file.mapped() as data:
        listed = list(_listed(file, data))
    for entry in listed:
        if entry.name in found:
            raise UserError(f"{file.path} has two entries of the name {shown(entry.name)}.")
        _check(entry)
        if not entry.name.endswith("/"):
            found[entry.name] = entry
    ordered = sorted(found.values(), key=lambda entry: entry.start)
    for before, entry in itertools.pairwise(ordered):
        if before.start + before.packed > entry.start:
            raise UserError(
                f"{file.path}: the entries {shown(before.name)} and {shown(entry.name)} overlap."
            )
    return found


def _check(entry: ArchiveEntry) -> None:
    where = f"{entry.file.path}: {shown(entry.name)}"
    parts = entry.name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in entry.name:
        raise UserError(f"{where} is a name that leads out of the archive.")
    if entry.start + entry.packed > entry.file.size:
        raise UserError(f"{where} is cut off: it ends behind the end of the archive.")
    if entry.method not in (STORED, DEFLATED):
        raise UserError(f"{where} is packed by method {entry.method}, which is not read.")
    if entry.stored and entry.packed != entry.size:
        raise UserError(f"{where} is stored in {entry.packed} bytes, but should have {entry.size}.")
    if entry.size > MOST_EXPANSION * entry.packed + MOST_EXPANSION:
        raise UserError(f"{where} has {entry.packed} bytes, which cannot become {entry.size}.")


def _listed(file: File, data: mmap.mmap) -> Iterator[ArchiveEntry]:
    start, size, count = _directory(file)
    if count > MOST_ENTRIES or size > MOST_ENTRIES * 1000:
        raise UserError(f"{file.path} has {count:,} entries; at most {MOST_ENTRIES:,} are read.")
    table = file.cut(start, size)
    at = 0
    try:
        for _ in range(count):
            signature, flags, method, packed, whole = struct.unpack_from("<I4xHH8xII", table, at)
            lengths = struct.unpack_from("<HHH", table, at + 28)
            header = struct.unpack_from("<I", table, at + 42)[0]
            if signature != 0x02014B50:
                raise UserError(f"{file.path} is damaged: its table of entries is none.")
            name = table[at + 46 : at + 46 + lengths[0]].decode("utf-8", "surrogateescape")
            extra = table[at + 46 + lengths[0] : at + 46 + lengths[0] + lengths[1]]
            if at + 46 + sum(lengths) > len(table):
                raise struct.error("a name is cut off")
            if flags & 1:
                raise UserError(f"{file.path}: {shown(name)} is encrypted.")
            whole, packed, header = _long(extra, (whole, packed, header))
            yield ArchiveEntry(file, name, _start(file, data, header), packed, whole, method)
            at += 46 + sum(lengths)
    except struct.error as error:
        raise UserError(f"{file.path} is damaged: its table of entries is cut off.") from error


def _directory(file: File) -> tuple[int, int, int]:
    """Where the table of entries begins, its bytes, and how many entries it has."""
    tail_start = max(file.size - 22 - 65535, 0)
    tail = file.cut(tail_start, file.size - tail_start)
    at = tail.rfind(EMPTY)
    if at < 0 or at + 22 > len(tail):
        raise UserError(f"{file.path} is a zip archive that is cut off: its table is missing.")
    count, size, start = struct.unpack_from("<HII", tail, at + 10)
    locator = at - 20
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        place = struct.unpack_from("<Q", tail, locator + 8)[0]
        record = file.cut(place, 56)
        if record[:4] != b"PK\x06\x06":
            raise UserError(f"{file.path} is a zip archive whose table is damaged.")
        count, size, start = struct.unpack_from("<QQQ", record, 32)
    return start, size, count


def _long(extra: bytes, sizes: tuple[int, ...]) -> Iterator[int]:
    """Sizes of which those that do not fit into four bytes are told in an extra field."""
    longs: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            longs = [v for (v,) in struct.iter_unpack("<Q", extra[at + 4 :][: length // 8 * 8])]
        at += 4 + length
    for size in sizes:
        if size == FULL:
            if not longs:
                raise struct.error("a long size is missing")
            yield longs.pop(0)
        else:
            yield size


def _start(file: File, data: mmap.mmap, header: int) -> int:
    """The byte at which the data of an entry begin, behind its own header."""
    if header + 30 > file.size:
        raise UserError(f"{file.path} is cut off: an entry lies behind its end.")
    local = data[header : header + 30]
    if local[:4] != START:
        raise UserError(f"{file.path} is damaged: an entry is not where its table says.")
    return header + 30 + sum(struct.unpack_from("<HH", local, 26))
