"""How many steps a run folder may be trained to.

Step n depends on the config and n alone. So a run may be given another number of steps only if
those that it has made do not depend on that number, and never fewer than it has made.
"""

from diffusion_jax.errors import UserError
from diffusion_jax.runs.checkpoints import saved_steps
from diffusion_jax.runs.run import Run
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.optimizers import Optimizer


def depends_on_length(arm: Arm, done: int) -> str:
    """What of an arm's first `done` steps depends on how many there will be; "" if nothing does."""
    optimizer, few = arm.hyper.optimizer, arm.few_steps
    if isinstance(optimizer, Optimizer) and optimizer.depends_on_steps(done):
        return f"the learning rate's {optimizer.decay} decay"
    if few is not None and few.objective.paced:
        return f"the curriculum of {arm.settings.get('fewstep', few.objective)!r}"
    return ""


def check_length(run: Run, asked: int, arms: dict[str, Arm]) -> None:
    """Raises UserError if what a run folder holds is not on the way to what its config asks for.

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
        reason = depends_on_length(arm, done[-1])
        if asked != begun and reason:
            raise UserError(
                f"{folder} was trained with training.steps={begun}, over which {reason} of arm "
                f"{name!r} is spread: {asked} steps would have been another training. Choose "
                "another --config.run_dir. A training that may go on has decay='constant' or "
                "'inverse_sqrt', or a hold, and no curriculum."
            )
