"""Writing models: safetensors, and folders as diffusers reads them, whole or not at all."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.files import TEMPORARY, disk_errors, save, user_path
from diffusion_jax.networks.encoders import encoders
from diffusion_jax.published.folder import INDEX, read_index
from diffusion_jax.published.model import ReleasedModel
from diffusion_jax.published.names import names_of, to_tensors
from diffusion_jax.published.parts import CONFIG, Part, class_of, read_json, read_part
from diffusion_jax.published.readers import Weights, open_weights
from diffusion_jax.published.readers.safetensors import DTYPES, METADATA

NAMES = {np.dtype(jnp.dtype(name)): told for told, name in DTYPES.items()}
ALIGNED = 8  # bytes that a header's length is a multiple of
NETWORK_FILE, ENCODER_FILE = "diffusion_pytorch_model.safetensors", "model.safetensors"
# Of a folder, what holds weights, and is written anew.
WEIGHTS = (".safetensors", ".bin", ".msgpack", ".onnx", ".pt", ".ckpt", ".index.json")


def write_safetensors(
    tensors: Mapping[str, np.ndarray], path: Path, metadata: Mapping[str, str] | None = None
) -> Path:
    """Writes tensors as one file of safetensors; an older one is replaced once it is whole.

    Args:
        tensors: by name.
        path: of the file.
        metadata: that the header is to say.

    Raises:
        UserError: a dtype that the format has not, or no room on disk.
    """
    header: dict[str, Any] = {METADATA: dict(metadata or {"format": "pt"})}
    begin, ordered = 0, sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    for name, value in ordered:
        if value.dtype not in NAMES:
            raise UserError(f"Tensor {name!r} of dtype {value.dtype} has no place in safetensors.")
        end = begin + value.nbytes
        told = {"dtype": NAMES[value.dtype], "shape": list(value.shape)}
        header[name], begin = told | {"data_offsets": [begin, end]}, end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    temporary = path.with_name(path.name + TEMPORARY)
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                for _, value in ordered:
                    file.write(np.ascontiguousarray(value).tobytes())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def export_model(model: ReleasedModel, out: str | Path) -> Path:
    """Writes a model for PyTorch, in the dtype of its parameters.

    A model that was read from a folder becomes a folder, with its configurations, tokenizers and
    scheduler; an authors' checkpoint a file of safetensors, with the authors' names of tensors.
    Tensors that the network computes itself, such as tables of positions, are those of the
    original.

    Args:
        model: as `released` gives it.
        out: the new folder, or the file.

    Returns:
        Where it is.

    Raises:
        UserError: something is there, or there is no room on disk.
    """
    target = vacant(out)
    if (model.folder / INDEX).exists():
        return _whole(target, lambda place: _write_folder(model, place))
    part = model.network
    tensors = part_tensors(part) | unread_tensors(part, open_weights(model.folder))
    return write_safetensors(tensors, target, {"format": "pt", "card": model.kind})


def export_part(folder: Path, dtype: str, variant: str, out: str | Path) -> Path:
    """Writes a part's folder, such as an autoencoder's, in another dtype or from another format.

    Of a model that holds an encoder and more, such as T5 with its decoder, the encoder is written.

    Args:
        folder: of the part.
        dtype: of what is written.
        variant: which of several files of weights is read.
        out: the new folder.

    Raises:
        UserError: it cannot be read, something is at `out`, or there is no room on disk.
    """
    target = vacant(out)
    part = read_part(folder, dtype, variant)
    tensors, original = part_tensors(part), type(part.module).original
    is_whole = class_of(read_json(folder / CONFIG), str(folder / CONFIG)) == original
    if is_whole:
        tensors |= unread_tensors(part, open_weights(folder, variant))

    def write(place: Path) -> None:
        if is_whole:
            shutil.copyfile(folder / CONFIG, place / CONFIG)
        else:
            told = dict(part.configuration) | {"architectures": [original]}
            save(json.dumps(told, indent=2) + "\n", place / CONFIG)
        write_safetensors(tensors, place / weights_file(part))

    return _whole(target, write)


def weights_file(part: Part) -> str:
    """What the original library calls the file of a part's weights."""
    is_encoder = any(type(part.module) is encoders[name] for name in encoders)
    return ENCODER_FILE if is_encoder else NETWORK_FILE


