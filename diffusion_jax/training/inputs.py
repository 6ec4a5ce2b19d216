"""What a training step is given besides the state, and the noise levels that it chooses itself."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float, PyTree

from diffusion_jax.process.importance import Chosen, LossHistory
from diffusion_jax.process.objective import Objective, TrainingTargets
from diffusion_jax.process.time_samplers import LossAware
from diffusion_jax.runs.state import TrainState
from diffusion_jax.struct import pytree
from diffusion_jax.training.draws import Draws
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.learned_schedule import learning_losses


@pytree
class Inputs:
    """What a training step is given besides the state; every leaf has a row per picture.

    Attributes:
        batch: "x0" (B, ...) in [-1, 1], and "condition", a dict of arrays with B rows.
        draws: the randomness that all arms share.
        targets: the arm's noise levels, targets and weights; None where the step chooses them.
        chosen: where the training times follow the losses, what the step chose.
    """

    batch: dict[str, Any]
    draws: Draws
    targets: TrainingTargets | None
    chosen: Chosen | None = None


def first_history(aim: Objective | None) -> LossHistory | None:
    """What an arm with this objective remembers of its losses before training."""
    return (
        aim.time_sampler.start()
        if aim is not None and isinstance(aim.time_sampler, LossAware)
        else None
    )


def choose(state: TrainState, hyper: Hyper, inputs: Any) -> Any:
    """The inputs with the quantiles of the training times that an arm chooses, if it does."""
    aim, history = hyper.aim, state.history
    if aim is None:
        return inputs
    u, chosen = aim.time_sampler.stratify(inputs.draws.u), None
    if isinstance(aim.time_sampler, LossAware) and history is not None:
        chosen = aim.time_sampler.choose(history, u)
        u = chosen.u
    return dataclasses.replace(inputs, draws=dataclasses.replace(inputs.draws, u=u), chosen=chosen)


def losses_at_levels(
    losses: Callable[[PyTree[Any], TrainingTargets], Float[Array, " batch"]],
    params: PyTree[Any],
    hyper: Hyper,
    inputs: Inputs,
) -> Float[Array, " batch"]:
    """The losses (of parameters, at noise levels) of rows, at those told or chosen."""
    if inputs.targets is not None:
        return losses(params, inputs.targets)
    if hyper.aim is None:
        raise ValueError("no noise levels are told, and no objective to choose them by")
    return learning_losses(losses, params, hyper.aim, inputs.draws.u)


def weighed(inputs: Any, losses: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """The losses of rows, times what makes up for how often such rows are chosen."""
    chosen = getattr(inputs, "chosen", None)
    return losses if chosen is None else losses * chosen.weight


def remember(
    history: LossHistory | None, inputs: Any, losses: Float[Array, " batch"]
) -> LossHistory | None:
    """The history after a batch; losses as they are, not weighed."""
    return None if history is None else history.update(inputs.chosen.label, losses)
