"""Checkpoints that stay, however many come after them."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.runs.checkpoints import FOLDER
from diffusion_jax.sampling.guidance import guidance


def kept_steps(config: ConfigDict) -> tuple[int, ...]:
    """Steps whose checkpoints are never removed.

    They are those of `training.keep_steps`, and that of an earlier network that guides samples.

    Args:
        config: see `configs/base.py`.

    Raises:
        UserError: the run makes no checkpoint of such a step, or has removed it.
    """
    for step in config.training.keep_steps:
        check_step(config, step, f"training.keep_steps names step {step!r}")
    asked = guidance.make(config.sampling.guidance).guided_by
    own = () if asked is None or asked[1] is None else (asked[1],)
    for step in own:
        check_step(config, step, f"sampling.guidance asks for the checkpoint of step {step}")
    return tuple(sorted({*config.training.keep_steps, *own}))


def check_step(config: ConfigDict, step: Any, what: str) -> None:
    """Raises UserError, which begins with `what`, if a run has no checkpoint of a step to come."""
    every, last = config.training.checkpoint_every, config.training.steps
    made = saved_steps(user_path(config.run_dir))
    if step in made:
        return
    if not isinstance(step, int) or not 1 <= step <= last or (step % every and step != last):
        raise UserError(f"{what}, and this run makes one every {every} steps, the last at {last}.")
    if made and made[-1] > step:
        raise UserError(
            f"{what}, which run {config.run_dir} has not kept; it has {', '.join(map(str, made))}. "
            f"Take one of these, or train in a new run_dir with training.keep_steps=({step},)."
        )


def saved_steps(run_folder: Path) -> tuple[int, ...]:
    """Steps of which a run folder has a checkpoint, rising."""
    names = [path.name for path in (run_folder / FOLDER).glob("*") if path.is_dir()]
    return tuple(sorted(int(name) for name in names if name.isdecimal()))
