"""Fields and options that a command has no use for: they are refused where they are given."""

from collections.abc import Mapping

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments.command_line import overridden

# Of training, but for what says which checkpoint it is.
TRAINING = dict.fromkeys(
    (
        *("training.log_every", "training.checkpoint_every", "training.keep"),
        *("training.keep_steps", "training.execution", "training.diverged"),
    ),
    "nothing is trained here",
)
# Of comparisons.
COMPARING = dict.fromkeys(("baseline", "sampling.metrics"), "experiments.compare has a use for it")


def refuse_unused(unused: Mapping[str, str]) -> None:
    """Refuses fields that the command line gives and the command does not use.

    Args:
        unused: full name of a field -> what to do instead.

    Raises:
        UserError: one is given.
    """
    for field in overridden():
        if field in unused:
            raise UserError(f"--config.{field} would change nothing here: {unused[field]}.")


def refuse_several(config: ConfigDict) -> None:
    """Raises UserError if the command line gives several solvers or steps, of which one counts."""
    for field in ("solvers", "steps"):
        if f"sampling.{field}" in overridden() and len(config.sampling[field]) > 1:
            raise UserError(f"--config.sampling.{field} names several, and one is used: name it.")


def is_given(name: str) -> bool:
    """Whether an option is on the command line."""
    return bool(flags.FLAGS[name].present)
