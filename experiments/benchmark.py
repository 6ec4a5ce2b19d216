"""Measures what the design claims to save, each as a ratio of two methods within one run.

    python -m experiments.benchmark
    python -m experiments.benchmark --config=configs/fashion_mnist.py --rounds=3

Each pair is timed in turn, A B A B …, and the median of the ratios A/B printed with its extremes.
Compiled programs are not taken from the cache.
"""

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from absl import flags
from ml_collections import ConfigDict

from experiments import cli
from experiments.unused import COMPARING, TRAINING, refuse_unused

if TYPE_CHECKING:
    from diffusion_jax.data.pipeline import Batch
    from diffusion_jax.runs.state import TrainState
    from diffusion_jax.training.draws import Draws
    from diffusion_jax.training.program import Program

ROUNDS = flags.DEFINE_integer("rounds", 3, "how often each pair is timed", lower_bound=1)
UNUSED = {
    **TRAINING,
    **COMPARING,
    **dict.fromkeys(
        (
            *("run_dir", "flip", "sampling.steps", "sampling.count", "sampling.judged_count"),
            *("sampling.batch_size", "sampling.operator", "sampling.posterior"),
        ),
        "what is timed does not depend on it",
    ),
}
SAMPLES = 16  # drawn at once
STEP_COUNTS = (4, 8, 16)
DISPATCHES = 1000  # steps of the tiny network


def main(config: ConfigDict) -> None:
    """Prints a table of ratios."""
    import jax
    from rich.console import Console
    from rich.table import Table

    from diffusion_jax.runs import environment

    refuse_unused(UNUSED)
    jax.config.update("jax_enable_compilation_cache", False)
    hardware = environment.describe()["hardware"]
    table = Table("claim", "A, s", "B, s", "A/B median", "least", "most")
    for claim, pair in _pairs(config):
        first, second = pair()
        times = [(_seconds(first), _seconds(second)) for _ in range(ROUNDS.value)]
        ratios = [a / b for a, b in times]
        table.add_row(
            claim,
            *(f"{statistics.median(each):.2f}" for each in zip(*times, strict=True)),
            *(f"{f(ratios):.2f}" for f in (statistics.median, min, max)),
        )
    console = Console()
    console.print(f"{hardware['devices']} {hardware['device_kind']}, {hardware['processor']}")
    console.print(table)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


Pair = tuple[Callable[[], Any], Callable[[], Any]]


def _pairs(config: ConfigDict) -> list[tuple[str, Callable[[], Pair]]]:
    """(claim, what makes A and B): the usual method and ours."""
    return [
        ("arms: a compiled step each / one for all", lambda: _arms(config)),
        ("step counts: a sampler each / one for all", lambda: _step_counts(config)),
        (f"{DISPATCHES} tiny steps: called from Python / one scan", _dispatch),
    ]


def _arms(config: ConfigDict) -> Pair:
    """First training step of every arm, compilation included."""
    import jax
    import numpy as np

    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.pipeline import batches
    from diffusion_jax.parallel import devices
    from diffusion_jax.training.conditioning import data_facts
    from diffusion_jax.training.program import Program, first_states

    data = datasets.make(config.data)
    facts, mesh = data_facts(config, data), devices.data_mesh()
    encode = Program.build(config, facts, mesh).encode
    stream = batches(data.train, encode, config.training.batch_size, config.seed)
    batch = devices.split_rows(next(stream), mesh)

    def together() -> None:
        jax.clear_caches()
        program = Program.build(config, facts, mesh)
        _, make_states = first_states(program)
        draws = program.draw(np.int32(1))
        _step(program, make_states(), batch, draws)

    def apart() -> None:
        for name in config.arms:
            alone = config.copy_and_resolve_references()
            alone.arms = ConfigDict({name: config.arms[name].to_dict()})
            program = Program.build(alone, facts, mesh)
            _, make_states = first_states(program)
            jax.clear_caches()
            _step(program, make_states(), batch, program.draw(np.int32(1)))

    return apart, together


def _step(
    program: "Program", states: "dict[str, TrainState]", batch: "Batch", draws: "Draws"
) -> None:
    """One training step of all arms, in turn."""
    import jax

    from diffusion_jax.training.execution import in_turn

    inputs = program.inputs(batch, draws)
    for names in program.sharing():
        group = in_turn(program, names)
        jax.block_until_ready(group.update(group.join(states), inputs))


def _step_counts(config: ConfigDict) -> Pair:
    """Samples at several step counts, compilation included."""
    import jax

    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.inference.conditions import encode
    from diffusion_jax.inference.generate import generate
    from diffusion_jax.inference.measure import Sampling, SamplingPlan
    from diffusion_jax.parallel import devices
    from diffusion_jax.sampling.grids import make
    from diffusion_jax.training.conditioning import data_facts
    from diffusion_jax.training.program import Program, first_states
    from diffusion_jax.training.trained import TrainedArm

    data, plan = datasets.make(config.data), SamplingPlan.make(config)
    facts = data_facts(config, data)
    program = Program.build(config, facts, devices.data_mesh())
    name, state = next(iter(first_states(program)[1]().items()))
    arm = TrainedArm(program.arms[name], state.params, 0)
    condition = encode([arm.arm.network], [data.test[0]] * SAMPLES)
    schedule = arm.objective.schedule

    def draw(longest: int | None) -> None:
        jax.clear_caches()
        for steps in STEP_COUNTS:
            nodes = make(plan.grid, schedule, steps)
            generate(
                plan.sampler(arm, Sampling(plan.judged_by.solver, steps), facts.shape),
                arm.params,
                arm.objective.prediction,
                nodes.pad(longest) if longest else nodes,
                condition,
                SAMPLES,
                0,
                SAMPLES,
            )

    return lambda: draw(None), lambda: draw(max(STEP_COUNTS))


def _dispatch() -> Pair:
    """Sampling with a denoiser that costs nothing, compilation apart."""
    import jax
    import jax.numpy as jnp

    from diffusion_jax.process.schedules import schedules
    from diffusion_jax.sampling.grids import grids, make
    from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
    from diffusion_jax.sampling.solvers import State, solvers
    from diffusion_jax.verification.oracles import Gaussian

    data = Gaussian(mean=jnp.zeros(2), std=jnp.ones(2))
    nodes = make(grids.make("karras"), schedules.make("edm"), DISPATCHES)
    solver, keys = solvers.make("ddim"), sample_keys(jax.random.key(0), SAMPLES)
    start = prior(nodes, keys, (2,))

    @jax.jit
    def one_step(state: State, index: jax.Array) -> State:
        here, there = nodes[index], nodes[index + 1]
        return solver.step(state, here, there, data.denoise, lambda k: jnp.zeros_like(start))

    whole = jax.jit(lambda x: sample_from(data.denoise, solver, nodes, x, keys)[0])

    def stepwise() -> None:
        state = solver.init(start, nodes)
        for index in range(DISPATCHES):
            state = one_step(state, index)
        jax.block_until_ready(state)

    stepwise()
    jax.block_until_ready(whole(start))
    return stepwise, lambda: jax.block_until_ready(whole(start))


if __name__ == "__main__":
    cli.run(main)
