"""The numbers of a training that its arms share."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, one_of

COUNTS = {
    **dict.fromkeys(("steps", "batch_size", "microbatches", "log_every", "checkpoint_every"), 1),
    "keep": 1,
    "workers": 0,
}
"""What is counted, and the least that makes sense."""
EXECUTIONS = ("auto", "together", "apart")
LARGEST = 2**31  # more than counters on the device hold


@dataclasses.dataclass(frozen=True)
class Options:
    """How long and how training goes on, for all arms.

    Attributes:
        steps: updates of each arm.
        batch_size: examples of an update, over all devices.
        seed: of first parameters, the order of the data, noise and noise levels.
        microbatches: parts that a batch is taken in, to save memory.
        condition_dropout: share of examples that are shown without their condition.
        flip: whether half of the pictures are mirrored.
        workers: processes that read the data ahead; 0 reads it in this one.
        execution: "apart" trains arms in turn, "together" those that share a compiled step in one
            program, "auto" what is measured to be faster.
        diverged: "stop", or "drop" an arm whose numbers are no longer finite.
        log_every: steps between rows of the log.
        checkpoint_every: steps between checkpoints.
        keep: newest checkpoints that stay.
        keep_steps: steps whose checkpoints stay besides.

    Raises:
        UserError: a number or a choice that makes no sense.
    """

    steps: int
    batch_size: int
    seed: int = 0
    microbatches: int = 1
    condition_dropout: float = 0.0
    flip: bool = False
    workers: int = 0
    execution: str = "apart"
    diverged: str = "stop"
    log_every: int = 50
    checkpoint_every: int = 500
    keep: int = 2
    keep_steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check(vars(self))

    @staticmethod
    def of(config: ConfigDict) -> "Options":
        """Those of a config, see `configs/base.py`."""
        training = config.training
        same = {field.name for field in dataclasses.fields(Options)} & set(training)
        values = {
            **{name: training[name] for name in sorted(same)},
            "seed": config.seed,
            "flip": config.flip,
            "condition_dropout": training.caption_dropout,
        }
        _check(values, "training.", "caption_dropout")
        return Options(**values)


def _check(values: Mapping[str, Any], room: str = "", dropout: str = "condition_dropout") -> None:
    """Raises UserError for what makes no sense, under the names that the user knows."""
    seed = values["seed"]
    if not _is_whole(seed):
        raise UserError(f"seed must be a whole number, got {seed!r}.")
    if not 0 <= seed < LARGEST:
        raise UserError(f"seed must be from 0 to {LARGEST - 1}, got {seed}.")
    for name, least in COUNTS.items():
        if name in values:
            number = values[name]
            if not _is_whole(number):
                raise UserError(f"{room}{name} must be a whole number, got {number!r}.")
            if not least <= number < LARGEST:
                raise UserError(
                    f"{room}{name} must be at least {least} (and < 2^31), got {number}."
                )
    for name, choices in (("execution", EXECUTIONS), ("diverged", ("stop", "drop"))):
        if name in values:
            one_of(str(values[name]), choices, f"{room}{name}")
    share = values["condition_dropout"]
    if not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
        raise UserError(f"{room}{dropout} is a share from 0 to 1, got {share!r}.")
    steps = values.get("keep_steps", ())
    if not isinstance(steps, tuple | list) or not all(map(_is_whole, steps)):
        raise UserError(f"{room}keep_steps must be a tuple of whole numbers, got {steps!r}.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
