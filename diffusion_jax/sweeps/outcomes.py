"""What became of a trial: its numbers, kept whole or not at all in the folder of its unit."""

import dataclasses
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from diffusion_jax.errors import UserError
from diffusion_jax.files import save
from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.metrics.heldout import BITS_PER_DIM, NOISE_ERROR
from diffusion_jax.metrics.measurement import PAIRINGS, Measured, Rate
from diffusion_jax.registry import parse
from diffusion_jax.sealed import read_lines, read_sealed, save_sealed, sealed_line
from diffusion_jax.strict_json import from_null

FOLDER = "measured"
CURVE = "curve.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number(Measured):
    """One measured number: NaN where samples or errors were not finite.

    Files that are older than intervals have an error alone.

    Attributes:
        solver: spec of the solver; "" for what needs no samples.
        steps: its steps.
        nfe: denoiser evaluations that a sample cost.
        metric: spec of the metric.
    """

    solver: str
    steps: int
    nfe: float
    metric: str

    @property
    def sampling(self) -> tuple[str, int]:
        """Solver and steps."""
        return self.solver, self.steps


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that was measured of a trained arm.

    Attributes:
        diverged: the step at which it was dropped; there are no numbers then.
        numbers: one for each metric and sampling.
        edges: of the bins of log-SNR, rising.
        bins: error in the noise of each held-out example in each bin.
        bits: bound on the bits per dimension of each held-out picture.
        shown: the first samples where arms are judged; of what is no picture, the first two
            numbers of all of them.
        missing: indices of those that were not finite.
        right: attribute -> whether each of those is as its caption says.
        trajectory: how some of them came out of noise, or None.
        not_finite: sampling, or "held-out pictures" -> how many of them were not finite.
        not_measured: metric -> why it has no number where arms are judged.
    """

    diverged: int | None
    numbers: tuple[Number, ...] = ()
    edges: tuple[float, ...] = ()
    bins: Float[np.ndarray, "count bins"] = dataclasses.field(
        default_factory=lambda: np.zeros((0, 0))
    )
    bits: Float[np.ndarray, "count"] = dataclasses.field(default_factory=lambda: np.zeros(0))
    shown: Shaped[np.ndarray, "shown ..."] = dataclasses.field(
        default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8)
    )
    missing: tuple[int, ...] = ()
    right: Mapping[str, Bool[np.ndarray, "shown"]] = dataclasses.field(default_factory=dict)
    trajectory: Trajectory | None = None
    not_finite: Mapping[str, int] = dataclasses.field(default_factory=dict)
    not_measured: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def by_example(self, metric: str) -> Float[np.ndarray, "count"] | None:
        """What a number of held-out examples is the mean of; None for other metrics."""
        found = {NOISE_ERROR: self.bins.mean(axis=1) if self.bins.size else None}
        return {**found, BITS_PER_DIM: self.bits}.get(metric)

    def number(self, sampling: tuple[str, int], metric: str) -> Number | None:
        """The number of one sampling and metric."""
        named = (n for n in self.numbers if (n.sampling, n.metric) == (sampling, metric))
        return next(named, None)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Held-out error in the noise of an arm during training.

    Attributes:
        steps: at each point.
        loss: mean over bins and examples.
    """

    steps: Int[np.ndarray, "points"]
    loss: Float[np.ndarray, "points"]


def sampling_key(solver: str, steps: int) -> str:
    """How a sampling is called in `Outcome.not_finite`."""
    return f"{solver}, {steps}"


def paths(unit: Path, key: str) -> tuple[Path, Path]:
    """The files of an outcome: numbers and arrays."""
    return unit / FOLDER / f"{key}.json", unit / FOLDER / f"{key}.npz"


def is_measured(unit: Path, key: str) -> bool:
    """Whether a trial has been measured."""
    return paths(unit, key)[0].exists()


def store(outcome: Outcome, unit: Path, key: str) -> None:
    """Writes an outcome; what others look for is written last.

    Raises:
        UserError: a metric of one's own pairs samples in a way that cannot be written.
    """
    numbers, arrays = paths(unit, key)
    content = io.BytesIO()
    np.savez_compressed(content, **_arrays(outcome))
    save(content.getvalue(), arrays)
    document = {
        "diverged": outcome.diverged,
        "arrays": hashlib.sha256(content.getvalue()).hexdigest(),
        "edges": outcome.edges,
        "missing": outcome.missing,
        "not_finite": outcome.not_finite,
        "not_measured": outcome.not_measured,
        "numbers": [
            {f: value for f, value in vars(number).items() if f != "pairing"}
            for number in outcome.numbers
        ],
    }
    save_sealed(document, numbers)


def _arrays(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {f"right:{SHOWN}{n}": ok for n, ok in outcome.right.items()}
    found |= {"bins": outcome.bins, "bits": outcome.bits, "pictures": outcome.shown}
    if outcome.trajectory:
        found |= {f"film:{name}": values for name, values in vars(outcome.trajectory).items()}
    for place, number in enumerate(outcome.numbers):
        if number.pairing is not None:
            kind = next((k for k, c in PAIRINGS.items() if isinstance(number.pairing, c)), None)
            if kind is None:
                raise UserError(
                    f"The metric {number.metric!r} cannot be measured in a sweep: it pairs samples "
                    f"by a {type(number.pairing).__name__}, which is not written to a file; "
                    f"{', '.join(c.__name__ for c in PAIRINGS.values())} are."
                )
            found |= {f"paired:{place}:{kind}:{n}": v for n, v in vars(number.pairing).items()}
    return found


SHOWN = "shown, "  # before an attribute of the samples that are shown


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
        content = arrays.read_bytes()
        # What older files do not say is not checked.
        if document.get("arrays", found := hashlib.sha256(content).hexdigest()) != found:
            raise ValueError("the arrays are not those that were written")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            named = {name: file[name] for name in file.files}
        return Outcome(
            document["diverged"],
            tuple(_number(row, place, named) for place, row in enumerate(document["numbers"])),
            tuple(document["edges"]),
            named["bins"],
            named["bits"],
            named["pictures"],
            tuple(document.get("missing", ())),
            {
                n.removeprefix(f"right:{SHOWN}"): values
                for n, values in named.items()
                if n.startswith(f"right:{SHOWN}") and n != f"right:{SHOWN}all"
            },
            Trajectory(*(named[f"film:{f.name}"] for f in dataclasses.fields(Trajectory)))
            if "film:log_snr" in named
            else None,
            document.get("not_finite", {}),
            document.get("not_measured", {}),
        )
    except Exception as error:  # whatever numpy and zip make of damaged files
        raise UserError(f"{numbers} is damaged: {remedy}.") from error


def _number(row: Mapping[str, Any], place: int, named: Mapping[str, Any]) -> Number:
    number = Number(**{**row, "value": from_null(row["value"])})
    parts = [n.split(":") for n in named if n.startswith(f"paired:{place}:")]
    if parts:
        arrays = {name: named[":".join((*start, name))] for *start, name in parts}
        values: dict[str, Any] = {n: a if a.ndim else float(a) for n, a in arrays.items()}
        return dataclasses.replace(number, pairing=PAIRINGS[parts[0][2]](**values))
    # As earlier versions kept it, of exact matches alone.
    right = named.get(f"right:{sampling_key(*number.sampling)}")
    if right is not None and parse(number.metric).name == "exact_match":
        return dataclasses.replace(number, pairing=Rate(right))
    return number


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
