"""What an arm brings to the compiled step that it shares with others."""

from diffusion_jax.process.losses import Loss, Squared
from diffusion_jax.process.objective import Objective
from diffusion_jax.struct import pytree
from diffusion_jax.training.ema import Average
from diffusion_jax.training.few_steps import FewSteps
from diffusion_jax.training.optimizers import Given, Optimizer


@pytree
class Hyper:
    """How an arm turns its losses into updates.

    The numbers in it (learning rate, decay of the average, …) are leaves: arms whose `Hyper`s
    differ in them alone share a compiled step, which may be mapped over them.

    Attributes:
        optimizer: makes updates of gradients.
        average: the running average of the parameters.
        loss: how an error becomes a number.
        few_steps: training for few steps, which has losses of its own; None is denoising.
        aim: the objective, where its noise levels depend on what training has found so far, so
            that the step chooses them itself; None where they are told.
    """

    optimizer: Optimizer | Given
    average: Average
    loss: Loss = Squared()
    few_steps: FewSteps | None = None
    aim: Objective | None = None
