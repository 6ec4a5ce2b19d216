"""The losses of a score network, as the training step differentiates them."""

from typing import Any

from jaxtyping import Array, Float, PyTree

from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.score_network import drop_condition
from diffusion_jax.process.objective import TrainingTargets, denoising_loss
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.few_steps import few_step_losses
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs, losses_at_levels
from diffusion_jax.training.step import SampleLosses


def score_losses(network: AnyNetwork) -> SampleLosses:
    """The loss of each picture as a function of the network's parameters.

    Args:
        network: called with the caption of each row, or without where `draws.drop` says so.

    Returns:
        `(params, state, hyper, Inputs) -> (B,)`.
    """

    def losses(
        params: PyTree[Any], state: TrainState, hyper: Hyper, inputs: Inputs
    ) -> Float[Array, " batch"]:
        batch, draws, loss = inputs.batch, inputs.draws, hyper.loss
        x0, condition = batch["x0"], batch["condition"]
        condition = drop_condition(draws.drop, condition, network.null(condition))
        if hyper.few_steps is not None:
            return few_step_losses(network, hyper.few_steps, params, state, x0, condition, draws)
        rngs = {"dropout": draws.key[0]}

        def at(params: PyTree[Any], targets: TrainingTargets) -> Float[Array, " batch"]:
            def predict(x: Float[Array, "batch ..."], c_noise: Float[Array, " batch"]) -> Any:
                method = "with_uncertainty" if loss.uncertain else None
                arguments = (x, c_noise, condition, False)
                return network.apply({"params": params}, *arguments, rngs=rngs, method=method)

            return denoising_loss(predict, targets, x0, draws.eps, loss)

        return losses_at_levels(at, params, hyper, inputs)

    return losses
