"""What was measured, each metric with its protocol."""

import inspect
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from diffusion_jax.inference.measure import SAMPLING
from diffusion_jax.inference.numbers import PSNR, RIGHT, RMSE
from diffusion_jax.metrics import Metric
from diffusion_jax.metrics.heldout import BITS_PER_DIM, NOISE_ERROR
from diffusion_jax.reports.rows import Measurement, ReportMetric
from diffusion_jax.statistics.estimate import Estimate

NOTHING = ReportMetric("nothing", "Nothing measured", "lower")
ASKED = "{} held-out examples with their captions, noise and levels the same in all arms."
# Of what no metric measures: label, which is better, unit, and the protocol of so many.
KNOWN = {
    NOISE_ERROR: (
        *("Held-out error", "lower", ""),
        f"Mean square error in the noise over bins of the log-SNR that all arms share; {ASKED}",
    ),
    BITS_PER_DIM: (
        *("Bits per dimension", "lower", ""),
        f"Continuous-time variational bound over the log-SNR that all arms share; {ASKED}",
    ),
    PSNR: ("PSNR", "higher", "dB", "To the true example; {} samples."),
    RMSE: ("RMSE", "lower", "", "To the true example; {} samples."),
}


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

    def listed(name: str) -> ReportMetric:
        counts = sorted({row.count for row in rows if row.metric == name and row.count})
        of = " or ".join(f"{count:,}" for count in counts)
        if name in KNOWN:
            label, better, unit, protocol = KNOWN[name]
            unit = "values of a byte" if name == RMSE and PSNR in names else unit
            return ReportMetric(name, label, better, unit, protocol.format(of))
        if name.startswith(RIGHT):
            label = f"{name.removeprefix(RIGHT).capitalize()} right"
            said = f"As the data's checker reads {of} samples."
            return ReportMetric(name, label, "higher", "%", said)
        measure = made[name]
        better = "lower" if measure.lower_is_better else "higher"
        summary = (inspect.getdoc(type(measure)) or "").split("\n")[0].rstrip(".")
        said = f"{summary}. {of} samples; their seed is that of the training + {SAMPLING:,}."
        return ReportMetric(name, _label(name), better, measure.unit, said, floors.get(name))

    return tuple(map(listed, names)) or (NOTHING,)


def _label(name: str) -> str:
    """The heading of a metric that is called by its spec, or by its class.

    >>> _label("exact_match"), _label("copies(k=3)"), _label("RadiusError"), _label("FID")
    ('Exact match', 'Copies (copies(k=3))', 'Radius error', 'FID')
    """
    plain, _, settings = name.partition("(")
    words = re.sub(r"_|(?<=[a-z0-9])(?=[A-Z])", " ", plain).split(" ")
    label = " ".join(word if word.isupper() else word.lower() for word in words)
    return label[:1].upper() + label[1:] + (f" ({name})" if settings else "")
