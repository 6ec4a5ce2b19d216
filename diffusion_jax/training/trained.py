"""Trained arms, read from a run folder: all that sampling and evaluation need."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.denoiser import NetworkDenoiser
from diffusion_jax.parallel import devices
from diffusion_jax.process.denoiser import Denoiser, denoises
from diffusion_jax.process.objective import Objective
from diffusion_jax.runs.checkpoints import Checkpoints
from diffusion_jax.runs.identity import identity
from diffusion_jax.runs.metrics_log import read_metrics
from diffusion_jax.runs.run import DataFacts, Run, of_objects
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.arms import make_arms
from diffusion_jax.training.autoencoding import check_samples
from diffusion_jax.training.learned_schedule import of_network, with_learned
from diffusion_jax.training.program import state_shapes


@dataclasses.dataclass(frozen=True)
class TrainedArm:
    """An arm with its averaged parameters.

    Attributes:
        arm: settings, objective and network.
        params: running average of the parameters, on one device of this process.
        step: updates made.
        diverged: the step at which its numbers were no longer finite, if it was dropped then.
        curve: what training logged, `{"step": […], "loss": […], "grad_norm": […]}`, each a mean
            over the steps since the row before; empty where it was not asked for.
        tuned: of a network of which not all was trained, what was: of an adapter, its terms.
    """

    arm: Arm
    params: PyTree[Any] = dataclasses.field(repr=False)
    step: int
    diverged: int | None = None
    curve: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict, repr=False)
    tuned: PyTree[Any] | None = dataclasses.field(default=None, repr=False)

    @staticmethod
    def of(arm: Arm, params: PyTree[Any], step: int, diverged: int | None) -> "TrainedArm":
        """An arm with the average of what was trained of it, on one device."""
        tuned = None if arm.tuning is None else params
        return TrainedArm(arm, arm.whole(params), step, diverged, tuned=tuned)

    @property
    def objective(self) -> Objective:
        """Schedule, prediction, noise levels and weighting; a schedule that was learned as it is.

        That is, by the average of its parameters.
        """
        return with_learned(self.arm.objective, self.params)

    def check_sound(self) -> None:
        """Raises UserError if the arm diverged: its parameters are no trained ones."""
        if self.diverged is not None:
            raise UserError(
                f"Arm {self.arm.name!r} diverged at step {self.diverged} of its training: there is "
                "nothing to sample. Name another arm, or train it again in a new run_dir with a "
                "lower learning_rate, or with clip=1.0."
            )

    @property
    def denoises(self) -> bool:
        """Whether its network estimates E[x_0 | x]; a consistency function does not."""
        return denoises(self.objective.prediction)

    @property
    def network_denoiser(self) -> NetworkDenoiser:
        """The network with its averaged parameters, and all that makes a denoiser of it."""
        check_samples(self.arm.name, self.arm.objective)
        objective, own = self.objective, of_network(self.params)
        return NetworkDenoiser(
            self.arm.network,
            own,
            objective.prediction,
            objective.sigma_data,
            preconditioning=objective.preconditioning,
        )

    def denoiser(self, params: PyTree[Any] | None = None) -> Denoiser:
        """The denoiser (x, level, condition) -> E[x_0 | x].

        Args:
            params: other parameters than `self.params`, for instance the argument of a jitted
                function, so that the program does not hold them as constants.
        """
        own = self.network_denoiser
        return (own if params is None else dataclasses.replace(own, params=params)).denoiser()


def sound(arms: Mapping[str, TrainedArm]) -> dict[str, TrainedArm]:
    """The arms that did not diverge.

    Raises:
        UserError: none is left.
    """
    found = {name: arm for name, arm in arms.items() if arm.diverged is None}
    if not found:
        next(iter(arms.values())).check_sound()
    return found


def with_curves(arms: Mapping[str, TrainedArm], folder: Path) -> dict[str, TrainedArm]:
    """The arms with what the log of their run says of their training, up to their step.

    Raises:
        UserError: the log is damaged.
    """
    logged = read_metrics(folder)
    return {
        name: dataclasses.replace(arm, curve=_until(arm.step, logged.get(name, {})))
        for name, arm in arms.items()
    }


def _until(step: int, curve: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    rows = sum(each <= step for each in curve.get("step", ()))
    return {name: values[:rows] for name, values in curve.items()}


def load_guides(
    folder: str | Path, arms: Mapping[str, TrainedArm], guided_by: tuple[str, int | None] | None
) -> dict[str, TrainedArm]:
    """The networks of a run that guide others of it: arm -> its guide.

    Args:
        folder: a run folder.
        arms: those that are guided.
        guided_by: the guide's arm, "" for each arm its own, and the step of its checkpoint, None
            for that of the arms, as `Guidance.guided_by` says; None where there are no guides.

    Raises:
        UserError: no such arm or checkpoint, or a guide that diverged.
    """
    if guided_by is None:
        return {}
    name, step = guided_by
    if step is None and name in arms:
        found = {name: arms[name]}
    else:
        if step is None:
            step = next(iter(arms.values())).step
        found = load_arms(folder, (name,) if name else tuple(arms), step)
    for guide in found.values():
        if guide.diverged is not None:
            raise UserError(
                f"The guide {guide.arm.name!r} diverged at step {guide.diverged} of its training: "
                "name another arm, or an earlier checkpoint, in sampling.guidance."
            )
    return {arm: found[name or arm] for arm in arms}


def load_arm(where: str, facts: DataFacts, what: str) -> TrainedArm:
    """Reads one trained arm that is to be used with other data of the same form.

    Args:
        where: a run folder, and an arm of it unless it has but one: "runs/quickstart:edm".
        facts: of the data that it is to be used with.
        what: it is called in messages.

    Raises:
        UserError: no such run or arm, its pictures or words are others, or it diverged.
    """
    folder, _, arm = where.partition(":")
    theirs = Run.load(folder).facts
    if theirs.shape != facts.shape:
        raise UserError(
            f"{what} {where!r} was trained on pictures of shape {theirs.shape}, not {facts.shape}."
        )
    if not theirs.agrees(facts):
        raise UserError(f"{what} {where!r} was trained on captions with other words or classes.")
    arms = load_arms(folder, (arm,) if arm else ())
    if len(arms) > 1:
        raise UserError(
            f"{what} {where!r}: the run has arms {', '.join(arms)}; name one, as in "
            f"{folder}:{next(iter(arms))}."
        )
    found = next(iter(arms.values()))
    if found.diverged is not None:
        raise UserError(f"{what} {where!r} diverged at step {found.diverged} of its training.")
    return found


def load_arms(
    folder: str | Path, names: tuple[str, ...] = (), step: int | None = None
) -> dict[str, TrainedArm]:
    """Reads the trained arms of a run.

    Args:
        folder: a run folder.
        names: which arms; all if empty.
        step: of which checkpoint; the newest if None.

    Raises:
        UserError: no such run, arm or checkpoint, or a damaged one.
    """
    run = Run.load(folder)
    if of_objects(run.config):
        raise UserError(
            f"{folder} was trained from Python objects, which a command cannot make again: load it "
            f"in Python with dj.load_run({str(folder)!r}, arms=…)."
        )
    return read_arms(run, make_arms(run.config, run.facts), names, step)


def read_arms(
    run: Run,
    arms: Mapping[str, Arm],
    names: tuple[str, ...] = (),
    step: int | None = None,
    example: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, TrainedArm]:
    """Reads the averaged parameters of some arms of a run; nothing is drawn or compiled.

    Args:
        run: the run folder.
        arms: all of it, bound to its options.
        names: which to read; all if empty.
        step: of which checkpoint; the newest if None.
        example: a row of the condition, for networks without conditioners.

    Raises:
        UserError: no such arm or checkpoint, or a damaged one.
    """
    for name in names:
        one_of(name, arms, "arm")
    chosen = names or tuple(arms)
    device = devices.replicated(devices.data_mesh(jax.local_devices()[:1]))

    def placed(leaf: jax.Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)

    shapes = {name: state_shapes(arms[name], run.facts, dict(example)) for name in chosen}
    wanted = {
        name: dataclasses.replace(shape, ema=jax.tree.map(placed, shape.ema))
        for name, shape in shapes.items()
    }
    known = functools.partial(identity, run, arms)
    with Checkpoints(run.folder, 0, identity=known) as checkpoints:
        checkpoint = checkpoints.restore(wanted, step, part=True)
    if checkpoint is None:
        raise UserError(f"{run.folder} has no checkpoint yet: train it first.")
    diverged = checkpoint.position.get("diverged", {})
    return {
        name: TrainedArm.of(
            arms[name], checkpoint.states[name].ema, checkpoint.step, diverged.get(name)
        )
        for name in chosen
    }
