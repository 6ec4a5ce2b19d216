"""The functions that the training loop calls, compiled for a mesh."""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, Sharding
from jaxtyping import Array, Float, Int, Key, PyTree
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners import Conditioner, base
from diffusion_jax.networks.conditioners.base import Condition, Example, Rows
from diffusion_jax.networks.functions import AnyNetwork, FunctionNetwork
from diffusion_jax.networks.initialise import initialise, parameter_shapes
from diffusion_jax.parallel import devices
from diffusion_jax.process.objective import Objective, TrainingTargets
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.arms import make_arms
from diffusion_jax.training.draws import Draws, draw
from diffusion_jax.training.few_steps import Teacher
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.options import Options
from diffusion_jax.training.own_data import own_condition
from diffusion_jax.training.step import TrainStep, make_train_step, score_losses

INITIALISATION, TRAINING = 0, 1  # streams of the seed


@dataclasses.dataclass(frozen=True)
class Program:
    """Arms, and the functions that train them, for the devices there are.

    Attributes:
        arms: name -> arm.
        options: of the training.
        facts: of the data set.
        mesh: the devices.
        draw: step number, () int32 -> the randomness of that step, split over the mesh.
        targets: arm -> compiled function from `Draws.u`, (B,), to the arm's noise levels and
            targets; to None where its method needs none.
        steps: arm -> its training step, not compiled; one and the same for arms that share it.
        conditioners: those of all arms and teachers.
        example: a row of the condition as the data set has it, for networks without conditioners.
    """

    arms: dict[str, Arm]
    options: Options
    facts: DataFacts
    mesh: Mesh
    draw: Callable[[Any], Draws]
    targets: dict[str, Callable[[Float[Array, " batch"]], TrainingTargets | None]]
    steps: dict[str, TrainStep]
    conditioners: tuple[Conditioner, ...] = ()
    example: Rows = dataclasses.field(default_factory=dict)

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
        options = Options.of(config)
        return Program.of(make_arms(config, facts, teachers), options, facts, mesh)

    @staticmethod
    def of(
        arms: dict[str, Arm],
        options: Options,
        facts: DataFacts,
        mesh: Mesh,
        example: Rows = MappingProxyType({}),  # type: ignore[assignment]
    ) -> "Program":
        """Builds the program of arms.

        Args:
            arms: name -> arm, bound to the options.
            options: of the training.
            facts: of the data set.
            mesh: the devices, see `devices.data_mesh`.
            example: a row of the condition as the data set has it.

        Raises:
            UserError: the batch cannot be split over the devices.
        """
        devices.check_batch(options.batch_size, options.microbatches, mesh)
        arms = {name: arm.on(mesh) for name, arm in arms.items()}
        compiled = jax.jit(_targets, out_shardings=devices.by_rows(mesh))
        targets: dict[str, Callable[[Array], TrainingTargets | None]] = {
            name: functools.partial(compiled, arm.objective if arm.method.levels_given else None)
            for name, arm in arms.items()
        }
        steps = {name: _step(arm.network, options.microbatches) for name, arm in arms.items()}
        networks = [arm.network for arm in arms.values()]
        for arm in arms.values():
            if arm.few_steps is not None and arm.few_steps.teacher is not None:
                networks.append(arm.few_steps.teacher.network.network)
        parts = tuple(each.conditioner for each in networks if each.conditioner is not None)
        draws = _make_draw(options, facts, mesh)
        return Program(arms, options, facts, mesh, draws, targets, steps, parts, dict(example))

    def encode(self, examples: Sequence[Example]) -> Rows:
        """The condition of examples, for all networks."""
        own = own_condition(examples, self.example)
        return own | base.encode(self.conditioners, examples)

    def nothing(self) -> Condition:
        """A row of the condition that says nothing."""
        return {**self.example, **base.ask(self.conditioners, [""])}

    def inputs(self, batch: dict[str, Any], draws: Draws) -> dict[str, Inputs]:
        """Arm -> the inputs of its step, from what all arms share."""
        return {name: Inputs(batch, draws, of(draws.u)) for name, of in self.targets.items()}

    def sharing(self) -> list[tuple[str, ...]]:
        """The arms, those together that share a step."""
        found: dict[Hashable, tuple[str, ...]] = {}
        for name, arm in self.arms.items():
            found[arm.program] = (*found.get(arm.program, ()), name)
        return list(found.values())


@functools.cache
def _step(network: AnyNetwork, microbatches: int) -> TrainStep:
    """The step of a network; one object for equal networks, so that JAX compiles it once."""
    return make_train_step(score_losses(network), microbatches, constrained=network.constrained)


def _targets(objective: Objective | None, u: Float[Array, " batch"]) -> TrainingTargets | None:
    return None if objective is None else objective.targets(u)


def _make_draw(options: Options, facts: DataFacts, mesh: Mesh) -> Callable[[Any], Draws]:
    compiled = jax.jit(_draw, static_argnums=(2, 3), out_shardings=devices.by_rows(mesh))
    key = stream_key(options.seed, TRAINING)

    def draw_step(step: int | np.integer[Any] | Int[Array, ""]) -> Draws:
        return compiled(key, step, options.batch_size, facts.shape, options.condition_dropout)

    return draw_step


