"""How many steps a run folder may be trained to.

Step n depends on the config and n alone. So a run may be given another number of steps only if
those that it has made do not depend on that number, and never fewer than it has made.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from diffusion_jax.errors import UserError
from diffusion_jax.runs.checkpoints import saved_steps
from diffusion_jax.runs.run import Run


@runtime_checkable
class Trained(Protocol):
    """What is trained in a run: an arm."""

    def depends_on_length(self, done: int) -> str:
        """What of its first `done` steps depends on how many there will be; "" if nothing does."""

    @property
    def frozen_weights(self) -> str:
        """A checksum of parameters that its checkpoints do not hold; "" where they hold all."""


def check_length(run: Run, asked: int, arms: Mapping[str, Trained]) -> None:
    """Raises UserError if what a run folder holds cannot go on to what its config asks for.

    Args:
        run: that is in the folder.
        asked: steps that it is to be trained to.
        arms: of the run, as they are to go on.
    """
    folder, begun = run.folder, run.config.training.steps
    done = saved_steps(folder)
    if not done:
        return
    if asked < done[-1]:
        raise UserError(
            f"{folder} has been trained for {done[-1]} steps, and training.steps={asked} asks for "
            f"fewer: choose another --config.run_dir, or ask for {done[-1]} or more."
        )
    for name, arm in arms.items():
        reason = arm.depends_on_length(done[-1])
        if asked != begun and reason:
            raise UserError(
                f"{folder} was trained with training.steps={begun}, over which {reason} of arm "
                f"{name!r} is spread: {asked} steps would have been another training. Choose "
                "another --config.run_dir. A training that may go on has decay='constant' or "
                "'inverse_sqrt', or a hold, and no curriculum."
            )
