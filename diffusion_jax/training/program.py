"""From a config to the functions that the training loop calls, compiled for a mesh."""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.conditioners import Conditioner, base
from diffusion_jax.networks.conditioners.base import Condition, Example, Rows
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.parallel import devices
from diffusion_jax.process.objective import Objective, TrainingTargets
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.arms import Arm, make_arms
from diffusion_jax.training.draws import Draws, draw
from diffusion_jax.training.few_steps import Teacher
from diffusion_jax.training.groups import EXECUTIONS, OneByOne, Together
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import first_history
from diffusion_jax.training.learned_schedule import first_params
from diffusion_jax.training.score_losses import score_losses
from diffusion_jax.training.step import TrainStep, make_train_step

T = TypeVar("T")
INITIALISATION, TRAINING = 0, 1  # streams of the seed
LARGEST = 2**31  # more than counters on the device hold


@dataclasses.dataclass(frozen=True)
class Program:
    """The arms of a config, and the functions that train them, for the devices there are.

    Attributes:
        arms: name -> arm.
        mesh: the devices.
        draw: step number, () int32 -> the randomness of that step, split over the mesh.
        targets: arm -> compiled function from `Draws.u`, (B,), to the arm's noise levels and
            targets; to None where the arm's step chooses them.
        steps: arm -> its training step, not compiled; one and the same for arms that share it.
        conditioners: those of all arms and teachers.
    """

    arms: dict[str, Arm]
    mesh: Mesh
    draw: Callable[[Any], Draws]
    targets: dict[str, Callable[[Float[Array, " batch"]], TrainingTargets | None]]
    steps: dict[str, TrainStep]
    conditioners: tuple[Conditioner, ...] = ()

    @staticmethod
    def build(
        config: ConfigDict,
        facts: DataFacts,
        mesh: Mesh,
        teachers: Mapping[str, Teacher] = MappingProxyType({}),
    ) -> "Program":
        """Builds the program of a config.

        Args:
            config: see `configs/base.py`.
            facts: of the data set.
            mesh: the devices, see `devices.data_mesh`.
            teachers: arm -> its teacher, for those that are trained by one.

        Raises:
            UserError: a setting is wrong, or the batch cannot be split over the devices.
        """
        check_settings(config)
        devices.check_batch(config.training.batch_size, config.training.microbatches, mesh)
        arms = make_arms(config, facts, teachers)
        compiled = jax.jit(_targets, out_shardings=devices.by_rows(mesh))
        targets: dict[str, Callable[[Array], TrainingTargets | None]] = {
            name: functools.partial(compiled, None if arm.hyper.aim else arm.objective)
            for name, arm in arms.items()
        }
        parts = config.training.microbatches
        steps = {name: _step(arm.network, parts) for name, arm in arms.items()}
        networks = [arm.network for arm in arms.values()]
        networks += [teacher.network.network for teacher in teachers.values()]
        parts = tuple(each.conditioner for each in networks if each.conditioner is not None)
        return Program(arms, mesh, _make_draw(config, facts, mesh), targets, steps, parts)

    def encode(self, examples: Sequence[Example]) -> Rows:
        """The condition of examples, for all networks."""
        return base.encode(self.conditioners, examples)

    def nothing(self) -> Condition:
        """A row of the condition that says nothing."""
        return {**base.ask(self.conditioners, [""])}

    def sharing(self) -> list[tuple[str, ...]]:
        """The arms, those together that share a step."""
        found: dict[Hashable, tuple[str, ...]] = {}
        for name, arm in self.arms.items():
            found[arm.program] = (*found.get(arm.program, ()), name)
        return list(found.values())

    def one_by_one(self, names: Sequence[str]) -> OneByOne:
        """Trains arms that share a step in turn."""
        step = jax.jit(
            self.steps[names[0]], donate_argnums=0, out_shardings=devices.replicated(self.mesh)
        )
        return OneByOne({name: self.arms[name].hyper for name in names}, step)

    def together(self, names: Sequence[str]) -> Together:
        """Trains arms that share a step in one program that is mapped over them."""
        hypers = {name: self.arms[name].hyper for name in names}
        return Together(hypers, self.steps[names[0]], self.mesh)


