"""What every later stage will need, checked before the first training step.

A comparison trains for hours, then samples, then measures, then writes a page. Whatever would stop
one of these is found here: pictures of either split that cannot be read, a checkpoint that a guide
wants, room in memory, a solver that cannot follow a grid from a prediction, a file that cannot be
written. What need not stop anything, such as a metric that wants more pictures, is reported.

Training itself checks its own needs before its first step: the memory of a step, as the compiler
counts it, and the room on disk (`training.loop.train`).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset, check_readable, datasets
from diffusion_jax.errors import UserError
from diffusion_jax.files import check_target, user_path
from diffusion_jax.inference.conditions import nothing
from diffusion_jax.inference.measure import SamplingPlan, traced
from diffusion_jax.metrics.memory import metric_memory
from diffusion_jax.metrics.real import Real
from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.memory import pass_bytes
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.parallel import devices
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.training.arms import make_arms, objectives
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.memory import gigabytes

FLOAT = 4  # bytes


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a comparison works with, checked.

    Attributes:
        data: the data set.
        plan: how samples are drawn and measured.
        notes: sentences on what will not be measured, and why.
    """

    data: Dataset
    plan: SamplingPlan
    notes: tuple[str, ...]


def prepare(config: ConfigDict, writes: Sequence[str] = ()) -> Prepared:
    """Checks all that training, sampling, measuring and reporting will need.

    Args:
        config: see `configs/base.py`.
        writes: names of the files that are written to the run folder in the end.

    Raises:
        UserError: something would stop a later stage; see the functions below.
    """
    data = datasets.make(config.data)
    plan = check_sampling(config, data_facts(config, data))
    check_data(data)
    notes = check_measuring(plan, data)
    for name in writes:
        check_target(user_path(config.run_dir) / name)
    return Prepared(data, plan, notes)


def check_data(data: Dataset) -> None:
    """Checks that the pictures of both splits are there and can be read.

    Raises:
        UserError: a picture cannot be read, or there is none to test with.
    """
    if not len(data.test):
        raise UserError(
            f"Data set {data.name!r} has no test pictures; a comparison needs at least one, and "
            "four for distances to real pictures."
        )
    check_readable(data)


def check_sampling(config: ConfigDict, facts: DataFacts) -> SamplingPlan:
    """Checks that what is trained can be sampled as the config says, and makes the plan of it.

    Args:
        config: see `configs/base.py`.
        facts: of the data set.

    Raises:
        UserError: a spec is wrong; the grid, a solver, guidance or an arm's prediction cannot serve
            the others; a guide will not be there; or the samples do not fit into memory.
    """
    plan = SamplingPlan.make(config, facts.shape)
    plan.check(objectives(config))
    networks = {name: arm.network for name, arm in make_arms(config, facts).items()}
    plan.check_networks(networks, facts)
    check_memory(plan, networks, facts.shape)
    return plan


def check_memory(
    plan: SamplingPlan, networks: Mapping[str, AnyNetwork], shape: tuple[int, ...]
) -> None:
    """Refuses samples that certainly do not fit into memory.

    What a pass takes is asked of score networks alone: a network of one's own may read a condition
    that nothing here knows how to make.

    Args:
        plan: how they are drawn.
        networks: arm -> its network.
        shape: of a sample.

    Raises:
        UserError: those drawn at once are too large for a device, or all of them for the machine.
    """
    rows, room = min(plan.batch_size, plan.count), devices.free_memory()
    for name, network in networks.items():
        if not isinstance(network, ScoreNetwork):
            continue
        least = rows * pass_bytes(network, shape, nothing([network]))
        if least > room:
            raise UserError(
                f"Drawing {rows} samples of arm {name!r} at once needs at least "
                f"{gigabytes(least)} of memory, and {gigabytes(room)} are there: take a smaller "
                "sampling.batch_size."
            )
    # All stay until they are measured, as bytes; of each arm and sampling, a few are followed.
    values, room = math.prod(shape), devices.host_memory()
    drawn = sum(plan.samples(sampling) for sampling in plan.samplings)
    followed = sum(
        2 * FLOAT * traced(shape, plan.samples(sampling)) * (sampling.steps + 1)
        for sampling in plan.samplings
    )
    held = len(networks) * values * (drawn + followed)
    if held > room:
        raise UserError(
            f"The samples of all arms, solvers and steps take {gigabytes(held)} of memory, and "
            f"{gigabytes(room)} are there: take a smaller sampling.count, or fewer "
            "sampling.solvers or sampling.steps."
        )


def check_measuring(plan: SamplingPlan, data: Dataset) -> tuple[str, ...]:
    """Checks that samples can be measured.

    Args:
        plan: how many there will be, and by which metrics they are measured.
        data: the data set.

    Returns:
        Sentences on the metrics that so few samples or pictures do not allow.

    Raises:
        UserError: measuring takes more memory than there is, or latents are to restore pictures.
    """
    if plan.restoration is not None and data.decoded is not None:
        raise UserError(
            f"sampling.operator says what is seen of a picture, and arms on {data.form} cannot be "
            "held to that: leave operator and posterior at none."
        )
    needed = metric_memory(data.visible, plan.judged_count, plan.metrics.values())
    room = devices.host_memory()
    if needed > room:
        raise UserError(
            f"Measuring {plan.judged_count} samples takes {gigabytes(needed)} of memory, and "
            f"{gigabytes(room)} are there: take a smaller sampling.judged_count."
        )
    real = Real(data, plan.judged_count)
    missing = {spec: each.needs(plan.judged_count, real) for spec, each in plan.metrics.items()}
    return tuple(f"{spec} will not be measured: {why}." for spec, why in missing.items() if why)
