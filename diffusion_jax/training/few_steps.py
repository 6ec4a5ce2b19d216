"""Few-step objectives in the training step."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.fewstep import FewStep, Networks
from diffusion_jax.fewstep.denoiser import FewStepPrediction, of_two_times
from diffusion_jax.networks.denoiser import NetworkDenoiser
from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.score_network import Condition
from diffusion_jax.process.predictions import EDMPrediction
from diffusion_jax.runs.state import TrainState
from diffusion_jax.sampling.guidance import Guidance
from diffusion_jax.sampling.guidance.none import NoGuidance
from diffusion_jax.sampling.solvers.base import Denoise
from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.draws import Draws


@pytree
class Teacher:
    """A trained network that an arm learns from.

    Attributes:
        network: it, with its averaged parameters.
        guidance: what steers it towards the captions that it is shown.
    """

    network: NetworkDenoiser
    guidance: Guidance = NoGuidance()

    def denoiser(self, condition: Condition) -> Denoise:
        """The guided teacher of rows with a condition, (x, level) → E[x_0 | x]."""
        steered = self.guidance(self.network.denoiser(), self.network.network.null(condition))
        return steered.with_condition(condition)


@pytree
class FewSteps:
    """How an arm is trained for few steps.

    Attributes:
        objective: gives the losses.
        steps: of the whole training, for curricula.
        teacher: None where the objective follows none, and where a trained arm is only sampled.
    """

    objective: FewStep
    steps: Scalar
    teacher: Teacher | None = None

    def inherited(self, network: AnyNetwork) -> PyTree[Any] | None:
        """The teacher's parameters, if they mean the same to the student; None otherwise."""
        if self.teacher is None or not self.objective.inherits:
            return None
        own = self.teacher.network
        if isinstance(own.prediction, FewStepPrediction):
            means_f = own.prediction.objective.inherits
        else:
            means_f = isinstance(own.prediction, EDMPrediction)
        return own.params if means_f and own.network == network else None


def few_step_losses(
    network: AnyNetwork,
    training: FewSteps,
    params: PyTree[Any],
    state: TrainState,
    x0: Float[Array, "batch ..."],
    condition: Condition,
    draws: Draws,
) -> Float[Array, " batch"]:
    """The loss of each picture.

    Args:
        network: the student.
        training: how it is trained.
        params: of the student.
        state: for the part of the training that is done, and the average of the parameters.
        x0: pictures.
        condition: what the student is told of each; its teacher is told the same.
        draws: noise and uniform draws of time. All objectives take the time from the draw that
            ordinary arms take it from; what else they draw is their own.
    """
    objective = training.objective

    def of(weights: PyTree[Any]) -> Any:
        # The same units are dropped, if any are, in all passes of a step.
        rngs = {"dropout": draws.key[0]}

        def apply(x: Array, c_noise: Array, condition: Condition) -> Any:
            return network.apply({"params": weights}, x, c_noise, condition, False, rngs=rngs)

        return of_two_times(objective, apply, condition)

    fixed = jax.lax.stop_gradient(state.ema if objective.average else params)
    teacher = training.teacher.denoiser(condition) if training.teacher else None
    networks = Networks(of(params), of(fixed), teacher)
    progress = jnp.asarray(state.step / training.steps, x0.dtype)
    return objective.loss(networks, x0, draws.eps, _uniform(draws, objective.draws), progress)


def _uniform(draws: Draws, count: int) -> Float[Array, "batch {count}"]:
    """Uniform numbers: that of all arms, and further ones of each row's own."""

    def further(key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, 1), (count - 1,))

    return jnp.concatenate([draws.u[:, None], jax.vmap(further)(draws.key)], axis=1)
