"""What a training step costs, measured before a sweep starts: for its plan and its budgets."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.pipeline import batches
from diffusion_jax.errors import UserError
from diffusion_jax.parallel import devices
from diffusion_jax.registry import canonical, parse
from diffusion_jax.renamed import first_names
from diffusion_jax.sealed import read_sealed, save_sealed
from diffusion_jax.strict_json import from_null
from diffusion_jax.sweeps.trials import Trial, key_of
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.execution import in_turn
from diffusion_jax.training.program import Program, first_states
from diffusion_jax.training.teachers import load_teachers

FILE = "costs.json"
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one training step of one arm.

    Attributes:
        parameters: of the network.
        flops: floating-point operations, as the compiler counts them before it optimises.
        seconds: wall-clock time on this machine, compilation apart, alone.
    """

    parameters: int
    flops: float
    seconds: float


def cost_key(config: ConfigDict) -> str:
    """Names what the cost of a step depends on."""
    return key_of(canonical(first_names(_settings(config))))


def _settings(config: ConfigDict) -> dict[str, Any]:
    families = ("loss", "optimizer", "prediction")
    return {
        **{field: config[field] for field in ("data", "network", "conditioner")},
        **{field: parse(config[field], field).name for field in families},
        **{f: config.training[f] for f in ("batch_size", "microbatches", "dtype")},
        "devices": jax.device_count(),
        "device": jax.devices()[0].device_kind,
    }


class Costs:
    """Costs that were measured, kept in the folder of the sweep so that they do not change.

    Args:
        folder: of the sweep.

    Raises:
        UserError: its file is damaged.
    """

    def __init__(self, folder: Path):
        self._path = folder / FILE
        remedy = "delete it to measure again"
        document = read_sealed(self._path, remedy) if self._path.exists() else {}
        try:
            self._found = {
                key: Cost(**{**row, "flops": from_null(row["flops"])})
                for key, row in document.items()
            }
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{self._path} is damaged: {remedy}.") from None

    def of(self, trial: Trial, data: Dataset) -> Cost:
        """The cost of a trial's step, measured if it is not known yet."""
        key = cost_key(trial.config)
        first = key_of(first_names(_settings(trial.config)))  # of earlier versions
        if key not in self._found and first in self._found:
            return self._found[first]
        if key not in self._found:
            self._found[key] = measure(trial.config, data)
            if devices.is_primary():
                rows = {key: dataclasses.asdict(cost) for key, cost in self._found.items()}
                save_sealed(rows, self._path)
        return self._found[key]


def measure(config: ConfigDict, data: Dataset) -> Cost:
    """Compiles a step of a config without arms, and times some."""
    facts, mesh = data_facts(config, data), devices.data_mesh()
    program = Program.build(config, facts, mesh, load_teachers(config, facts, mesh))
    _, make_states = first_states(program)
    states = make_states()
    (name,) = program.arms
    parameters = sum(leaf.size for leaf in jax.tree.leaves(states[name].params))
    index, count = jax.process_index(), jax.process_count()
    batch_size = config.training.batch_size
    stream = batches(data.train, program.encode, batch_size, config.seed, index, count)
    batch = devices.split_rows(next(stream), mesh)
    draws = program.draw(np.int32(0))
    inputs, group = program.inputs(batch, draws), in_turn(program, (name,))
    flops = _flops(group.step, states[name], program.arms[name].hyper, inputs[name])
    joined, taken = group.join(states), []
    for _ in range(1 + ROUNDS):
        start = time.perf_counter()
        joined, _ = group.update(joined, inputs)
        jax.block_until_ready(joined)
        taken.append(time.perf_counter() - start)
    (seconds,) = devices.from_primary(min(taken[1:]))
    return Cost(parameters, flops, seconds)


def _flops(step: Any, *arguments: Any) -> float:
    """Of one call of the whole step, all devices together."""
    counted = step.lower(*arguments).cost_analysis()
    return float((counted or {}).get("flops", np.nan))
