"""What a kind of model is: how one is drawn, built by the original library, and asked.

Of the two halves one runs in the original library's environment, the other in this one's.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Options = dict[str, Any]
"""Settings as JSON has them."""

Arrays = dict[str, np.ndarray]
"""By name; pictures and latents have their channels where the original has them, first."""

SIZE = 2  # rows of a batch
ADAPTER = "adapter.safetensors"  # beside a model, what changes it


@dataclasses.dataclass(frozen=True)
class NetworkKind:
    """A network by itself: what it gives for one batch.

    Attributes:
        draw: settings of a model from a generator.
        build: the original's module, from its settings.
        inputs: what goes in, from the settings and a generator.
        call: what the original makes of the module and the inputs, as tensors.
        ours: what this library makes of a module, its parameters, the settings and the inputs.
        single_sines: whether sines of the noise level are of angles in single precision, whatever
            the dtype.
    """

    draw: Callable[[random.Random], Options]
    build: Callable[[Options], Any]
    inputs: Callable[[Options, np.random.Generator], Arrays]
    call: Callable[[Any, Mapping[str, Any]], dict[str, Any]]
    ours: Callable[[Any, Any, Options, dict[str, Any]], dict[str, Any]]
    single_sines: bool = False


@dataclasses.dataclass(frozen=True)
class PipelineKind:
    """A pipeline: what it draws from one noise, with several schedulers.

    Attributes:
        draw: settings of its parts from a generator, by part; "settings" are those of a run, which
            are called the same in both libraries, such as clip_skip.
        build: the original's pipeline, from the settings and a scheduler.
        call: runs it: (pipeline, prompts, steps, guidance, **settings) → pictures.
        prompts: what is asked for, from the settings and a generator.
        schedulers: classes that it takes, of `schedulers.DRAWN`.
        each: how many of them a model is run by.
        doubled: whether all runs are made in double precision too, and not one of them alone.
        guidance: scales of classifier-free guidance; None has none.
        texts: what the original makes of prompts, (pipeline, prompts, **settings) → arrays by the
            names of `Context`.
        gain: of random weights; less than 1 where many steps with guidance would blow up the
            rounding errors of any library.
        single_sines: as of a `NetworkKind`.
        guide: what this library is given for a scale, (settings, scale) → guidance; None is the
            scale.
        unpacked: latents of all steps as pictures, (latents, height, width) → latents; None where
            the original has them so.
        known: latents of pictures that are refined, from a generator; `call` is given them, too.
        adapt: changes the original's pipeline after it was saved: (pipeline, settings, file); what
            changes it is written to the file, or was.
        written: writes that file by this library before the original runs: (settings, dtype, file).
        read: reads the changed model here, (folder, dtype, file, settings); None: as it was saved.
    """

    draw: Callable[[random.Random], Options]
    build: Callable[[Options, Any], Any]
    call: Callable[..., np.ndarray]
    prompts: Callable[[Options, random.Random], list[str]]
    schedulers: tuple[str, ...]
    each: int = 3
    doubled: bool = False
    guidance: tuple[float | None, ...] = (None,)
    texts: Callable[..., dict[str, Any]] | None = None
    gain: float = 1.0
    single_sines: bool = False
    guide: Callable[[Options, float | None], Any] | None = None
    unpacked: Callable[[np.ndarray, int, int], np.ndarray] | None = None
    known: Callable[[np.random.Generator], np.ndarray] | None = None
    adapt: Callable[[Any, Options, Path], None] | None = None
    written: Callable[[Options, str, Path], None] | None = None
    read: Callable[[Path, str, Path, Options], Any] | None = None


Kind = NetworkKind | PipelineKind


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal numbers in single precision."""
    return random.standard_normal(shape).astype(np.float32)


def maybe(pick: random.Random) -> bool:
    """Yes or no."""
    return pick.choice([True, False])
