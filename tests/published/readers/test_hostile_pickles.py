"""Pickles that mean harm, in every file that may hold one: nothing runs, and one line says why."""

import io
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import open_weights
from diffusion_jax.published.readers.pickles import flatten
from diffusion_jax.published.readers.pickles.instructions import follow
from diffusion_jax.published.readers.pickles.machine import Budget, Machine
from diffusion_jax.published.readers.pickles.shells import Shells
from tests.published.readers.crafted import (
    FILES,
    STORAGE,
    call,
    in_legacy,
    in_tar,
    in_zip,
    name,
    plain,
    storage,
    tensor,
    text,
    whole,
    within,
)
from tests.published.readers.hostile import refused

# What has been used to run code from pickles, and what tries to look harmless.
ASKED = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "__import__"),
    ("builtins", "getattr"),
    ("builtins", "open"),
    ("builtins", "list.__class__"),
    ("__builtin__", "eval"),
    ("importlib", "import_module"),
    ("subprocess", "Popen"),
    ("operator", "attrgetter"),
    ("functools", "partial"),
    ("pickle", "loads"),
    ("_pickle", "loads"),
    ("marshal", "loads"),
    ("types", "FunctionType"),
    ("types", "SimpleNamespace.__init__"),
    ("runpy", "_run_code"),
    ("socket", "socket"),
    ("shutil", "rmtree"),
    ("pathlib", "Path.unlink"),
    ("webbrowser", "open"),
    ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.core.multiarray", "fromfile"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.jit", "load"),
    ("torch.serialization", "load"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch._utils", "_rebuild_qtensor"),
    ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch.nn.modules.module", "torch.os.system"),
    ("torch.nn.modules", "module.Module"),
    ("torch.nn.modules.linear", "os"),
    ("pytorch_lightning.utilities", "os.system"),
    ("lightning.pytorch", "sys"),
    ("omegaconf.omegaconf", "OmegaConf"),
    ("__main__", "Network"),
    ("models", "DiT"),
    ("", ""),
    ("os\nsystem", "x\ny"),
]

at = pytest.mark.parametrize("file", FILES.values(), ids=FILES)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


@at
@pytest.mark.parametrize(("module", "function"), ASKED, ids=map(".".join, ASKED))
def test_what_is_asked_for_is_named_and_not_run(
    path: Path, file: Callable[[bytes], bytes], module: str, function: str
) -> None:
    path.write_bytes(file(call(module, function, text("touch ran"))))
    shown = repr(f"{module}.{function}")[1:-1]
    message = refused(path, f"asks for {shown}", "byte")
    assert str(path) in message
    assert [each.name for each in path.parent.iterdir()] == ["weights"]