def export_network(module: nn.Module, params: Any, channels: int, out: str | Path) -> Path:
    """Writes a network that was trained here as a part's folder, which diffusers loads.

    Args:
        module: a network that is the same as a class of diffusers.
        params: its parameters.
        channels: of what it is given.
        out: the new folder.

    Raises:
        UserError: the network is no class of diffusers, something is there, or there is no room.
    """
    original = getattr(type(module), "original", "")
    if not original:
        raise UserError(
            f"{type(module).__name__} is a network of this library, which PyTorch's libraries "
            "have no class for: it cannot be exported."
        )
    told = configuration_of(module, channels, params)
    part = Part(module, params, told)

    def write(place: Path) -> None:
        save(json.dumps(told, indent=2) + "\n", place / CONFIG)
        write_safetensors(part_tensors(part), place / NETWORK_FILE)

    return _whole(vacant(out), write)


# Fields of networks that the originals do not have.
OURS = (
    *("parent", "name", "dtype", "remat", "outputs", "perturbed", "convolution"),
    "attention_implementation",
)


def configuration_of(module: Any, channels: int, params: Any) -> dict[str, Any]:
    """The configuration by which the original library makes a network.

    Args:
        module: the network.
        channels: of what it is given.
        params: its parameters, which say how many classes it knows.
    """
    fields = [field.name for field in dataclasses.fields(module) if field.name not in OURS]
    told = {name: getattr(module, name) for name in fields}
    told |= {"_class_name": type(module).original, "in_channels": channels}
    if not told.get("out_channels"):
        told["out_channels"] = channels * getattr(module, "outputs", 1)
    tables = [v for k, v in to_tensors(params).items() if k.endswith("embedding_table.weight")]
    if "num_embeds_ada_norm" in getattr(module, "fixed", {}):
        told["num_embeds_ada_norm"] = len(tables[0]) - 1 if tables else 1
        told["norm_type"] = "ada_norm_zero"
    return told


def part_tensors(part: Part) -> dict[str, np.ndarray]:
    """A part's tensors by the original's names."""
    return to_tensors(part.params, names_of(part.module))


def unread_tensors(part: Part, weights: Weights) -> dict[str, np.ndarray]:
    """The tensors of the original's file that the network computes itself, as they are there."""
    names = names_of(part.module)
    return {name: each.read() for name, each in weights.items() if names.is_unused(name)}


def _write_folder(model: ReleasedModel, place: Path) -> None:
    _copy_small(model.folder, place)
    index = json.loads((model.folder / INDEX).read_text())
    for name in read_index(model.folder).unused:
        index[name] = [None, None]
    if "safety_checker" in index:
        index["requires_safety_checker"] = False
    save(json.dumps(index, indent=2) + "\n", place / INDEX)
    for name, part in model.parts.items():
        tensors = part_tensors(part) | unread_tensors(part, open_weights(model.folder / name))
        write_safetensors(tensors, place / name / weights_file(part))


def _copy_small(folder: Path, place: Path) -> None:
    """Everything but weights, and what is not used."""
    unused = read_index(folder).unused
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in inner.parts)
        if not file.is_file() or hidden or inner.parts[0] in unused:
            continue
        if len(inner.parts) > 1 and not file.name.endswith(WEIGHTS):
            (place / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place / inner)


def vacant(out: str | Path) -> Path:
    """A path where nothing is yet.

    Raises:
        UserError: something is there.
    """
    target = user_path(out)
    if target.exists():
        raise UserError(f"{target} is there already: name a new place.")
    return target


def _whole(target: Path, write: Callable[[Path], None]) -> Path:
    """A folder that appears once all of it is written."""
    temporary = target.with_name(target.name + TEMPORARY)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with disk_errors(target, lambda: [temporary]):
            temporary.mkdir(parents=True)
            write(temporary)
            os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target
