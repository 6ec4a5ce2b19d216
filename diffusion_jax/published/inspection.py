"""What a folder or a file of a released model is, told from headers and configurations alone."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.networks.encoders.clip import CLIP
from diffusion_jax.published.card import ENCODERS, ModelCard
from diffusion_jax.published.checkpoint import (
    card_module,
    card_process,
    card_shapes,
    card_tensors,
)
from diffusion_jax.published.encoder_file import encoder_file, known_layout
from diffusion_jax.published.folder import INDEX, SCHEDULER, read_index
from diffusion_jax.published.halves import HALVES, half_module, half_tensors
from diffusion_jax.published.identify import fitting
from diffusion_jax.published.layouts.single_file import split
from diffusion_jax.published.names import names_of, tensor_axes, unplaced
from diffusion_jax.published.parts import (
    CONFIG,
    class_of,
    make_module,
    parameter_shapes,
    read_json,
)
from diffusion_jax.published.pipelines import pipelines
from diffusion_jax.published.pipelines.base import process_of
from diffusion_jax.published.readers import Tensor, Weights, open_weights
from diffusion_jax.published.schedulers import ReleasedProcess, translate
from diffusion_jax.published.tokenizers import read_tokenizer

MOST = 5  # names that are told of a kind


@dataclasses.dataclass(frozen=True)
class PartReport:
    """What a part of a model is.

    Attributes:
        name: of its folder, or of the file.
        original: its class; empty where nothing says it.
        parameters: how many numbers its file has.
        format: of the file.
        faults: what would be said if it were read, a line each; empty if all has its place.
        halves: of CLIP, those that can be read alone.
    """

    name: str
    original: str
    parameters: int
    format: str
    faults: tuple[str, ...] = ()
    halves: tuple["PartReport", ...] = ()


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """What a folder or a file is.

    Attributes:
        path: of it.
        kind: class of its pipeline; "part", or "checkpoint".
        cards: that fit it, and by what.
        parts: that have weights.
        process: what it was trained on and is drawn from by; None where nothing says it.
        faults: of the whole, a line each.
        unused: parts of the folder that decide about no number of a picture.
    """

    path: Path
    kind: str
    cards: tuple[tuple[ModelCard, str], ...]
    parts: tuple[PartReport, ...]
    process: ReleasedProcess | None
    faults: tuple[str, ...]
    unused: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def is_whole(self) -> bool:
        """Whether all of it can be read."""
        return not self.faults and not any(part.faults for part in self.parts)


def inspect_model(
    path: Path, variant: str = "", card: ModelCard | None = None, like: Path | None = None
) -> ModelReport:
    """Looks at a model; of its tensors, names, shapes and dtypes alone are read.

    Args:
        path: a folder of a model or of a part, or a file of weights.
        variant: which of several files of weights, such as "fp16".
        card: that explains a checkpoint; None is the one that fits it.
        like: folder of the model that one file is a version of, or of the encoder.

    Raises:
        UserError: there is nothing, or nothing that is a model.
    """
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    cards = tuple(fitting(path)) if card is None else ((card, "its name"),)
    encoder = like is not None and not (like / INDEX).exists() and (like / CONFIG).exists()
    if not encoder and (like is not None or (path / INDEX).exists()):
        return _whole(path, variant, cards, like)
    if (path / CONFIG).exists():
        return ModelReport(path, "part", cards, (_part(path, variant),), None, ())
    weights = open_weights(path, variant)
    of_encoder = len(cards) == 1 and cards[0][0].kind in ENCODERS
    if like is not None or of_encoder or known_layout(weights) is not None:
        return _encoder(path, weights, cards, like)
    return _checkpoint(path, weights, cards)


def _whole(
    path: Path, variant: str, cards: tuple[tuple[ModelCard, str], ...], like: Path | None
) -> ModelReport:
    folder = like or path
    index, faults, process = read_index(folder), [], None
    pipeline = None
    if index.kind in pipelines:
        pipeline = pipelines.make(index.kind)
        try:
            index.check(folder, pipeline.network, pipeline.honoured)
        except UserError as error:
            faults.append(str(error))
    else:
        hint = nearest(index.kind, pipelines)
        faults.append(f"{index.kind} is no pipeline that can be asked here.{hint}")
    try:
        config = read_json(folder / SCHEDULER)
        process = translate(config) if pipeline is None else process_of(config, pipeline)
    except UserError as error:
        faults.append(str(error))
    for name in index.tokenizers:
        try:
            read_tokenizer(folder / name)
        except UserError as error:
            faults.append(str(error))
    if like is None:
        parts = tuple(_part(path / name, variant) for name in index.parts)
    else:
        parts, left = _of_single_file(path, like, tuple(index.parts), variant)
        faults += left
    return ModelReport(path, index.kind, cards, parts, process, tuple(faults), index.unused)


def _part(folder: Path, variant: str) -> PartReport:
    try:
        weights = open_weights(folder, variant)
    except UserError as error:
        return PartReport(folder.name, "", 0, "", (str(error),))
    told = folder.name, "", _count(weights), weights.format
    try:
        configuration = read_json(folder / CONFIG)
        original = class_of(configuration, str(folder / CONFIG))
    except UserError as error:
        return PartReport(*told, (str(error),))
    report = PartReport(folder.name, original, *told[2:])

    def made() -> tuple[Any, PyTree]:
        module = make_module(configuration, str(folder / CONFIG))
        return module, parameter_shapes(module, configuration)

    faults = _faults(made, weights)
    halves = () if faults else _halves(made()[0], weights, weights.format)
    return dataclasses.replace(report, faults=faults, halves=halves)


def _halves(module: Any, tensors: Mapping[str, Tensor], format: str) -> tuple[PartReport, ...]:
    """Of CLIP, what each half is that can be read alone."""
    found = []
    for half in HALVES if isinstance(module, CLIP) else ():
        own = half_tensors(tensors, half)
        original = half_module(module, half).original
        found.append(PartReport(half, original, _count(own), format))
    return tuple(found)


def _encoder(
    path: Path, weights: Weights, cards: tuple[tuple[ModelCard, str], ...], like: Path | None
) -> ModelReport:
    """An encoder in a file of its authors."""
    known = cards[0][0] if len(cards) == 1 and like is None else None
    report = PartReport(path.name, "", _count(weights), weights.format)
    try:
        file = encoder_file(weights, known, like)
    except UserError as error:
        return ModelReport(path, "encoder", cards, (report,), None, (str(error),))
    faults = _lines(list(file.missing), list(file.left), [])
    faults += _faults(lambda: (file.module, file.shapes), file.tensors) if not faults else ()
    halves = () if faults else _halves(file.module, file.tensors, weights.format)
    count = _count(file.tensors)
    report = PartReport(
        path.name, type(file.module).original, count, weights.format, faults, halves
    )
    return ModelReport(path, "encoder", cards, (report,), None, ())


def _of_single_file(
    path: Path, like: Path, names: tuple[str, ...], variant: str
) -> tuple[tuple[PartReport, ...], list[str]]:
    """The parts of a model in one file, and what is wrong with the file."""
    weights, found, faults = open_weights(path), [], []
    try:
        parts, left = split(weights, like, names)
    except UserError as error:
        return (), [str(error)]
    for name in names:
        if name not in parts:
            found.append(_part(like / name, variant))
            continue
        each = parts[name]
        report = PartReport(name, class_of(each.configuration, name), 0, weights.format)
        own = _faults(lambda each=each: (each.module, each.shapes), each.tensors)  # type: ignore[misc]
        count = _count(each.tensors)
        found.append(dataclasses.replace(report, parameters=count, faults=own))
    if left:
        faults.append(left)
    return tuple(found), faults


def _checkpoint(
    path: Path, weights: Weights, cards: tuple[tuple[ModelCard, str], ...]
) -> ModelReport:
    report = PartReport(path.name, "", _count(weights), weights.format)
    if len(cards) != 1:
        line = "No card fits it: nothing says of which network its tensors are."
        if cards:
            line = f"It may be of several cards: {', '.join(each.name for each, _ in cards)}."
        return ModelReport(path, "checkpoint", cards, (report,), None, (line,))
    ((card, _),) = cards
    process, faults = None, []
    try:
        tensors = card_tensors(card, weights)
        process = card_process(card)
        own = _faults(lambda: (card_module(card), card_shapes(card)), tensors)
        original = card.network.original
        report = PartReport(path.name, original, _count(tensors), weights.format, own)
    except UserError as error:
        faults.append(str(error))
    return ModelReport(path, "checkpoint", cards, (report,), process, tuple(faults))


def _count(tensors: Mapping[str, Tensor]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors.values())


def _faults(
    made: Callable[[], tuple[Any, PyTree]], tensors: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """What has no place: missing, left over, of another shape, or why that cannot be told."""
    try:
        module, shapes = made()
    except UserError as error:
        return (str(error),)
    names, wanted = names_of(module), {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]:
        keys = [str(key.key) for key in path]
        axes = tensor_axes(keys[-1], len(leaf.shape))
        wanted[names.tensor(keys)] = tuple(np.array(leaf.shape)[list(axes)].tolist())
    held = {names.known(name): tensor.shape for name, tensor in tensors.items()}
    missing, left = unplaced(wanted, held, names)
    other = [name for name in wanted if name in held and tuple(held[name]) != wanted[name]]
    return _lines(
        missing,
        left,
        [
            f"{name} has shape {tuple(held[name])}, and the network needs {wanted[name]}."
            for name in other
        ],
    )


def _lines(missing: list[str], left: list[str], other: list[str]) -> tuple[str, ...]:
    """What is said of tensors that are missing, left over, or of another shape."""
    lines = [f"missing: {name}.{nearest(name, left)}" for name in missing[:MOST]]
    lines += [f"left over: {name}.{nearest(name, missing)}" for name in left[:MOST]]
    lines += other[:MOST]
    more = sum(max(len(each) - MOST, 0) for each in (missing, left, other))
    return tuple(lines) + ((f"and {more} more tensors.",) if more else ())
