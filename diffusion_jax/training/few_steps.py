"""Training by a few-step objective, from a teacher or without one."""

from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.fewstep import FewStep, Networks
from diffusion_jax.fewstep.base import TwoTimeNetwork
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
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.method import TrainingMethod


@pytree
class Teacher:
    """A trained network that an arm learns from.

    Attributes:
        network: it, with its averaged parameters.
        guidance: what steers it towards the condition.
    """

    network: NetworkDenoiser
    guidance: Guidance = NoGuidance()

    def denoiser(self, condition: Condition) -> Denoise:
        """The guided teacher of rows with a condition, (x, level) → E[x_0 | x]."""
        steered = self.guidance(self.network.denoiser(), self.network.network.null(condition))
        return steered.with_condition(condition)


@pytree
class FewSteps(TrainingMethod):
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

    def losses(
        self, network: AnyNetwork, params: PyTree[Any], state: TrainState, inputs: Inputs
    ) -> Float[Array, " batch"]:
        """The loss of each row.

        The teacher is given the same condition as the student. All objectives take the time from
        the uniform draw that other arms take theirs from; what else they draw is their own.
        """
        objective, draws = self.objective, inputs.draws
        x0, condition = inputs.batch["x0"], inputs.batch["condition"]

        def student(weights: PyTree[Any]) -> TwoTimeNetwork:
            # The same units are dropped, if any are, in all passes of a step.
            rngs = {"dropout": draws.key[0]}

            def apply(x: Array, c_noise: Array, condition: Condition) -> Array:
                variables = {"params": weights}
                return cast(
                    Array, network.apply(variables, x, c_noise, condition, False, rngs=rngs)
                )

            return of_two_times(objective, apply, condition)

        fixed = jax.lax.stop_gradient(state.ema if objective.average else params)
        teacher = self.teacher.denoiser(condition) if self.teacher else None
        networks = Networks(student(params), student(fixed), teacher)
        progress = jnp.asarray(state.step / self.steps, x0.dtype)
        uniform = _uniform(draws, objective.draws)
        return objective.loss(networks, x0, draws.eps, uniform, progress)


def _uniform(draws: Draws, count: int) -> Float[Array, "batch {count}"]:
    """Uniform numbers: that of all arms, and further ones of each row's own."""

    def further(key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, 1), (count - 1,))

    return jnp.concatenate([draws.u[:, None], jax.vmap(further)(draws.key)], axis=1)