class Evil:
    """What Python itself would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return (os.system, ("touch ran",))


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_followed(path: Path, protocol: int) -> None:
    for content in (Evil(), [Evil()], {"a": Evil()}, (1, Evil())):
        path.write_bytes(pickle.dumps(content, protocol))
        refused(path, "asks for posix.system")
    assert [each.name for each in path.parent.iterdir()] == ["weights"]


def test_a_name_that_is_admitted_is_no_way_to_another(path: Path) -> None:
    for instructions, words in (
        (call("builtins", "dict", text("a")), "calls builtins.dict"),
        (call("torch.nn.parameter", "Parameter", text("a")), "calls torch.nn.parameter.Parameter"),
        (call("_codecs", "encode", text("a"), text("rot13")), "bytes in the encoding 'rot13'"),
        (call("_codecs", "encode", text("a")), "bytes in the encoding"),
        (name("torch", "float32") + b")R", "which is no function"),
        (text("os.system") + b")R", "calls 'os.system', which is no function"),
        (call("torch._utils", "_rebuild_tensor_v2"), "with 0 arguments"),
        (
            call("copyreg", "_reconstructor", name("builtins", "dict"), b"N", b"N"),
            "makes a 'builtins.dict'",
        ),
        (
            call(
                "torch._tensor",
                "_rebuild_from_type_v2",
                *(name("torch.storage", "_load_from_bytes"), name("torch", "Tensor")),
                *(b")", b"N"),
            ),
            "has a tensor of class",
        ),
        (
            call(
                "torch._tensor",
                "_rebuild_from_type_v2",
                *(name("torch._utils", "_rebuild_tensor_v2"), name("argparse", "Namespace")),
                *(b")", b"N"),
            ),
            "has a tensor of class 'argparse.Namespace'",
        ),
        (name("argparse", "Namespace") + b")}" + text("a") + b"Ns\x92", "settings by name"),
        (call("torch_utils.persistence", "_reconstruct_persistent_obj", b"}"), "without a class"),
        (call("numpy", "dtype", b"N"), "is none"),
    ):
        path.write_bytes(plain(instructions))
        refused(path, words)


def test_pickles_within_pickles_end(path: Path) -> None:
    inner = call("torch.storage", "_load_from_bytes", b"C\x01x")
    for content in (within(inner), in_zip(inner), in_legacy(inner), in_tar(inner)):
        path.write_bytes(content)
        refused(path, "holds another pickle, which is not read")
    path.write_bytes(plain(call("torch.storage", "_load_from_bytes", b"C\x01x")))
    refused(path, "damaged or means harm")
    path.write_bytes(plain(call("torch.storage", "_load_from_bytes", text("x"))))
    refused(path, "not kept as bytes")


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        (b"", "a value is missing"),
        (b"0", "a value is missing"),
        (b"t", "a mark is missing"),
        (b"h\x05", "was never kept"),
        (b"j\xff\xff\xff\xff", "was never kept"),
        (b"\xff", "unknown instruction 0xff"),
        (b"\x80\x09", "protocol 9"),
        (b"\x82\x01", "copyreg"),
        (b"\x97", "a buffer beside it"),
        (b"N" + whole(1) + b"b", "attributes are given to a NoneType"),
        (b"NN\x93", "a name that is no text"),
        (b"N(NNu", "items are put into what is no mapping"),
        (b"}(Nu", "a key without a value"),
        (b"NNa", "entries are put into what is no list"),
        (b"N(N\x90", "items are put into what is no set"),
        (b"}]Ns", "key of type list"),
        (b"})\x85\x85\x85Ns", "key of type tuple"),
        (b"}" + whole(2**61 - 1) + b"Ns", "key of type int"),
        (b"\x8f(]\x90", "key of type list"),
        (b"}" + b")" + b"\x85" * 20_000 + b"Ns", "key of type tuple"),
        (b"\x8f()" + b"\x85" * 20_000 + b"\x90", "key of type tuple"),
        (b"]" + b"]" * 20_000 + b"a" * 20_000, "nests more than 100"),
        (b")" + b"\x85" * 20_000, "nests more than 100"),
        (b"\x8b\xff\xff\xff\x7f", "a whole number of 2147483647 bytes"),
        (b"\x8b\xff\xff\xff\xff", "a whole number of 4294967295 bytes"),
        (b"\x8e" + struct.pack("<Q", 2**62), "cut off"),
        (b"\x8d" + struct.pack("<Q", 2**63 + 5), "cut off"),
        (b"\x96" + struct.pack("<Q", 2**64 - 1), "cut off"),
        (b"B\xff\xff\xff\xff", "cut off"),
        (b"X\x02\x00\x00\x00\xff\xff", "a text that is none"),
        (b"\x95" + struct.pack("<Q", 2**40), "cut off"),
        (b"I" + b"9" * 1000 + b"\n", "a whole number that is none"),
        (b"I" + b"9" * 10_000 + b"\n", "a line without an end"),
        (b"L0x10L\n", "a whole number that is none"),
        (b"Fnothing\n", "a number that is none"),
        (b"S'\\x41'\n", "a quoted text that is none"),
        (b"V\\u0041\n", "a text with escapes"),
        (b"p-1\n", "a value is missing"),
        (b"Nc", "a line without an end"),
    ],
)
def test_a_pickle_that_is_no_program_is_refused(
    path: Path, instructions: bytes, words: str
) -> None:
    path.write_bytes(plain(instructions))
    refused(path, words)


def test_values_within_themselves_come_to_an_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flatten, "MOST_PARTS", 10_000)
    # Each list holds the one before it ten times.
    lists = (b"](" + (b"h" + bytes([k])) * 10 + b"e\x94" for k in range(40))
    laughs = b"]\x94" + b"".join(lists)
    path.write_bytes(plain(laughs))
    refused(path, "holds more than 10,000 values")
    for cycle in (b"]\x94h\x00a", b"}\x94" + text("a") + b"h\x00s"):
        path.write_bytes(plain(cycle))
        assert len(open_weights(path)) == 0


def test_instructions_are_counted_over_all_pickles_of_a_file() -> None:
    data = b"N0" * 20 + b"N."
    budget = Budget(60)
    follow(Machine(data, 0, len(data), "file", Shells(), budget))
    with pytest.raises(UserError, match="more than 4,000,000 instructions"):
        follow(Machine(data, 0, len(data), "file", Shells(), budget))


def test_a_file_of_nothing_but_containers_is_bounded(path: Path) -> None:
    path.write_bytes(plain(b"\x8f" * 1_000_000))
    refused(path, "more than 4,000,000 instructions", memory=2**28)


# A list that holds the one before it ten times, and so on; lists within one another.
LAUGHS = b"]\x940" + b"".join(b"](" + (b"h" + bytes([k])) * 10 + b"e\x940" for k in range(40))
LAUGHS += b"h\x28"
DEEP = b"]" * 2000 + b"a" * 1999


@pytest.mark.parametrize("value", [LAUGHS, DEEP], ids=["laughs", "deep"])
def test_a_message_does_not_spell_out_what_is_in_a_file(path: Path, value: bytes) -> None:
    parts = [text("storage"), STORAGE, text("0"), text("cpu"), whole(4)]
    memories = [b"(" + b"".join([*parts[:k], value, *parts[k + 1 :]]) + b"tQ" for k in range(5)]
    function = ("torch._tensor", "_rebuild_from_type_v2")
    for instructions in (
        value + b"Q",
        value + b")R",
        *(tensor(memory=memory) for memory in (*memories[:3], memories[4], value)),
        *(tensor(shape=value), tensor(strides=value), tensor(offset=value)),
        tensor(shape=b"(" + value + b"t"),
        tensor(strides=b"(" + value + b"t"),
        b"}" + value + b"Ns",
        b"\x8f(" + value + b"\x90",
        call(*function, value, name("torch", "Tensor"), b")", b"N"),
        call(*function, name("torch._utils", "_rebuild_tensor_v2"), value, b")", b"N"),
        call("torch._utils", "_rebuild_tensor_v3", *[storage()] * 6, value),
        call("copyreg", "_reconstructor", value, b"N", b"N"),
        call("builtins", "set", value),
        call("_codecs", "encode", text("a"), value),
        call("numpy", "dtype", value),
        call("numpy._core.numeric", "_frombuffer", value, value, value),
        call("torch_utils.persistence", "_reconstruct_persistent_obj", value),
    ):
        for file in (in_zip, in_legacy, in_tar, within):
            path.write_bytes(file(instructions))
            refused(path)
    path.write_bytes(in_legacy(b"N", keys=b"](" + value + b"e"))
    refused(path)
    path.write_bytes(plain(call("torch", "device", value)))
    assert open_weights(path).metadata == {}


def test_a_key_of_many_digits_is_none(path: Path) -> None:
    path.write_bytes(in_tar(text("9" * 10_000) + b"Q"))
    refused(path, "has no tensor of the key")


def test_this_file_tests_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own machine does run what is refused above."""
    monkeypatch.chdir(tmp_path)
    pickle.load(io.BytesIO(plain(call("os", "system", text("touch ran")))))
    assert (tmp_path / "ran").exists()
    assert flatten.MOST_PARTS == 500_000 and "torch" not in sys.modules
