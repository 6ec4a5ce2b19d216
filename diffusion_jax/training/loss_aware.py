"""Training at times that follow the losses seen at them (`time_samplers.LossAware`)."""

import dataclasses
from typing import Any, ClassVar

from jaxtyping import Array, Float, PyTree

from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.process.importance import LossHistory
from diffusion_jax.process.time_samplers import LossAware
from diffusion_jax.runs.state import TrainState
from diffusion_jax.struct import pytree
from diffusion_jax.training.denoising import LevelsInStep
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.method import TrainingMethod


@pytree
class LossAwareTraining(TrainingMethod):
    """Another method, at quantiles of the training times drawn by the losses of earlier steps.

    Attributes:
        method: that gives the losses.
        time_sampler: how quantiles are drawn from the history.
    """

    whole_batch: ClassVar[bool] = True

    method: LevelsInStep
    time_sampler: LossAware

    def first_params(self, network: PyTree[Any]) -> PyTree[Any]:
        return self.method.first_params(network)

    def first_history(self) -> LossHistory:
        return self.time_sampler.start()

    def prepare(self, state: TrainState, inputs: Inputs) -> Inputs:
        if state.history is None:
            raise ValueError("the state has no history of losses: begin with first_history()")
        inputs = self.method.prepare(state, inputs)
        chosen = self.time_sampler.choose(state.history, inputs.draws.u)
        draws = dataclasses.replace(inputs.draws, u=chosen.u)
        return dataclasses.replace(inputs, draws=draws, chosen=chosen)

    def losses(
        self, network: AnyNetwork, params: PyTree[Any], state: TrainState, inputs: Inputs
    ) -> Float[Array, " batch"]:
        return self.method.losses(network, params, state, inputs)

    def weigh(self, inputs: Inputs, losses: Float[Array, " batch"]) -> Float[Array, " batch"]:
        assert inputs.chosen is not None, "prepare has chosen"
        return losses * inputs.chosen.weight

    def scale_gradient(self, gradient: PyTree[Any], loss: Float[Array, ""]) -> PyTree[Any]:
        return self.method.scale_gradient(gradient, loss)

    def remember(
        self, history: LossHistory | None, inputs: Inputs, losses: Float[Array, " batch"]
    ) -> LossHistory:
        assert history is not None and inputs.chosen is not None, "prepare has chosen"
        return history.update(inputs.chosen.label, losses)