def _draw(
    key: Key[Array, ""],
    step: Int[Array, ""] | np.integer[Any],
    batch_size: int,
    shape: tuple[int, ...],
    condition_dropout: float | Float[Array, ""],
) -> Draws:
    """The randomness of a step, compiled once for all seeds."""
    return draw(jax.random.fold_in(key, step), jnp.arange(batch_size), shape, condition_dropout)


def stream_key(seed: int, stream: int) -> Array:
    """The key of one of the streams of a seed."""
    return jax.random.fold_in(jax.random.key(seed), stream)


def first_states(
    program: Program, starts: Mapping[str, PyTree[Any]] = MappingProxyType({})
) -> tuple[dict[str, TrainState], Callable[[], dict[str, TrainState]]]:
    """The states before training: their shapes, and a function that makes them.

    Arms with the same network start from the same parameters; students of few-step objectives from
    those of their teacher, where they mean the same. Nothing is drawn before the function is
    called.

    Args:
        program: see `Program`.
        starts: arm -> the parameters that its network starts from instead.

    Returns:
        Arm -> state of `jax.ShapeDtypeStruct` with shardings; and a function without arguments
        that returns arm -> state on the devices.

    Raises:
        UserError: the pictures do not fit the network.
    """
    whole, example = devices.replicated(program.mesh), program.example
    create = jax.jit(_first_state, donate_argnums=0, out_shardings=whole)
    given = {name: own for name, arm in program.arms.items() if (own := arm.inherited)}
    given |= starts

    def placed(leaf: Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole)

    def shapes(arm: Arm) -> TrainState:
        return state_shapes(arm, program.facts, example, given.get(arm.name))

    def make() -> dict[str, TrainState]:
        states = {
            name: create(params, program.arms[name].hyper)
            for names in program.sharing()
            for name, params in _first_params(program, names, given, whole)
        }
        return {name: states[name] for name in program.arms}

    return {name: jax.tree.map(placed, shapes(arm)) for name, arm in program.arms.items()}, make


def _first_params(
    program: Program,
    names: Sequence[str],
    given: Mapping[str, PyTree[Any]],
    where: NamedSharding,
) -> Iterator[tuple[str, PyTree[Any]]]:
    """Arm -> parameters of its own, for arms that share a step; they are made when asked for."""
    key, drawing = stream_key(program.options.seed, INITIALISATION), []
    for name in names:
        start = program.arms[name].pretrained
        if name in given:
            yield name, devices.replicate(given[name], program.mesh)
        elif start is not None:
            yield name, devices.replicate(start.first(key), program.mesh)
        else:
            drawing.append(name)
    if drawing:
        network = program.arms[drawing[0]].network
        drawn = draw_params(network, key, program.facts, program.example, where)
        copy = jax.jit(functools.partial(jax.tree.map, jnp.copy), out_shardings=where)
        for name in drawing[1:]:
            yield name, copy(drawn)
        yield drawing[0], drawn


def state_shapes(
    arm: Arm, facts: DataFacts, example: Rows, params: PyTree[Any] | None = None
) -> TrainState:
    """The shapes of an arm's state; nothing is drawn or compiled.

    Args:
        arm: bound to the options of its training.
        facts: of the data set.
        example: a row of the condition as the data set has it.
        params: that its network starts from, if it does not draw them.
    """
    if params is None:
        params = params_shapes(arm.network, facts, example)
        if arm.pretrained is not None:
            params = arm.pretrained.first_shapes(params)
    state: TrainState = jax.eval_shape(_first_state, params, arm.hyper)
    return state


def check_pretrained(program: Program) -> None:
    """Refuses data and conditioners that networks which come with parameters are not for.

    Raises:
        UserError: a parameter would have another shape, or there would be further ones.
    """
    for name, arm in program.arms.items():
        if arm.pretrained is not None:
            shapes = params_shapes(arm.network, program.facts, program.example)
            try:
                arm.pretrained.check(shapes)
            except UserError as error:
                raise UserError(f"Arm {name!r}: {error}") from None


def params_shapes(network: AnyNetwork, facts: DataFacts, example: Rows) -> PyTree[Any]:
    """The shapes of what `draw_params` draws."""
    if isinstance(network, FunctionNetwork):
        return network.first_shapes(facts.shape, dict(example))
    return parameter_shapes(network, facts.shape, network.nothing())


def draw_params(
    network: AnyNetwork,
    key: Key[Array, ""],
    facts: DataFacts,
    example: Rows,
    where: Sharding | None = None,
) -> PyTree[Any]:
    """The first parameters of a network, in arrays of their own, where they are to live."""
    if isinstance(network, FunctionNetwork):
        return network.first(key, facts.shape, dict(example), where)
    return initialise(network, key, facts.shape, network.nothing(), where)


def _first_state(params: PyTree[Any], hyper: Hyper) -> TrainState:
    """From the parameters of the network alone; compiled once for all arms that share a step."""
    params, history = hyper.method.first_params(params), hyper.method.first_history()
    return TrainState.create(params, hyper.optimizer.transformation(), history)
