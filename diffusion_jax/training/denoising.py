"""Training by the denoising loss, at noise levels given with the batch or made in the step."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, cast

from jaxtyping import Array, Float, PyTree

from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.process.losses import Loss, Output, Squared
from diffusion_jax.process.objective import Objective, TrainingTargets, denoising_loss
from diffusion_jax.runs.state import TrainState
from diffusion_jax.struct import pytree
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.method import TrainingMethod

# (parameters, noise levels of the rows) → the loss of each row
LossesAtLevels = Callable[[PyTree[Any], TrainingTargets], Float[Array, " batch"]]


@pytree
class Denoising(TrainingMethod):
    """The denoising loss at the noise levels in `Inputs.targets`.

    These are arrays of numbers, whatever schedule, prediction and weighting they come from. So
    arms that differ in those alone share a compiled step.

    Attributes:
        loss: how an error becomes a number.
    """

    levels_given: ClassVar[bool] = True

    loss: Loss = Squared()

    def losses(
        self, network: AnyNetwork, params: PyTree[Any], state: TrainState, inputs: Inputs
    ) -> Float[Array, " batch"]:
        if inputs.targets is None:
            raise ValueError("denoising needs the noise levels of the rows in Inputs.targets")
        return denoising_losses(network, self.loss, inputs)(params, inputs.targets)


@pytree
class LevelsInStep(TrainingMethod):
    """The denoising loss at noise levels that the step makes from the objective.

    Attributes:
        objective: schedule, prediction, time sampler, weighting and loss.
    """

    whole_batch: ClassVar[bool] = True

    objective: Objective

    def prepare(self, state: TrainState, inputs: Inputs) -> Inputs:
        u = self.objective.time_sampler.stratify(inputs.draws.u)
        return dataclasses.replace(inputs, draws=dataclasses.replace(inputs.draws, u=u))

    def losses(
        self, network: AnyNetwork, params: PyTree[Any], state: TrainState, inputs: Inputs
    ) -> Float[Array, " batch"]:
        at = denoising_losses(network, self.objective.loss_function, inputs)
        return self.at_levels(at, params, inputs.draws.u)

    def at_levels(
        self, losses: LossesAtLevels, params: PyTree[Any], u: Float[Array, " batch"]
    ) -> Float[Array, " batch"]:
        """The losses of rows at the objective's levels for the quantiles `u`."""
        return losses(params, self.objective.at(u))


def denoising_losses(network: AnyNetwork, loss: Loss, inputs: Inputs) -> LossesAtLevels:
    """The losses of the rows of `inputs`, as a function of parameters and noise levels."""
    x0, condition, draws = inputs.batch["x0"], inputs.batch["condition"], inputs.draws
    method = "with_uncertainty" if loss.uncertain else None

    def at(params: PyTree[Any], targets: TrainingTargets) -> Float[Array, " batch"]:
        def predict(x: Float[Array, "batch ..."], c_noise: Float[Array, " batch"]) -> Output:
            rngs = {"dropout": draws.key[0]}
            arguments = (x, c_noise, condition, False)
            variables = {"params": params}
            return cast(Output, network.apply(variables, *arguments, rngs=rngs, method=method))

        return denoising_loss(predict, targets, x0, draws.eps, loss)

    return at
