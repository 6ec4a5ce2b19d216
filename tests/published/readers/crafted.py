"""Pickles put together by hand, and the files in which they may come."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable

STORAGE = b"ctorch\nFloatStorage\n"
MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e" + "80024de9032e" + "80027d2e")


def text(value: str) -> bytes:
    """An instruction that pushes a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, function: str) -> bytes:
    """Instructions that ask for a class or function."""
    return text(module) + text(function) + b"\x93"


def call(module: str, function: str, *arguments: bytes) -> bytes:
    """Instructions that call a function with what these instructions push."""
    return name(module, function) + b"(" + b"".join(arguments) + b"tR"


def whole(value: int) -> bytes:
    """Instructions that push a whole number."""
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def sizes(*values: int) -> bytes:
    """Instructions that push a tuple of whole numbers."""
    return b"(" + b"".join(map(whole, values)) + b"t"


def storage(key: bytes = text("0"), count: bytes = whole(4), kind: bytes = STORAGE) -> bytes:
    """Instructions that ask for a storage."""
    return b"(" + text("storage") + kind + key + text("cpu") + count + b"tQ"


def tensor(
    shape: bytes = sizes(4),
    strides: bytes = sizes(1),
    offset: bytes = whole(0),
    memory: bytes = storage(),
) -> bytes:
    """Instructions that make a tensor."""
    rest = (b"\x89", b"N")
    return call("torch._utils", "_rebuild_tensor_v2", memory, offset, shape, strides, *rest)


def whole_pickle(instructions: bytes) -> bytes:
    """A pickle of protocol 4."""
    return b"\x80\x04" + instructions + b"."


def plain(instructions: bytes) -> bytes:
    """A file that is one pickle."""
    return whole_pickle(instructions)


def in_zip(instructions: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """A file of PyTorch."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as out:
        out.writestr("archive/data.pkl", whole_pickle(instructions))
        for key, data in ({"0": bytes(16)} if storages is None else storages).items():
            out.writestr(f"archive/data/{key}", data)
    return found.getvalue()


def in_legacy(instructions: bytes, keys: bytes = b"]" + text("0") + b"a") -> bytes:
    """A file of PyTorch from before version 1.6."""
    numbers = struct.pack("<q", 4) + bytes(16)
    return MAGIC + whole_pickle(instructions) + whole_pickle(keys) + numbers


def in_tar(instructions: bytes) -> bytes:
    """One of PyTorch's first files."""
    found = io.BytesIO()
    empty = whole_pickle(whole(0))
    parts = {
        "sys_info": whole_pickle(b"}"),
        "pickle": whole_pickle(instructions),
        "storages": empty + whole_pickle(b"]"),
        "tensors": empty,
    }
    with tarfile.open(fileobj=found, mode="w:") as archive:
        for part, content in parts.items():
            entry = tarfile.TarInfo(part)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return found.getvalue()


def within(instructions: bytes) -> bytes:
    """A pickle in which a tensor's storage is a file of PyTorch."""
    inner = in_legacy(instructions)
    data = b"B" + struct.pack("<I", len(inner)) + inner
    return plain(call("torch.storage", "_load_from_bytes", data))


def persistent(instructions: bytes) -> bytes:
    """A pickle of an object of NVIDIA's persistent classes, with this as an attribute."""
    state = b"}" + text("attribute") + instructions + b"s"
    meta = (
        b"}(" + text("class_name") + text("Net") + text("module_src") + text("raise SystemExit")
    ) + (text("state") + state + b"u")
    return plain(call("torch_utils.persistence", "_reconstruct_persistent_obj", meta))


FILES: dict[str, Callable[[bytes], bytes]] = {
    "pickle": plain,
    "zip": in_zip,
    "legacy": in_legacy,
    "tar": in_tar,
    "within": within,
    "persistent": persistent,
}
"""Kind of file -> instructions in such a file"""
