"""The metrics of training as rows: JSON lines for programs, TensorBoard for people.

`metrics.jsonl` holds one row per arm and logged step, `{"step", "arm", "loss", "grad_norm"}`,
each number the mean over the steps since the row before. Rows are sealed (see `sealed`). Nothing in
them depends on the clock or on interruptions: a run that was resumed leaves the same file as one
that was not.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.files import disk_errors, save
from diffusion_jax.sealed import read_lines, sealed_line
from diffusion_jax.strict_json import from_null

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

FILE = "metrics.jsonl"
Values = dict[str, dict[str, float]]
"""arm -> name of the metric -> value"""
Curves = dict[str, dict[str, list[float]]]
"""arm -> column (step, loss, grad_norm) -> values"""


class MetricsLog:
    """Collects the metrics of every step and writes their means.

    Args:
        folder: the run folder; None to write nothing, as all processes but one do, and to keep the
            rows in `curves` instead.
        every: steps per row.
        last: the last step of the run, which ends a row too.
        start: steps made so far; rows beyond them, left by a run that was cut off, are removed.
        pending: what `pending` was at step `start`.
    """

    def __init__(
        self, folder: Path | None, every: int, last: int, start: int, pending: Sequence[Values] = ()
    ):
        self._folder, self._every, self._last = folder, every, last
        self.pending: list[Values] = list(pending)
        """Metrics of the steps since the last row, JSON-able; a checkpoint keeps them."""
        self.curves: Curves = {}
        """The rows, where nothing is written."""
        self._writers: list[_Rows | _Board] = (
            [] if folder is None else [_Rows(folder, start), _Board(folder, start)]
        )

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers:
            writer.close()

    def record(self, step: int, values: Values) -> None:
        """Takes the metrics of step number `step` (from 1)."""
        self.pending.append(values)
        if step % self._every == 0 or step == self._last:
            with disk_errors(self._folder or Path()):
                self._write(step)

    def _write(self, step: int) -> None:
        # An arm may have been dropped since the row before.
        for arm in self.pending[-1]:
            mean = {
                name: float(np.mean([values[arm][name] for values in self.pending]))
                for name in self.pending[-1][arm]
            }
            for writer in self._writers:
                writer.write(step, arm, mean)
            if self._folder is None:
                _add(self.curves, arm, {"step": step, **mean})
        self.pending.clear()

    def sync(self) -> None:
        """Makes sure that all rows so far are on disk, as a checkpoint relies on them."""
        for writer in self._writers:
            writer.sync()


class _Rows:
    """The file of JSON lines."""

    def __init__(self, folder: Path, start: int):
        _truncate(folder / FILE, start)
        self._file = (folder / FILE).open("a", encoding="utf-8")

    def write(self, step: int, arm: str, values: dict[str, float]) -> None:
        self._file.write(sealed_line({"step": step, "arm": arm, **values}))
        self._file.flush()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class _Board:
    """TensorBoard event files, a folder per arm so that their curves lie over each other."""

    def __init__(self, folder: Path, start: int):
        self._folder, self._start = folder / "tensorboard", start
        self._writers: dict[str, "SummaryWriter"] = {}

    def write(self, step: int, arm: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer(arm).add_scalar(name, value, step)

    def _writer(self, arm: str) -> "SummaryWriter":
        if arm not in self._writers:
            from tensorboardX import SummaryWriter  # slow to import

            purge = self._start + 1 if self._start else None
            self._writers[arm] = SummaryWriter(str(self._folder / arm), purge_step=purge)
        return self._writers[arm]

    def sync(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _truncate(path: Path, step: int) -> None:
    """Removes the rows of steps after `step`, and a last row that was cut off."""
    if path.exists():
        kept = [row for row in _whole_rows(path) if row["step"] <= step]
        save("".join(map(sealed_line, kept)), path)


def _whole_rows(path: Path) -> list[dict[str, Any]]:
    """The rows but for one that was cut off; UserError if one is damaged."""
    remedy = "delete it to go on, without its past rows"
    rows = read_lines(path, remedy) if path.exists() else []
    if any({"step", "arm"} - row.keys() for row in rows):
        raise UserError(f"{path} is damaged: {remedy}.")
    return rows


def read_metrics(folder: Path) -> Curves:
    """Reads `metrics.jsonl` of a run folder as curves: arm -> column -> values.

    Columns are `step`, `loss` and `grad_norm`. Empty where nothing has been logged; NaN where a
    number was not finite.
    """
    curves: Curves = {}
    for row in _whole_rows(Path(folder) / FILE):
        arm = row.pop("arm")
        _add(curves, arm, {name: from_null(value) for name, value in row.items()})
    return curves


def _add(curves: Curves, arm: str, row: dict[str, float]) -> None:
    columns = curves.setdefault(arm, {})
    for name, value in row.items():
        columns.setdefault(name, []).append(value)
