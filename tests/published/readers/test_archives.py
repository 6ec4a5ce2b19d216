"""Zip archives and NumPy's arrays that are wrong or mean harm."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from diffusion_jax.published.readers import open_weights
from tests.published.readers.hostile import refused


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def of(shape: str, descr: str = "'<f4'", data: bytes = b"") -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}", data)


GOOD = of("(2,)", data=bytes(8))


def zipped(*entries: tuple[str, bytes], packed: bool = False) -> bytes:
    """An archive of these entries, whatever their names."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
        for name, data in entries:
            out.writestr(name, data)
    return found.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights"


class Evil:
    def __reduce__(self) -> tuple:
        return (exec, ("raise SystemExit('run')",))


def pickled() -> bytes:
    found = io.BytesIO()
    np.save(found, np.array([Evil()], object), allow_pickle=True)
    return found.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickled(), "holds pickled objects, which are not read"),
        (of("(2,)", "'|O'"), "pickled objects"),
        (of("(2,)", "[('a', '<f4'), ('b', '|O')]"), "which is not read"),
        (of("(2,)", "'<V1'"), "dtype"),
        (of("(2,)", "'<f3'"), "dtype"),
        (of("(2,)", "'<U4000000000'"), "dtype"),
        (of("(-2,)"), "its header is cut off"),
        (of("(2**9,)"), "its header is cut off"),
        (of("(__import__('os'),)"), "its header is cut off"),
        (of("(" + "9" * 30 + ",)"), "damaged: its shape"),
        (of("(4611686018427387904, 4)"), "more than any memory"),
        (of("(" + "1, " * 40 + ")"), "sizes are whole numbers"),
        (of("(1000000000,)"), "its header tells of"),
        (of("(1,)", data=bytes(5)), "its header tells of"),
        (npy("{" * 9000), "its header is cut off"),
        (npy("x" * 60_000), "too long a header"),
        (npy("{}", version=(2, 0)), "its header is cut off"),
        (npy("{}", version=(9, 0)), "no array of NumPy"),
    ],
)
def test_an_array_that_is_wrong_is_refused_alone_and_in_archives(
    path: Path, content: bytes, words: str
) -> None:
    path.write_bytes(content)
    refused(path, words)
    for packed in (False, True):
        path.write_bytes(zipped(("good.npy", GOOD), ("a.npy", content), packed=packed))
        refused(path, words, "a.npy")


@pytest.mark.parametrize(
    "name", ["../a.npy", "/etc/a.npy", "b/../../a.npy", "C:\\a.npy", "..\\a.npy"]
)
def test_names_that_lead_out_of_an_archive_are_refused(path: Path, name: str) -> None:
    path.write_bytes(zipped((name, GOOD)))
    refused(path, "leads out of the archive")


def test_a_name_twice_is_refused(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path.write_bytes(zipped(("a.npy", GOOD), ("a.npy", GOOD)))
    refused(path, "two entries of the name 'a.npy'")


def patched(content: bytes, at: int, *values: tuple[int, str, int]) -> bytes:
    """The archive with numbers changed: (offset, struct's letter, value) from `at` on."""
    found = bytearray(content)
    for offset, letter, value in values:
        struct.pack_into("<" + letter, found, at + offset, value)
    return bytes(found)


def test_a_table_of_entries_that_lies_is_refused(path: Path) -> None:
    content = zipped(("a.npy", GOOD), ("b.npy", GOOD))
    table, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    second = content.index(b"PK\x01\x02", table + 1)
    for changed, words in (
        (patched(content, second, (42, "I", 0)), "overlap"),
        (patched(content, table, (42, "I", 7)), "not where its table says"),
        (patched(content, table, (42, "I", 2**31)), "lies behind its end"),
        (patched(content, table, (20, "I", 10**9), (24, "I", 10**9)), "cut off"),
        (patched(content, second, (20, "I", 10**9), (24, "I", 10**9)), "cut off"),
        (patched(content, table, (24, "I", 10**9)), "but should have"),
        (patched(content, table, (24, "I", 2**32 - 1)), "cut off"),
        (patched(content, table, (8, "H", 1)), "is encrypted"),
        (patched(content, table, (10, "H", 99)), "packed by method 99"),
        (patched(content, table, (10, "H", 8), (24, "I", 10**9)), "which cannot become"),
        (patched(content, table, (28, "H", 60_000)), "cut off"),
        (patched(content, end, (10, "H", 60_000)), "damaged"),
        (patched(content, end, (16, "I", 2**31)), "cut off"),
        (content[:end], "its table is missing"),
        (content[: len(content) - 3], "its table is missing"),
    ):
        path.write_bytes(changed)
        refused(path, words, read=True)


def test_a_bomb_gives_no_more_than_it_says(path: Path) -> None:
    # 64 MB of zeros, of which the table says that they are 10.
    content = zipped(("a.npy", of("(1,)", data=bytes(2**26))), packed=True)
    table = content.index(b"PK\x01\x02")
    size = len(of("(1,)")) + 4
    path.write_bytes(patched(content, table, (24, "I", size)))
    assert open_weights(path)[
        "array" if "array" in open_weights(path) else "a"
    ].read().tolist() == [0]


def test_a_bomb_that_says_what_it_is_takes_no_more_than_there_is(path: Path) -> None:
    count = 2**29  # of float32 in a few bytes
    content = zipped(("a.npy", of(f"({count},)")), packed=True)
    table = content.index(b"PK\x01\x02")
    size = len(of(f"({count},)")) + 4 * count
    path.write_bytes(patched(content, table, (24, "I", size)))
    refused(path, "which cannot become", read=True)


def test_many_entries_are_refused_before_they_are_read(path: Path) -> None:
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 10**9, 10**9, 46 * 10**9, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 30, 1)
    path.write_bytes(b"PK\3\4" + bytes(26) + record + locator + end)
    refused(path, "1,000,000,000 entries")


def test_an_archive_of_something_else_is_refused(path: Path) -> None:
    path.write_bytes(zipped(("a.npy", GOOD), ("readme.txt", b"")))
    refused(path, "no format that is read")
    path.write_bytes(zipped(("code.pkl", pickle.dumps(Evil()))))
    refused(path, "no format that is read")


def test_bfloat16_is_known_though_numpy_has_no_name_for_it(path: Path) -> None:
    array = np.array([1.5, -2], ml_dtypes.bfloat16)
    np.savez(path.with_suffix(".npz"), a=array)
    read = open_weights(path.with_suffix(".npz"))["a"].read()
    assert read.dtype == array.dtype and read.tolist() == [1.5, -2]


def test_other_byte_orders_become_the_machines(path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.array([1.5, -2], ">f4"))
    read = open_weights(path)["tensor"].read()
    assert read.dtype == np.float32 and read.dtype.isnative and read.tolist() == [1.5, -2]
