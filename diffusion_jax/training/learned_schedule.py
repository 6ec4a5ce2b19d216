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
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.schedules import Learnable
from diffusion_jax.struct import pytree
from diffusion_jax.training.denoising import LevelsInStep, LossesAtLevels

KEY = "learned_schedule"  # among the parameters of the network


@pytree
class LearnedSchedule(LevelsInStep):
    """The denoising loss, and the schedule's own among the parameters.

    Attributes:
        objective: of which the schedule is replaced by that among the parameters.
    """

    def first_params(self, network: PyTree[Any]) -> PyTree[Any]:
        if not isinstance(network, dict):
            raise UserError("A learned schedule needs a network whose parameters are a dict.")
        schedule = self.objective.schedule
        assert isinstance(schedule, Learnable)
        return {**network, KEY: schedule.learned()}

    def at_levels(
        self, losses: LossesAtLevels, params: PyTree[Any], u: Float[Array, " batch"]
    ) -> Float[Array, " batch"]:
        """The losses l of rows, whose gradient in the schedule's parameters is that of l²."""
        targets, fixed = with_learned(self.objective, params).at(u), jax.lax.stop_gradient
        # Two passes in the text; forwards, the compiler sees that they are one.
        plain = losses(params, fixed(targets))
        squared = losses(fixed(params), targets) ** 2
        return plain + squared - fixed(squared)

    def scale_gradient(self, gradient: PyTree[Any], loss: Float[Array, ""]) -> PyTree[Any]:
        """The gradient, with the schedule's part of l² over the square of the mean of l.

        That mean is what it is whatever the schedule, so the schedule becomes the same. But in
        units of their own, one of both parts would be most of the norm by which gradients are
        clipped.
        """
        scale = 1 / jnp.maximum(loss**2, jnp.finfo(loss.dtype).tiny)
        return {**gradient, KEY: jax.tree.map(lambda x: scale * x, gradient[KEY])}


def learns(objective: Objective) -> bool:
    """Whether an arm with this objective trains its schedule."""
    return isinstance(objective.schedule, Learnable)


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
    def found(part: object) -> bool:
        return isinstance(part, kind)

    return any(map(found, jax.tree.leaves(tree, is_leaf=found)))
