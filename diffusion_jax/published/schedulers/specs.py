"""A released model's process in specs of this library, as cards of authors' checkpoints have it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from diffusion_jax.errors import UserError, nearest, shown
from diffusion_jax.process.preconditionings import Preconditioning, preconditionings
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.grids import Grid, Nodes, grids
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.thresholds import NoThreshold, Threshold, thresholds

KEYS = ("schedule", "prediction", "preconditioning", "threshold", "sigma_data")


@dataclasses.dataclass(frozen=True)
class ProcessInSpecs:
    """The process of a network that its authors released; see `ReleasedProcess`.

    Attributes:
        name: specs of its solver and grid.
        schedule: the process that the network was trained on.
        prediction: what the network predicts.
        preconditioning: what it sees of x and of the noise level.
        chosen: the solver of its paper.
        grid: that of its paper.
        sigma_data: standard deviation that it takes data to have.
        threshold: keeps estimates of x_0 within range.
        variance: None, as it tells none.
    """

    name: str
    schedule: Schedule
    prediction: Prediction
    preconditioning: Preconditioning
    chosen: Solver
    grid: Grid
    sigma_data: float = 1.0
    threshold: Threshold = dataclasses.field(default_factory=NoThreshold)
    variance: str | None = None

    def solver(self, steps: int) -> Solver:
        """The solver of its paper, whatever the number of steps."""
        return self.chosen

    def nodes(self, steps: int, tokens: int | None = None) -> Nodes:
        """The levels of the paper's grid; arguments as in `ReleasedProcess`.

        Raises:
            UserError: a number of steps that the grid cannot take.
        """
        return self.grid(self.schedule, steps)

    def start_scale(self, nodes: Nodes) -> float:
        """The noise of the first node."""
        return float(nodes.level.sigma[0])


def process_in_specs(told: Mapping[str, Any], solver: str, grid: str) -> ProcessInSpecs:
    """The process that specs are.

    Args:
        told: specs of a schedule, a prediction and a preconditioning, and if need be of a threshold
            and sigma_data.
        solver, grid: specs of what it is drawn by.

    Raises:
        UserError: one is missing, or is not known.

    >>> told = {"schedule": "edm", "prediction": "edm(sigma_data=0.5)", "preconditioning": "edm"}
    >>> process_in_specs(told | {"sigma_data": 0.5}, "edm", "karras").nodes(18).time.shape
    (19,)
    """
    for key in told:
        if key not in KEYS:
            raise UserError(f"A process has no {shown(key)}.{nearest(key, KEYS)}")
    for key in KEYS[:3]:
        if key not in told:
            raise UserError(f"A process needs a {key}.")
    return ProcessInSpecs(
        f"{solver} over {grid}",
        schedules.make(told["schedule"]),
        predictions.make(told["prediction"]),
        preconditionings.make(told["preconditioning"]),
        solvers.make(solver),
        grids.make(grid),
        float(told.get("sigma_data", 1.0)),
        thresholds.make(told.get("threshold", "none")),
    )