def check_settings(config: ConfigDict) -> None:
    """Raises UserError unless the seed and the numbers in `config.training` make sense."""
    training = config.training
    if not 0 <= config.seed < LARGEST:
        raise UserError(f"seed must be from 0 to {LARGEST - 1}, got {config.seed}.")
    for name in ("steps", "batch_size", "microbatches", "log_every", "checkpoint_every", "keep"):
        if not 1 <= training[name] < LARGEST:
            raise UserError(
                f"training.{name} must be at least 1 (and < 2^31), got {training[name]}."
            )
    one_of(training.execution, EXECUTIONS, "training.execution")
    one_of(training.diverged, ("stop", "drop"), "training.diverged")
    if not 0 <= training.caption_dropout <= 1:
        raise UserError(
            f"training.caption_dropout is a share from 0 to 1, got {training.caption_dropout}."
        )


@functools.cache
def _step(network: ScoreNetwork, microbatches: int) -> TrainStep:
    """The step of a network; one object for equal networks, so that JAX compiles it once."""
    return make_train_step(score_losses(network), microbatches)


def _targets(objective: Objective | None, u: Float[Array, " batch"]) -> TrainingTargets | None:
    """`Objective.targets`, compiled once for all objectives that differ in numbers alone."""
    return None if objective is None else objective.targets(u)


def _make_draw(config: ConfigDict, facts: DataFacts, mesh: Mesh) -> Callable[[Any], Draws]:
    compiled = jax.jit(_draw, static_argnums=(2, 3), out_shardings=devices.by_rows(mesh))
    key, options = _key(config, TRAINING), config.training

    def draw_step(step: Any) -> Draws:
        return compiled(key, step, options.batch_size, facts.shape, options.caption_dropout)

    return draw_step


def _draw(
    key: Key[Array, ""],
    step: Int[Array, ""] | np.integer[Any],
    batch_size: int,
    shape: tuple[int, ...],
    caption_dropout: float | Float[Array, ""],
) -> Draws:
    """The randomness of a step, compiled once for all seeds."""
    return draw(jax.random.fold_in(key, step), jnp.arange(batch_size), shape, caption_dropout)


def _key(config: ConfigDict, stream: int) -> Array:
    return jax.random.fold_in(jax.random.key(config.seed), stream)


def first_states(
    program: Program,
    config: ConfigDict,
    facts: DataFacts,
    starts: Mapping[str, PyTree[Any]] = MappingProxyType({}),
) -> tuple[dict[str, TrainState], Callable[[], dict[str, TrainState]]]:
    """The states before training: their shapes, and a function that makes them.

    Arms with the same network start from the same parameters; students of few-step objectives from
    those of their teacher, where they mean the same.

    Args:
        program: see `Program`.
        config: for the seed.
        facts: of the data set.
        starts: arm -> the parameters that its network starts from instead.

    Returns:
        Arm -> state of `jax.ShapeDtypeStruct` with shardings; and a function without arguments
        that returns arm -> state on the devices.

    Raises:
        UserError: the pictures do not fit the network.
    """
    whole = devices.replicated(program.mesh)
    create = jax.jit(_first_state, out_shardings=whole)
    params = _by_program(program.arms, lambda arm: _first_params(arm, config, facts))
    params |= {name: own for name, arm in program.arms.items() if (own := arm.inherited)}
    params |= starts
    params = {name: first_params(arm.hyper.aim, params[name]) for name, arm in program.arms.items()}

    def placed(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole)

    shapes = {
        name: jax.tree.map(placed, jax.eval_shape(create, params[name], arm.hyper))
        for name, arm in program.arms.items()
    }
    return shapes, lambda: {
        name: create(devices.replicate(params[name], program.mesh), arm.hyper)
        for name, arm in program.arms.items()
    }


def _first_state(params: PyTree[Any], hyper: Hyper) -> TrainState:
    """Compiled once for all arms that share a step."""
    return TrainState.create(params, hyper.optimizer.transformation(), first_history(hyper.aim))


def _by_program(arms: dict[str, Arm], make: Callable[[Arm], T]) -> dict[str, T]:
    """Arm -> what `make` gives for it, made once for all arms with the same program."""
    made: dict[Hashable, T] = {}
    for arm in arms.values():
        if arm.program not in made:
            made[arm.program] = make(arm)
    return {name: made[arm.program] for name, arm in arms.items()}


def _first_params(arm: Arm, config: ConfigDict, facts: DataFacts) -> Any:
    key = _key(config, INITIALISATION)
    return initialise(arm.network, key, facts.shape, arm.network.nothing())
