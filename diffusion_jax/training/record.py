"""What a run folder keeps of a training from Python."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType

import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.runs.run import OBJECTS
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.options import Options


def record(
    arms: Mapping[str, Arm], data: Dataset, options: Options, example: Rows, run_dir: str | Path
) -> ConfigDict:
    """What a run folder keeps of a training from Python: enough to refuse another one there."""
    training = dataclasses.asdict(options)
    return ConfigDict(
        {
            OBJECTS: True,
            "run_dir": str(run_dir),
            "seed": training.pop("seed"),
            "flip": training.pop("flip"),
            "data": data.name,
            "arms": described_arms(arms),
            "training": training | {"caption_dropout": training.pop("condition_dropout")},
            "condition": {
                name: [str(rows.dtype), list(rows.shape)] for name, rows in example.items()
            },
        }
    )


def described_arms(arms: Mapping[str, Arm]) -> dict[str, dict[str, str]]:
    """Name -> what an arm is made of, as text."""
    parts = ("objective", "network", "optimizer", "ema")
    return {
        name: {part: described(getattr(arm, part)) for part in parts} for name, arm in arms.items()
    }


def described(value: object) -> str:
    """An object as text that is the same in every process: functions by name, arrays by value.

    >>> described(len), described((1.5, np.ones(2)))
    ('builtins.len', '(1.5, [1.0, 1.0])')
    """
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType | type):
        inner = getattr(value, "__closure__", None) or ()
        held = [described(cell.cell_contents) for cell in inner]
        name = f"{value.__module__}.{value.__qualname__}"
        return f"{name}[{', '.join(held)}]" if held else name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [
            f"{field.name}={described(getattr(value, field.name))}"
            for field in dataclasses.fields(value)
            if field.name not in ("parent", "name")
        ]
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(str, map(described, value)))})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {described(each)}' for key, each in value.items())}}}"
    if isinstance(value, float | int | str | bool | type(None)):
        return str(value)
    if hasattr(value, "dtype"):
        return str(np.asarray(value).tolist())
    return type(value).__name__
