"""How far apart two runs are, and how much of that is rounding."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.parity.plan import BOUNDS
from experiments.parity.schedulers import lossy
from experiments.parity.verdict import ComparedTrial

OURS = ".ours.npz"  # behind the number of a trial, the file with what this library made of it


def apart(found: Any, wanted: np.ndarray, stepwise: bool = False) -> list[float]:
    """The largest difference, relative to the largest value; for each row where it is stepwise.

    Raises:
        ValueError: shapes differ.

    >>> apart(np.array([1.0, 4.0]), np.array([1.0, 5.0]))
    [0.2]
    """
    found = np.asarray(found)
    if found.shape != wanted.shape:
        raise ValueError(f"shape {found.shape} where the original has {wanted.shape}")
    pairs = zip(found, wanted, strict=True) if stepwise else [(found, wanted)]
    return [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs]


def judged(folder: Path, found: ComparedTrial) -> ComparedTrial:
    """With the distances of both runs from the original's in double precision, where that matters.

    Args:
        folder: of all models.
        found: a trial; nothing more is asked of those that are within the bound, or not lossy.
    """
    trial, model = found.trial, found.model
    over = found.largest > BOUNDS[trial.dtype] and not found.error
    if not over or trial.dtype != "float32" or not lossy(trial.scheduler):
        return found
    twin = model.trials.index(dataclasses.replace(trial, dtype="float64"))
    index, own = model.trials.index(trial), folder / model.name
    with (
        np.load(own / f"{index}{OURS}") as ours,
        np.load(own / f"{index}.npz") as theirs,
        np.load(own / f"{twin}.npz") as exact,
    ):

        def distance(run: Mapping[str, np.ndarray], prefix: str = "") -> float:
            pairs = ((run[prefix + name], exact[f"out/{name}"], name) for name in ours)
            return max(max(apart(a, b, name == "latents")) for a, b, name in pairs)

        return dataclasses.replace(found, rounding=(distance(ours), distance(theirs, "out/")))
