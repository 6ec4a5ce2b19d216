"""Writes the files of `tests/published/readers/data` with the libraries that such files come from.

    python -m tests.published.record.weights tests/published/readers/data

It needs torch, safetensors and numpy, in an environment of its own; the tests need none of them.
"""

import collections
import functools
import io
import pickle
import struct
import sys
import tarfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from tests.published.readers.contents import TENSORS, nested

SOURCE = "raise SystemExit('the source in a pickle was run')"


def main(folder: Path) -> None:
    """Writes all files."""
    folder.mkdir(exist_ok=True)
    value = as_torch(nested())
    flat = {name: tensor(array) for name, array in TENSORS.items()}
    safetensors.torch.save_file(flat, folder / "torch.safetensors", {"format": "pt"})
    torch.save(value, folder / "zip.pt")
    torch.save(value, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    (folder / "tar.pt").write_bytes(as_tar(value))
    check(value, torch.load(folder / "tar.pt", weights_only=False))
    torch.save(views(), folder / "views.pt")
    torch.save(views(), folder / "views_legacy.pt", _use_new_zipfile_serialization=False)
    (folder / "persistent.pkl").write_bytes(pickle.dumps(persistent()))
    (folder / "persistent_contract.pkl").write_bytes(pickle.dumps(value))
    layer = torch.nn.Linear(2, 3)
    layer.weight.data, layer.bias.data = torch.arange(6.0).reshape(3, 2), torch.arange(3.0)
    torch.jit.script(torch.nn.Sequential(layer, torch.nn.ReLU())).save(folder / "script.pt")
    torch.save(torch.nn.Sequential(layer, torch.nn.ReLU()), folder / "module.pt")


def tensor(array: np.ndarray) -> torch.Tensor:
    """An array of NumPy as a tensor."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def as_torch(value: Any) -> Any:
    """The same nest, ordered, with tensors."""
    if isinstance(value, np.ndarray):
        return tensor(value)
    return collections.OrderedDict((key, as_torch(part)) for key, part in value.items())


def views() -> dict[str, Any]:
    """Tensors that share storages, and are not contiguous; what other dtypes there are."""
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "base": base,
        "turned": base.transpose(0, 2),
        "part": base[1, :, 1:3],
        "steps": base.flatten()[1::5],
        "one": base[1, 2, 3],
        "repeated": torch.ones(1, 5).expand(4, 5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "nothing": torch.zeros(3, 0),
        "float8_e4m3fn": torch.arange(3.0).to(torch.float8_e4m3fn),
        "float8_e5m2": torch.arange(3.0).to(torch.float8_e5m2),
        "complex64": torch.tensor([1 + 2j]),
        "uint16": torch.tensor([1, 65535], dtype=torch.uint16),
        "array": np.arange(6.0).reshape(2, 3).T,
        "settings": {"step": 3, "lr": 1e-4, "betas": (0.9, 0.999), "dtype": torch.bfloat16},
        "scalar": np.float32(2.5),
        "device": torch.device("cpu"),
        "size": base.shape,
        "names": {"b", "a"},
    }


def check(before: Any, after: Any) -> None:
    """Raises unless two nests of tensors are the same."""
    if isinstance(before, dict):
        assert list(before) == list(after)
        for key in before:
            check(before[key], after[key])
    else:
        assert before.dtype == after.dtype and torch.equal(before, after)


# NVIDIA's persistent classes: an object is pickled as a function's call, with a mapping that holds
# the source of its class, the name of the class and its attributes


class EasyDict(dict):
    """A mapping whose items are attributes."""


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise NotImplementedError


def module_of(name: str, **content: Any) -> None:
    """Makes a module in which pickles find these."""
    sys.modules[name.partition(".")[0]] = types.ModuleType(name.partition(".")[0])
    sys.modules[name] = module = types.ModuleType(name)
    for key, value in content.items():
        value.__module__, value.__qualname__ = name, key
        setattr(module, key, value)


module_of("torch_utils.persistence", _reconstruct_persistent_obj=_reconstruct_persistent_obj)
module_of("dnnlib.util", EasyDict=EasyDict)


def kept(kind: type) -> type:
    """A class whose objects are pickled so, with what they were made with."""

    class Kept(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self._init_args, self._init_kwargs = args, kwargs

        def __reduce__(self) -> tuple[Any, ...]:
            meta = {
                "type": "class",
                "version": 6,
                "module_src": SOURCE,
                "class_name": kind.__name__,
                "state": self.__dict__,
            }
            return (_reconstruct_persistent_obj, (meta,), None)

    return Kept


@kept
class Linear(torch.nn.Module):
    """A layer."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        count = inputs * outputs
        self.weight = torch.nn.Parameter(torch.arange(float(count)).reshape(outputs, inputs))
        self.bias = None


@kept
class Network(torch.nn.Module):
    """A network."""

    def __init__(self, channels: int, **options: Any):
        super().__init__()
        layers = {"8x8_conv": Linear(2, channels), "8x8_block0": Linear(channels, 1)}
        self.enc = torch.nn.ModuleDict(layers)
        self.register_buffer("filter", torch.ones(1, 1, 2, 2) / 4)


@kept
class Precond(torch.nn.Module):
    """A preconditioned network."""

    def __init__(self, resolution: int, sigma_max: float, **options: Any):
        super().__init__()
        self.resolution, self.sigma_max = resolution, sigma_max
        self.model = Network(3, **options)


@kept
class Encoder:
    """What makes latents of pictures."""

    def __init__(self, name: str):
        self.name, self._net = name, None
        self.scale = np.float32([0.5, 0.5]) / np.float32([4.17, 4.62])


def persistent() -> Any:
    """What a file of EDM2 holds: a network in half precision, an encoder, settings."""
    network = Precond(8, float("inf"), label_dim=0, options=EasyDict(mult=[1, 2]))
    network.eval().requires_grad_(False).to(torch.float16)
    return EasyDict(ema=network, encoder=Encoder("vae"), dataset_kwargs=EasyDict(path="x.zip"))


# PyTorch's first format, which it reads but no longer writes


def as_tar(value: Any) -> bytes:
    """A file as PyTorch wrote it before version 0.1.10."""
    tensors: list[torch.Tensor] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            if not isinstance(thing, torch.Tensor):
                return None
            tensors.append(thing)
            return str(len(tensors) - 1)

    parts: dict[str, Callable[[Any], None]] = {
        "pickle": lambda out: Pickler(out, 2).dump(value),
        "sys_info": lambda out: pickle.dump({"little_endian": True}, out, 2),
        "storages": functools.partial(_storages, tensors),
        "tensors": functools.partial(_tensors, tensors),
    }
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, write in parts.items():
            write(content := io.BytesIO())
            entry = tarfile.TarInfo(name)
            entry.size = content.tell()
            archive.addfile(entry, io.BytesIO(content.getvalue()))
    return found.getvalue()


def _storages(tensors: list[torch.Tensor], out: Any) -> None:
    pickle.dump(len(tensors), out, 2)
    for key, each in enumerate(tensors):
        pickle.dump((1000 + key, "cpu", _kind(each)), out, 2)
        out.write(struct.pack("<q", each.numel()))
        out.write(each.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    pickle.dump([], out, 2)


def _kind(each: torch.Tensor) -> Any:
    names = {
        torch.int64: "Long",
        torch.uint8: "Byte",
        torch.bool: "Bool",
        torch.bfloat16: "BFloat16",
    }
    floats = {torch.float64: "Double", torch.float32: "Float", torch.float16: "Half"}
    return getattr(torch, f"{(names | floats)[each.dtype]}Storage")


def _tensors(tensors: list[torch.Tensor], out: Any) -> None:
    pickle.dump(len(tensors), out, 2)
    for key, each in enumerate(tensors):
        pickle.dump((key, 1000 + key, torch.FloatTensor), out, 2)
        out.write(struct.pack("<q", each.dim()))
        sizes = [*each.shape, *each.contiguous().stride(), 0]
        out.write(struct.pack(f"<{len(sizes)}q", *sizes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
