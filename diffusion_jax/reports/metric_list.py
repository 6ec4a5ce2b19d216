"""What was measured, each metric with its protocol."""

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from diffusion_jax.inference.measure import SAMPLING
from diffusion_jax.inference.numbers import PSNR, RIGHT, RMSE
from diffusion_jax.metrics import Metric
from diffusion_jax.metrics.heldout import BITS_PER_DIM, NOISE_ERROR
from diffusion_jax.reports.content import Measurement, ReportMetric
from diffusion_jax.statistics.estimate import Estimate

NOTHING = ReportMetric("nothing", "Nothing measured", "lower")


def metric_list(
    rows: Sequence[Measurement],
    made: Mapping[str, Metric],
    floors: Mapping[str, Estimate] = MappingProxyType({}),
) -> tuple[ReportMetric, ...]:
    """The metrics of a long table; of an empty one, that nothing was measured.

    Args:
        rows: the table.
        made: name -> metric, of those that measure samples.
        floors: metric -> what real examples get.
    """
    names = dict.fromkeys(row.metric for row in rows)
    return tuple(_metric(n, rows, made, floors.get(n)) for n in names) or (NOTHING,)


def _metric(
    name: str,
    rows: Sequence[Measurement],
    made: Mapping[str, Metric],
    floor: Estimate | None,
) -> ReportMetric:
    counts = sorted({row.count for row in rows if row.metric == name and row.count})
    of = " or ".join(f"{count:,}" for count in counts)
    if name in (NOISE_ERROR, BITS_PER_DIM):
        return _of_held_out(name, of)
    if name in (PSNR, RMSE):
        byte = "values of a byte" if any(row.metric == PSNR for row in rows) else ""
        better, unit = ("higher", "dB") if name == PSNR else ("lower", byte)
        return ReportMetric(name, name.upper(), better, unit, f"To the true example; {of} samples.")
    if name.startswith(RIGHT):
        label = f"{name.removeprefix(RIGHT).capitalize()} right"
        return ReportMetric(
            name, label, "higher", "%", f"As the data's checker reads {of} samples."
        )
    measure = made[name]
    plain, _, settings = name.partition("(")
    label = plain.replace("_", " ").capitalize() + (f" ({name})" if settings else "")
    better = "lower" if measure.lower_is_better else "higher"
    summary = (inspect.getdoc(type(measure)) or "").split("\n")[0].rstrip(".")
    explanation = f"{summary}. {of} samples; their seed is that of the training + {SAMPLING:,}."
    return ReportMetric(name, label, better, measure.unit, explanation, floor)


def _of_held_out(name: str, count: str) -> ReportMetric:
    asked = f"{count} held-out examples with their captions, noise and levels the same in all arms"
    if name == NOISE_ERROR:
        what = "Mean square error in the noise over bins of the log-SNR that all arms share"
        return ReportMetric(name, "Held-out error", "lower", "", f"{what}; {asked}.")
    what = "Continuous-time variational bound over the log-SNR that all arms share"
    return ReportMetric(name, "Bits per dimension", "lower", "", f"{what}; {asked}.")
