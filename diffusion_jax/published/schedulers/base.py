"""What a released model is drawn from by: a scheduler of diffusers, or what a card says."""

from typing import Protocol, runtime_checkable

from diffusion_jax.process.preconditionings import Preconditioning
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.thresholds import Threshold


@runtime_checkable
class ReleasedProcess(Protocol):
    """The process that a released network was trained on, and how it is drawn from by default."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def schedule(self) -> Schedule:
        """The process that the network was trained on."""
        ...

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        ...

    @property
    def preconditioning(self) -> Preconditioning:
        """What it sees of x and of the noise level."""
        ...

    @property
    def threshold(self) -> Threshold:
        """Keeps estimates of x_0 within range."""
        ...

    @property
    def sigma_data(self) -> float:
        """Standard deviation that it takes data to have."""
        ...

    @property
    def variance(self) -> str | None:
        """How to read the variance that it tells, see `Denoiser`; None if it tells none."""
        ...

    def solver(self, steps: int) -> Solver:
        """The solver that takes so many steps."""
        ...

    def nodes(self, steps: int, tokens: int | None = None) -> Nodes:
        """The levels that it visits, (steps + 1,).

        Args:
            steps: how many.
            tokens: patches of a picture, on which some depend.
        """
        ...

    def start_scale(self, nodes: Nodes) -> float:
        """The standard deviation of the noise that a run starts from.

        Args:
            nodes: of the run.
        """
        ...
