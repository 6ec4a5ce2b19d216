"""What diffusers' schedulers mean by their settings, in terms of this library.

Three kinds of schedulers differ in what they step through. Those that step through integer labels
of a table have n rounded labels (`labels`); those of the DPM-Solver family have n + 1, of which
the last is dropped (`labels(..., extra=1)`); those that came from k-diffusion have fractional
labels (`fractional`), between which sigma/alpha is linear. The last two, and flows, then work on
sigmas (`noise_grid`, `flow_grid`), a list whose last entry is where the run ends.
"""

from tests.golden.diffusers.flows import flow_grid, flow_match_grid, flowing, misread
from tests.golden.diffusers.network import (
    Thresholded,
    data,
    outputs,
    prediction,
    recorded_prediction,
    threshold,
)
from tests.golden.diffusers.settings import Config, given, steps_of
from tests.golden.diffusers.spacing import (
    LAPLACE,
    exploding,
    fractional,
    inverse,
    label_of,
    labels,
    levels,
    nodes,
    noise_grid,
    ratios,
    respaced,
    respacing,
    schedule,
    start_scale,
    table,
)

__all__ = [
    "LAPLACE",
    "Config",
    "Thresholded",
    "data",
    "exploding",
    "flow_grid",
    "flow_match_grid",
    "flowing",
    "fractional",
    "given",
    "inverse",
    "label_of",
    "labels",
    "levels",
    "misread",
    "nodes",
    "noise_grid",
    "outputs",
    "prediction",
    "ratios",
    "recorded_prediction",
    "respaced",
    "respacing",
    "schedule",
    "start_scale",
    "steps_of",
    "table",
    "threshold",
]
