"""Grids made from grids."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import finite, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import (
    Grid,
    Nodes,
    append_clean,
    at_times,
    check_call,
    check_falls,
    grids,
    rises,
)
from diffusion_jax.sampling.grids.time import UniformGrid
from diffusion_jax.struct import Scalar, pytree


@grids.register("until_noisy")
@pytree
class UntilNoisy:
    """Another grid that ends on its last noisy node instead of clean data.

    N steps lead over the N + 1 noisy nodes that the grid has for N + 1 steps.

    Attributes:
        grid: the grid.

    Source: Lu et al. 2022 (DPM-Solver), section 3.4, where sampling ends at a time above 0.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = UntilNoisy(UniformGrid(t_end=0.5))(schedules.make("rectified_flow"), 2)
    >>> [float(sigma) for sigma in nodes.level.sigma]
    [1.0, 0.75, 0.5]
    """

    formula: ClassVar[str] = "node i of N = node i of grid with N + 1 steps, i = 0 … N"

    grid: Grid

    @property
    def rises(self) -> int:
        """As often as the grid."""
        return rises(self.grid)

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        return self.grid(schedule, steps + 1)[:-1]


def _shifted(grid: Grid, schedule: Schedule, steps: int, log_shift: Scalar) -> Nodes:
    nodes = grid(schedule, steps)[:-1]
    time = schedule.time(nodes.level.log_snr - 2 * log_shift)
    time = jnp.clip(time, schedule.t_min, schedule.t_max)
    check_falls(time, "a shift leads beyond the end of a schedule: shift the schedule instead")
    return append_clean(at_times(schedule, time))


@grids.register("shifted")
@pytree
class Shifted:
    """Another grid with its log-SNR lowered by 2 log(shift) at every node.

    On a straight path sigma becomes shift sigma/(1 + (shift - 1) sigma); on any, sigma/alpha
    becomes shift times as large. Nodes do not leave the schedule, so a grid that starts where
    some signal is left should be of a schedule that is shifted itself.

    Attributes:
        grid: the grid.
        shift: more than 1 takes more steps at high noise.

    Raises:
        UserError: when called, if the shift leads several nodes beyond the end of the schedule.

    Source: Esser et al. 2024 (SD3), eq. 23.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = Shifted(UniformGrid(), shift=3.0)(schedules.make("rectified_flow"), 2)
    >>> [round(float(sigma), 3) for sigma in nodes.level.sigma]
    [1.0, 0.75, 0.0]
    """

    formula: ClassVar[str] = "s_i = shift · s_i of grid, s = σ/α"

    grid: Grid = UniformGrid()
    shift: Scalar = 3.0

    def __post_init__(self) -> None:
        positive(self, "shift")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        return _shifted(self.grid, schedule, steps, jnp.log(self.shift))


@grids.register("dynamic_shift")
@pytree
class DynamicShift:
    """Another grid, shifted the more the larger the picture is.

    `shifted` with log(shift) = mu, where mu is linear in the number of tokens, between base_shift
    at base_tokens and max_shift at max_tokens.

    Attributes:
        grid: the grid.
        tokens: of the picture, its patches.
        base_shift: mu at base_tokens.
        max_shift: mu at max_tokens.
        base_tokens: of 256 × 256 pixels, for patches of 16.
        max_tokens: of 1024 × 1024 pixels.

    Source: Black Forest Labs 2024 (FLUX.1), after Esser et al. 2024 (SD3), section 5.3.2.

    >>> grid = DynamicShift(tokens=4096)
    >>> round(float(grid.mu), 3)
    1.15
    """

    formula: ClassVar[str] = (
        "s_i = exp(mu) · s_i of grid, mu = base_shift + (max_shift − base_shift) (tokens − "
        "base_tokens)/(max_tokens − base_tokens), s = σ/α"
    )

    grid: Grid = UniformGrid()
    tokens: Scalar = 1024
    base_shift: Scalar = 0.5
    max_shift: Scalar = 1.15
    base_tokens: Scalar = 256
    max_tokens: Scalar = 4096

    def __post_init__(self) -> None:
        positive(self, "tokens", "base_tokens", "max_tokens")
        finite(self, "base_shift", "max_shift")

    @property
    def mu(self) -> Scalar:
        """log(shift)."""
        part = (self.tokens - self.base_tokens) / (self.max_tokens - self.base_tokens)
        return self.base_shift + part * (self.max_shift - self.base_shift)

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        return _shifted(self.grid, schedule, steps, self.mu)
