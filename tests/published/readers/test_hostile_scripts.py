"""Archives of TorchScript that mean harm: their code is not read, and their classes are data."""

import io
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

from diffusion_jax.published.readers import open_weights
from tests.published.readers.crafted import (
    call,
    in_zip,
    name,
    sizes,
    tensor,
    text,
    whole,
    whole_pickle,
)
from tests.published.readers.hostile import refused

SOURCE = b"import os\nos.system('touch ran')\nclass system(Module):\n  weight : Tensor\n"
RECORD = name("__torch__.os", "system") + b")\x81"  # as TorchScript makes an object


class Evil:
    """What Python itself would run."""

    def __reduce__(self) -> tuple[object, ...]:
        import os

        return (os.system, ("touch ran",))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "script.pt"


def script(instructions: bytes, **others: bytes) -> bytes:
    """An archive with code, and a pickle of constants that Python would run."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as out:
        out.writestr("script/data.pkl", whole_pickle(instructions))
        out.writestr("script/data/0", bytes(16))
        out.writestr("script/constants.pkl", pickle.dumps(Evil()))
        out.writestr("script/code/__torch__/os.py", SOURCE)
        out.writestr("script/code/__torch__/os.py.debug_pkl", pickle.dumps(Evil()))
        for entry, data in others.items():
            out.writestr(entry, data)
    return found.getvalue()


def test_a_class_of_whatever_name_is_data_and_no_code_is_run(path: Path) -> None:
    path.write_bytes(script(RECORD + b"}" + text("weight") + tensor() + b"sb"))
    modules = set(sys.modules)
    weights = open_weights(path)
    assert {k: v.read().tolist() for k, v in weights.items()} == {"weight": [0.0] * 4}
    assert weights.metadata == {"__class__": "__torch__.os.system"}
    assert set(sys.modules) == modules
    assert [each.name for each in path.parent.iterdir()] == ["script.pt"]


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("__torch__", ""),
        ("__torch__", "os.system"),
        ("__torch__.os", "system.__globals__"),
        ("__torch__..os", "system"),
        ("__torch__.os ", "system"),
        ("__torch__\n.os", "system"),
        ("__torch__x.os", "system"),
        ("x.__torch__.os", "system"),
        ("torch.jit", "load"),
        ("torch.jit._pickle", "build_tensor_from_id"),
        ("torch.jit._script", "RecursiveScriptModule"),
        ("torch.classes", "load_library"),
        ("torch.ops", "load_library"),
    ],
)
def test_a_name_that_is_no_class_of_a_script_is_refused(
    path: Path, module: str, function: str
) -> None:
    path.write_bytes(script(call(module, function, text("touch ran"))))
    refused(path, "asks for " + repr(f"{module}.{function}")[1:-1])
    assert [each.name for each in path.parent.iterdir()] == ["script.pt"]


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        (RECORD + b")R", "which is no function"),  # an object is not to be called
        (RECORD + text("x") + b"\x93", "a name that is no text"),
        (RECORD + b"}" + RECORD + b"Nsb", "key of type Record"),
        (RECORD + b"}" + text("w") + tensor(sizes(9)) + b"sb", "leaves its storage"),
        (call("torch.jit._pickle", "build_intlist"), "with 0 arguments"),
        (RECORD * 2 + b"\x92", "a value is missing"),
        (b"(" + text("storage") + RECORD + text("0") + text("cpu") + whole(4) + b"tQ", "is none"),
    ],
)
def test_a_script_s_objects_do_nothing_else(path: Path, instructions: bytes, words: str) -> None:
    path.write_bytes(script(instructions))
    refused(path, words)


def test_a_second_pickle_of_data_and_ways_out_of_the_archive_are_refused(path: Path) -> None:
    path.write_bytes(script(RECORD, **{"script/code/data.pkl": pickle.dumps(Evil())}))
    refused(path, "several pickles")
    path.write_bytes(script(RECORD, **{"../script/code/x.py": SOURCE}))
    refused(path, "'../script/code/x.py'")
    path.write_bytes(in_zip(RECORD)[:-30])
    refused(path)
