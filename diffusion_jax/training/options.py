"""The numbers of a training that its arms share."""

import dataclasses

from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, one_of

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
        if not 0 <= self.seed < LARGEST:
            raise UserError(f"seed must be from 0 to {LARGEST - 1}, got {self.seed}.")
        counts = ("steps", "batch_size", "microbatches", "log_every", "checkpoint_every", "keep")
        for name in counts:
            if not 1 <= (number := getattr(self, name)) < LARGEST:
                raise UserError(f"training.{name} must be at least 1 (and < 2^31), got {number}.")
        one_of(self.execution, EXECUTIONS, "training.execution")
        one_of(self.diverged, ("stop", "drop"), "training.diverged")
        if not 0 <= self.condition_dropout <= 1:
            raise UserError(
                f"training.caption_dropout is a share from 0 to 1, got {self.condition_dropout}."
            )

    @staticmethod
    def of(config: ConfigDict) -> "Options":
        """Those of a config, see `configs/base.py`."""
        training = config.training
        same = {field.name for field in dataclasses.fields(Options)} & set(training)
        return Options(
            **{name: training[name] for name in sorted(same)},
            seed=config.seed,
            flip=config.flip,
            condition_dropout=training.caption_dropout,
        )
