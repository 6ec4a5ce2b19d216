"""Follows training: reads each step's numbers, refuses bad ones, logs and shows the rest."""

import math
from collections.abc import Callable
from typing import Any

import jax

from diffusion_jax.errors import UserError
from diffusion_jax.training.metrics import MetricsLog, Values
from diffusion_jax.training.progress import Advance
from diffusion_jax.training.step import Metrics


class Journal:
    """Takes the metrics of each step as soon as it is started.

    They are read when the next step has been started too, so that neither the host nor the device
    waits for the other.

    Args:
        log: where the numbers go.
        advance: shows that a step is done.
        last_good: says in one sentence what training can go back to.
    """

    def __init__(self, log: MetricsLog, advance: Advance, last_good: Callable[[], str]):
        self._log, self._advance, self._last_good = log, advance, last_good
        self._unread: tuple[int, dict[str, Metrics]] | None = None

    def add(self, step: int, metrics: dict[str, Metrics]) -> None:
        """Takes the metrics (arm -> name -> number on the device) of step `step`.

        Raises:
            UserError: a number of the step before is not finite.
        """
        self.settle()
        self._unread = step, metrics

    def settle(self) -> None:
        """Waits for the last step and reads its metrics.

        Raises:
            UserError: one of them is not finite.
        """
        if self._unread is None:
            return
        step, metrics = self._unread
        self._unread = None
        values = _read(metrics)
        self._refuse_non_finite(step, values)
        self._log.record(step, values)
        self._advance(_note(values))

    def position(self) -> list[Values]:
        """What a checkpoint must keep of the log; everything before is on disk."""
        self._log.sync()
        return list(self._log.pending)

    def _refuse_non_finite(self, step: int, values: Values) -> None:
        for arm, numbers in values.items():
            for name, number in numbers.items():
                if not math.isfinite(number):
                    raise UserError(
                        f"Arm {arm!r}: {name} is {number} at step {step}. {self._last_good()} "
                        "A lower learning_rate, or clip=1.0, in the optimizer may help."
                    )


def _read(metrics: dict[str, Any]) -> Values:
    host = jax.device_get(metrics)
    return {arm: {name: float(x) for name, x in row.items()} for arm, row in host.items()}


def _note(values: Values) -> str:
    losses = [row["loss"] for row in values.values()]
    return "loss " + ", ".join(f"{loss:.3g}" for loss in losses)
