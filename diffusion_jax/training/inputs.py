"""What a training step is given besides the state."""

from typing import Any

from diffusion_jax.process.importance import Chosen
from diffusion_jax.process.objective import TrainingTargets
from diffusion_jax.struct import pytree
from diffusion_jax.training.draws import Draws


@pytree
class Inputs:
    """What a training step is given besides the state; every leaf has a row per picture.

    Attributes:
        batch: "x0" (B, ...) in [-1, 1], and "condition", a dict of arrays with B rows.
        draws: the randomness that all arms share.
        targets: the arm's noise levels, targets and weights; None where its method does not need
            them (`TrainingMethod.levels_given`).
        chosen: where the training times follow the losses, what the step chose.
    """

    batch: dict[str, Any]
    draws: Draws
    targets: TrainingTargets | None
    chosen: Chosen | None = None
