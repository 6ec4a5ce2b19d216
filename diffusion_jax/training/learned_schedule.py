"""A schedule that is trained with the network: its parameters among the network's.

1. The loss of an arm at times that are uniform, l(u) = w(log_snr) |d log_snr/du| error, is a
   Monte Carlo estimate of ∫ w error d log_snr between the ends of the schedule: its mean does not
   depend on what the schedule does between them, its variance does.
2. So the network is trained by l, and the schedule by l² (over the square of the mean of l),
   whose mean is least where the variance is: where E[l²] is the same at all times.
3. The ends stay as they are: by the diffusion loss alone they would meet. In a bound on the
   likelihood, the prior's and the decoder's terms hold them apart; neither depends on the network.

Source: Kingma et al. 2021 (VDM), sections 5.1-5.2 and appendix I.2.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.objective import Objective, TrainingTargets
from diffusion_jax.process.schedules import Learnable

KEY = "learned_schedule"  # among the parameters of the network


def learns(objective: Objective) -> bool:
    """Whether an arm with this objective trains its schedule."""
    return isinstance(objective.schedule, Learnable)


def first_params(objective: Objective | None, network: PyTree[Any]) -> PyTree[Any]:
    """The parameters of a network, with those of the schedule if that is trained too."""
    schedule = None if objective is None else objective.schedule
    if not isinstance(schedule, Learnable):
        return network
    if not isinstance(network, dict):
        raise UserError("A learned schedule needs a network whose parameters are a dict.")
    return {**network, KEY: schedule.learned()}


def of_network(params: PyTree[Any]) -> PyTree[Any]:
    """The parameters of the network alone."""
    if not isinstance(params, dict):
        return params
    return {name: value for name, value in params.items() if name != KEY}


def with_learned(objective: Objective, params: PyTree[Any]) -> Objective:
    """The objective with the schedule that is among these parameters, if one is trained."""
    schedule = objective.schedule
    if not isinstance(schedule, Learnable):
        return objective
    return dataclasses.replace(objective, schedule=schedule.with_learned(params[KEY]))


def learning_losses(
    losses: Callable[[PyTree[Any], TrainingTargets], Float[Array, " batch"]],
    params: PyTree[Any],
    objective: Objective,
    u: Float[Array, " batch"],
) -> Float[Array, " batch"]:
    """The losses l of rows, whose gradient in the schedule's parameters is that of l².

    Args:
        losses: of the network with some parameters, at some noise levels.
        params: of network and schedule.
        objective: of which the schedule is replaced by that among `params`.
        u: quantiles of the training times.
    """
    targets, fixed = with_learned(objective, params).at(u), jax.lax.stop_gradient
    if not learns(objective):
        return losses(params, targets)
    # Two passes in the text; forwards, the compiler sees that they are one.
    own = losses(params, fixed(targets))
    squared = losses(fixed(params), targets) ** 2
    return own + squared - fixed(squared)


def relative(
    objective: Objective | None, gradient: PyTree[Any], loss: Float[Array, ""]
) -> PyTree[Any]:
    """A batch's gradient, with the schedule's part of l² over the square of the mean of l.

    That mean is what it is whatever the schedule, so the schedule becomes the same. But in units of
    their own, one of both parts would be most of the norm by which gradients are clipped.
    """
    if objective is None or not learns(objective):
        return gradient
    scale = 1 / jnp.maximum(loss**2, jnp.finfo(loss.dtype).tiny)
    return {**gradient, KEY: jax.tree.map(lambda x: scale * x, gradient[KEY])}


def check_learned(name: str, objective: Objective) -> None:
    """Raises UserError if an arm trains its schedule by a loss whose mean depends on it."""
    schedule = objective.schedule
    if not isinstance(schedule, Learnable):
        return
    u = jnp.array([0.3, 0.6])
    time = objective.time_sampler.time(u, schedule)
    bent = schedule.with_learned(jax.tree.map(lambda x: x + 1, schedule.learned()))
    level = schedule.level(time)
    weight = [objective.weighting.weight(level, objective.prediction, s * u) for s in (1, 2)]
    faults = {
        "time_sampler": not jnp.allclose(objective.time_sampler.time(u, bent), time),
        "weighting": not jnp.allclose(2 * weight[0], weight[1], rtol=1e-4),
        "prediction": _holds(objective.prediction, type(schedule)),
        "loss": objective.loss_function.chain is not None or objective.loss_function.uncertain,
    }
    wrong = " and ".join(part for part, fault in faults.items() if fault)
    if wrong:
        raise UserError(
            f"Arm {name!r} learns its schedule, and the mean of its loss depends on it, by its "
            f"{wrong}: take times like uniform, a weighting over log-SNR like elbo or sigmoid, a "
            "prediction like epsilon or edm, and the loss squared."
        )


def _holds(tree: PyTree[Any], kind: type) -> bool:
    def found(part: Any) -> bool:
        return isinstance(part, kind)

    return any(map(found, jax.tree.leaves(tree, is_leaf=found)))
