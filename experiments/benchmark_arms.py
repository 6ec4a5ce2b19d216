"""Times the training of K arms: a process each, one process in turn, one program for all.

    python -m experiments.benchmark_arms
    python -m experiments.benchmark_arms --problem=mlp --arms=8 --steps=200 --rounds=3

The arms differ in their learning rate. Each execution runs in fresh processes without a cache of
compiled programs; they follow one another in every round, and each round gives a ratio. Measured
separately: the whole time, from starting Python to the last step; the time of a step of all arms
once everything is compiled; and the memory, as the process held it at most and as the compiler
counts it for one step.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from diffusion_jax.errors import UserError
from experiments import plain

PROBLEMS = {
    "mlp": "an MLP on points of the plane, batch 64",
    "unet": "the U-Net of configs/quickstart.py, batch 16",
}
EXECUTIONS = ("apart", "together")
WARM = 3  # steps before any is timed


@dataclasses.dataclass(frozen=True)
class TrainingCost:
    """What one execution of K arms took, over all its processes.

    Attributes:
        whole: seconds from start to end, compilation included.
        step: seconds of a step of all arms, compilation apart.
        resident: bytes that a process held at most.
        counted: bytes of a step as the compiler counts them, with all states.
    """

    whole: float
    step: float
    resident: float
    counted: float


def main(words: list[str]) -> None:
    """Prints a table for each problem."""
    parser = plain.Parser("benchmark_arms", __doc__)
    parser.add_argument("--problem", choices=sorted(PROBLEMS), help="only this one")
    parser.add_argument("--arms", type=int, default=8, help="K (8)")
    parser.add_argument("--steps", type=int, default=30, help="of each training (30)")
    parser.add_argument("--rounds", type=int, default=2, help="how often all is timed (2)")
    parser.add_argument("--child", choices=EXECUTIONS, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    for name in ("arms", "steps", "rounds"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(options, name)}.")
    if options.child:
        print(json.dumps(train(options.problem, options.arms, options.steps, options.child)))
        return
    for problem, title in PROBLEMS.items():
        if options.problem in (None, problem):
            rounds = [_round(problem, options.arms, options.steps) for _ in range(options.rounds)]
            _print(f"{options.arms} arms, {options.steps} steps: {title}", rounds)


def train(problem: str, arms: int, steps: int, execution: str) -> dict[str, float]:
    """Trains K arms in this process; seconds of a step, and memory."""
    import jax
    import numpy as np

    from diffusion_jax.training.execution import Group, bytes_needed, in_turn, together
    from diffusion_jax.training.program import Program, first_states

    config, facts, mesh, batch = _problem(problem, arms, steps)
    program = Program.build(config, facts, mesh)
    states = first_states(program)[1]()
    names = tuple(program.arms)
    inputs = program.inputs(batch, program.draw(np.int32(0)))
    group: Group = in_turn(program, names)
    counted = 0.0
    if execution == "together":
        group = mapped = together(program, names)
        counted = float(bytes_needed(mapped, states, inputs))
    joined, taken = group.join(states), []
    for step in range(steps):
        start = time.perf_counter()
        joined, _ = group.update(joined, inputs)
        if step >= WARM:
            jax.block_until_ready(joined)
            taken.append(time.perf_counter() - start)
    jax.block_until_ready(joined)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    median = statistics.median(taken) if taken else float("nan")
    return {"step": median, "resident": resident, "counted": counted}


def _problem(problem: str, arms: int, steps: int) -> tuple[Any, Any, Any, Any]:
    """Config, facts, mesh, and a batch."""
    import numpy as np
    from ml_collections import ConfigDict

    from configs import shapes
    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.pipeline import batches
    from diffusion_jax.parallel import devices
    from diffusion_jax.training.conditioning import data_facts
    from diffusion_jax.training.program import Program

    config, mesh = shapes.get_config(), devices.data_mesh()
    config.training.steps = steps
    data = datasets.make("shapes(level='one', size=16, count=64, test_count=8)")
    facts = data_facts(config, data)
    encode = Program.build(config, facts, mesh).encode
    batch = next(batches(data.train, encode, config.training.batch_size, config.seed))
    if problem == "mlp":
        config.network, config.conditioner, config.training.batch_size = "mlp()", "none", 64
        facts = dataclasses.replace(facts, shape=(2,))
        rows = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
        batch = {"x0": rows, "condition": {}}
    config.arms = ConfigDict(
        {
            f"arm{i}": {"optimizer": f"adam(learning_rate={1e-3 * (i + 1):g}, clip=1.0)"}
            for i in range(arms)
        }
    )
    return config, facts, mesh, devices.split_rows(batch, mesh)


def _round(problem: str, arms: int, steps: int) -> dict[str, TrainingCost]:
    alone = [_child(problem, 1, steps, "apart") for _ in range(arms)]
    separate = TrainingCost(
        sum(each.whole for each in alone),
        sum(each.step for each in alone),
        max(each.resident for each in alone),
        0.0,
    )
    return {
        "a process each": separate,
        "one process, in turn": _child(problem, arms, steps, "apart"),
        "one program": _child(problem, arms, steps, "together"),
    }


def _child(problem: str, arms: int, steps: int, execution: str) -> TrainingCost:
    """Runs `train` in a fresh process."""
    words = [f"--problem={problem}", f"--arms={arms}", f"--steps={steps}", f"--child={execution}"]
    cold = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "experiments.benchmark_arms", *words],
        env=os.environ | cold,
        capture_output=True,
        text=True,
        check=False,
    )
    whole = time.perf_counter() - start
    if process.returncode:
        raise UserError(
            f"Training {execution} failed: {(process.stderr.strip() or '?').splitlines()[-1]}"
        )
    return TrainingCost(whole, **json.loads(process.stdout.splitlines()[-1]))


def _print(title: str, rounds: list[dict[str, TrainingCost]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from diffusion_jax.runs import environment

    hardware = environment.describe()["hardware"]
    table = Table("execution", "whole, s", "× less", "step, s", "× less", "held, MB", "a step, MB")
    first = [next(iter(each.values())) for each in rounds]
    for execution in rounds[0]:
        own = [each[execution] for each in rounds]
        table.add_row(
            execution,
            f"{statistics.median(each.whole for each in own):.1f}",
            _ratio([a.whole / b.whole for a, b in zip(first, own, strict=True)]),
            f"{statistics.median(each.step for each in own):.4f}",
            _ratio([a.step / b.step for a, b in zip(first, own, strict=True)]),
            f"{max(each.resident for each in own) / 1e6:.0f}",
            f"{own[0].counted / 1e6:.0f}" if own[0].counted else "",
        )
    console = Console(width=110)
    console.print(f"{hardware['devices']} {hardware['device_kind']}, {hardware['processor']}")
    console.print(title)
    console.print(table)


def _ratio(ratios: list[float]) -> str:
    middle, least, most = (f(ratios) for f in (statistics.median, min, max))
    return f"{middle:.2f} ({least:.2f}–{most:.2f})"


if __name__ == "__main__":
    plain.run(main)
