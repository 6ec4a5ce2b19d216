"""What became of a trial: its numbers, kept whole or not at all in the folder of its unit."""

import dataclasses
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from diffusion_jax.errors import UserError
from diffusion_jax.files import save
from diffusion_jax.sealed import read_lines, read_sealed, save_sealed, sealed_line
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.strict_json import from_null

FOLDER = "measured"
CURVE = "curve.jsonl"


@dataclasses.dataclass(frozen=True)
class Number:
    """One measured number.

    Attributes:
        solver: spec of the solver; "" for what needs no samples.
        steps: its steps.
        nfe: denoiser evaluations that a sample cost.
        metric: spec of the metric.
        value: the number; NaN where samples or errors were not finite.
        count: samples or pictures that it was measured on.
        error: standard error over them, None if unknown.
        low: lower end of its 95% interval, which need not be symmetric; None if unknown, as in
            files that are older than this field.
        high: upper end.
    """

    solver: str
    steps: int
    nfe: float
    metric: str
    value: float
    count: int
    error: float | None
    low: float | None = None
    high: float | None = None

    @staticmethod
    def of(solver: str, steps: int, nfe: float, metric: str, one: Estimate) -> "Number":
        """A number with its interval."""
        ends = (one.error, one.low, one.high)
        return Number(solver, steps, nfe, metric, one.value, one.count or 0, *ends)

    @property
    def estimate(self) -> Estimate:
        """The number with its interval."""
        return Estimate(self.value, self.low, self.high, self.count, self.error)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that was measured of a trained arm.

    Attributes:
        diverged: the step at which it was dropped; there are no numbers then.
        numbers: one for each metric and sampling.
        edges: of the bins of log-SNR, rising.
        bins: error in the noise of each held-out picture in each bin.
        bits: bound on the bits per dimension of each held-out picture.
        right: sampling and attribute -> whether each sample is as its caption says.
        pictures: the first samples where arms are judged; none where some samples
            were not finite.
        not_finite: sampling, or "held-out pictures" -> how many of them were not finite.
    """

    diverged: int | None
    numbers: tuple[Number, ...] = ()
    edges: tuple[float, ...] = ()
    bins: Float[np.ndarray, "count bins"] = dataclasses.field(
        default_factory=lambda: np.zeros((0, 0))
    )
    bits: Float[np.ndarray, "count"] = dataclasses.field(default_factory=lambda: np.zeros(0))
    right: Mapping[str, Bool[np.ndarray, "n"]] = dataclasses.field(default_factory=dict)
    pictures: UInt8[np.ndarray, "shown ..."] = dataclasses.field(
        default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8)
    )
    not_finite: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Held-out error in the noise of an arm during training.

    Attributes:
        steps: at each point.
        loss: mean over bins and pictures.
    """

    steps: Int[np.ndarray, "points"]
    loss: Float[np.ndarray, "points"]


def sampling_key(solver: str, steps: int) -> str:
    """How a sampling is called in `Outcome.right`."""
    return f"{solver}, {steps}"


def paths(unit: Path, key: str) -> tuple[Path, Path]:
    """The files of an outcome: numbers and arrays."""
    return unit / FOLDER / f"{key}.json", unit / FOLDER / f"{key}.npz"


def is_measured(unit: Path, key: str) -> bool:
    """Whether a trial has been measured."""
    return paths(unit, key)[0].exists()


def store(outcome: Outcome, unit: Path, key: str) -> None:
    """Writes an outcome; what others look for is written last."""
    numbers, arrays = paths(unit, key)
    content = io.BytesIO()
    named: dict[str, Any] = {f"right:{name}": values for name, values in outcome.right.items()}
    named |= {"bins": outcome.bins, "bits": outcome.bits, "pictures": outcome.pictures}
    np.savez_compressed(content, **named)
    save(content.getvalue(), arrays)
    document = {
        "diverged": outcome.diverged,
        "arrays": hashlib.sha256(content.getvalue()).hexdigest(),
        "edges": outcome.edges,
        "not_finite": outcome.not_finite,
        "numbers": [dataclasses.asdict(number) for number in outcome.numbers],
    }
    save_sealed(document, numbers)


def load(unit: Path, key: str) -> Outcome | None:
    """Reads an outcome; None if the trial has not been measured.

    Raises:
        UserError: it is damaged.
    """
    numbers, arrays = paths(unit, key)
    if not numbers.exists():
        return None
    remedy = "delete it to measure again"
    document: dict[str, Any] = read_sealed(numbers, remedy)
    try:
        rows = tuple(
            Number(**{**row, "value": from_null(row["value"])}) for row in document["numbers"]
        )
        content = arrays.read_bytes()
        # What older files do not say is not checked.
        if document.get("arrays", found := hashlib.sha256(content).hexdigest()) != found:
            raise ValueError("the arrays are not those that were written")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            right = {n.partition(":")[2]: file[n] for n in file.files if n.startswith("right:")}
            own = (file["bins"], file["bits"], right, file["pictures"])
        lost = document.get("not_finite", {})  # runs of before have none
        return Outcome(document["diverged"], rows, tuple(document["edges"]), *own, lost)
    except Exception as error:  # whatever numpy and zip make of damaged files
        raise UserError(f"{numbers} is damaged: {remedy}.") from error


def add_to_curve(unit: Path, step: int, losses: Mapping[str, float]) -> None:
    """Adds a point of every arm; a step that was seen before is replaced."""
    rows = [row for row in _rows(unit) if row["step"] < step]
    rows += [{"step": step, "arm": arm, "loss": loss} for arm, loss in losses.items()]
    save("".join(map(sealed_line, rows)), unit / CURVE)


def curve(unit: Path, arm: str) -> Curve:
    """The curve of an arm of a unit; empty if there is none."""
    rows = [row for row in _rows(unit) if row["arm"] == arm]
    steps = np.array([row["step"] for row in rows], int)
    return Curve(steps, np.array([from_null(row["loss"]) for row in rows], float))


def _rows(unit: Path) -> list[dict[str, Any]]:
    path = unit / CURVE
    return read_lines(path, "delete it to go on without it") if path.exists() else []
