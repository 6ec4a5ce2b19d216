"""Follows training: reads each step's numbers, refuses bad ones, logs and shows the rest."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.runs.metrics_log import MetricsLog, Values
from diffusion_jax.runs.progress import Advance
from diffusion_jax.runs.state import TrainState, all_finite

LISTED = 6  # arms that are named one by one
Metrics = Mapping[str, Mapping[str, Float[Array, ""]]]
"""Arm -> name -> number on the device"""


class Diverged(UserError):
    """No arm is left whose numbers are finite.

    Attributes:
        steps: arm -> the step at which it diverged.
    """

    def __init__(self, message: str, steps: Mapping[str, int]):
        super().__init__(message)
        self.steps = dict(steps)


class Journal:
    """Takes the metrics of each step as soon as it is started.

    They are read when the next step has been started too, so that neither the host nor the device
    waits for the other.

    Args:
        log: where the numbers go.
        advance: shows that a step is done.
        last_good: says in one sentence what training can go back to.
        arms: that are trained.
        drops: whether an arm whose numbers are no longer finite is dropped, and the others go on.
        diverged: arms that were dropped before, and the steps at which they were.
    """

    def __init__(
        self,
        log: MetricsLog,
        advance: Advance,
        last_good: Callable[[], str],
        arms: tuple[str, ...],
        drops: bool = False,
        diverged: Mapping[str, int] = MappingProxyType({}),
    ):
        self._log, self._advance, self._last_good = log, advance, last_good
        self._arms, self._drops = arms, drops
        self.diverged = dict(diverged)
        """Arm -> the step at which it was dropped."""
        self._unread: tuple[int, Metrics] | None = None

    @property
    def dropped(self) -> frozenset[str]:
        """Arms that are no longer trained."""
        return frozenset(self.diverged)

    def add(self, step: int, metrics: Metrics) -> None:
        """Takes the metrics of step `step`.

        Raises:
            Diverged: a number of the step before is not finite, and no other arm can go on.
        """
        self.read()
        self._unread = step, metrics

    def read(self) -> None:
        """Waits for the last step and reads its metrics.

        Raises:
            Diverged: one of them is not finite, and no other arm can go on.
        """
        if self._unread is None:
            return
        step, metrics = self._unread
        self._unread = None
        values = _read(metrics)
        for arm, numbers in values.items():
            # One that was dropped may have been stepped once more before that was known.
            if arm not in self.diverged:
                for name, number in numbers.items():
                    if not math.isfinite(number):
                        self._lose(arm, step, f"{name} is {number} at step {step}")
                        break
        values = {arm: row for arm, row in values.items() if arm not in self.diverged}
        self._log.record(step, values)
        self._advance(_note(values))

    def inspect(self, step: int, states: Mapping[str, TrainState]) -> None:
        """Looks at the states after step `step`, before they are saved.

        Raises:
            Diverged: a parameter is not finite, and no other arm can go on.
        """
        for arm, state in states.items():
            if arm not in self.diverged and not all_finite(state):
                self._lose(arm, step, f"parameters are not finite after step {step}")

    def position(self) -> dict[str, Any]:
        """What a checkpoint must keep of the log; everything before is on disk."""
        self._log.sync()
        return {"log": list(self._log.pending), "diverged": dict(self.diverged)}

    def _lose(self, arm: str, step: int, what: str) -> None:
        """Drops an arm; raises Diverged if none would be left, or none may be dropped."""
        if not self._drops or len(self.diverged) + 1 == len(self._arms):
            raise Diverged(
                f"Arm {arm!r}: {what}. {self._last_good()} "
                "A lower learning_rate, or clip=1.0, in the optimizer may help.",
                {**self.diverged, arm: step},
            )
        self.diverged[arm] = step


def _read(metrics: Metrics) -> Values:
    host = jax.device_get(metrics)
    return {arm: {name: float(x) for name, x in row.items()} for arm, row in host.items()}


def _note(values: Values) -> str:
    """
    >>> _note({"a": {"loss": 0.5}, "b": {"loss": 0.25}})
    'loss 0.5, 0.25'
    """
    losses = [row["loss"] for row in values.values()]
    if len(losses) > LISTED:
        return f"loss {min(losses):.3g} to {max(losses):.3g}"
    return "loss " + ", ".join(f"{loss:.3g}" for loss in losses)
