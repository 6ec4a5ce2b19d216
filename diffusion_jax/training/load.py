"""A trained run, as one works with it in Python."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.runs.run import Run, of_objects
from diffusion_jax.training.record import described_arms
from diffusion_jax.training.train import Arms, restored
from diffusion_jax.training.trained import TrainedArm, load_arms, read_arms, with_curves


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """What came of a training.

    Attributes:
        folder: the run folder.
        config: what it was trained with.
        arms: name -> trained arm, with `.denoiser()`, `.params`, `.objective` and `.curve`.
        step: updates made of each.
    """

    folder: Path
    config: ConfigDict
    arms: Mapping[str, TrainedArm]
    step: int

    def denoiser(self, arm: str = "") -> Denoiser:
        """The denoiser of an arm; of the only one if none is named.

        Raises:
            UserError: there is no such arm, several and none is named, or it diverged.
        """
        if not arm and len(self.arms) > 1:
            raise UserError(f"The run has arms {', '.join(self.arms)}: name one.")
        found = self.arms[one_of(arm or next(iter(self.arms)), self.arms, "arm")]
        found.check_sound()
        return found.denoiser()


def load_run(
    folder: str | Path,
    names: tuple[str, ...] = (),
    step: int | None = None,
    arms: Arms | None = None,
) -> TrainedRun:
    """Reads a run: the averaged parameters of its arms, and the losses that it logged.

    Args:
        folder: a run folder.
        names: the arms to read; all if empty.
        step: of which checkpoint; the newest if None.
        arms: all arms of the run, as they were given to `train`; only for a run that was made of
            Python objects.

    Raises:
        UserError: no such run, arm or checkpoint, a damaged one, or arms that are not the run's.
    """
    if not isinstance(folder, str | Path):
        raise UserError(f"folder must name a run folder, got {folder!r}.")
    if type(names) not in (tuple, list):
        raise UserError(f"names must be a tuple of arms' names, such as ('a',), got {names!r}.")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise UserError(f"step must be that of a checkpoint, a whole number, got {step!r}.")
    run = Run.load(folder)
    if of_objects(run.config) and arms is not None:
        found = _of_objects(run, arms, names, step)
    elif arms is not None:
        raise UserError(f"{folder} was trained from a config, which says what its arms are.")
    else:
        found = load_arms(folder, names, step)
    found = with_curves(found, run.folder)
    return TrainedRun(run.folder, run.config, found, next(iter(found.values())).step)


def _of_objects(
    run: Run, arms: Arms, names: tuple[str, ...], step: int | None
) -> dict[str, TrainedArm]:
    bound = restored(arms, run)
    theirs, own = run.config.arms.to_dict(), described_arms(bound)
    for name in sorted(theirs.keys() | own.keys()):
        if theirs.get(name) != own.get(name):
            raise UserError(
                f"{run.folder} has arms {', '.join(theirs)}; arm {name!r} is missing here, or is "
                "another one there: give all arms as they were given to dj.train."
            )
    return read_arms(run, bound, names, step, _example(run.config))


def _example(config: ConfigDict) -> Rows:
    return {name: np.zeros(shape, kind) for name, (kind, shape) in config.condition.items()}
