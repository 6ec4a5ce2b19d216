"""DPM-Solver that chooses its own steps, by the difference of two orders."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import UserError, one_of, positive, within
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    AdaptiveState,
    Denoise,
    Noise,
    Solver,
    adds_noise,
    solvers,
)
from diffusion_jax.sampling.solvers.dpm.singlestep import (
    ESTIMATES,
    VARIANTS,
    Inner,
    second_order,
    third_order,
)
from diffusion_jax.sampling.solvers.dpm.step_control import StepControl
from diffusion_jax.sampling.solvers.exponential import X
from diffusion_jax.struct import Scalar, pytree, static

NORMS = ("sample", "largest", "rms")
SCALES = ("preserving", "exploding")


@pytree
class TrialState(AdaptiveState):
    """An `AdaptiveState` with what the next trial depends on.

    Attributes:
        h: length of the next trial step in lambda, (batch,).
        lower: the estimate of lower order at the last accepted step, (batch, ...).
        control: inverse errors of the last two accepted steps, (2, batch); zeros before.
    """

    h: Float[Array, "batch"]
    lower: Float[Array, "batch ..."]
    control: Float[Array, "2 batch"]


@pytree
class _Progress:
    """Where samples are between two nodes, on the scale on which errors are measured.

    Attributes:
        state: with x at that place.
        done: how much of the step lies behind, in lambda, (batch,).
        trials: how many there were.
    """

    state: TrialState
    done: Float[Array, "batch"]
    trials: Int[Array, ""]


@solvers.register("dpm_solver_adaptive")
@pytree
class DPMSolverAdaptive(Solver[TrialState]):
    """Steps of two orders at once, as long as their difference E stays within the tolerance.

    E² = mean(((high - low)/delta)²), delta = max(atol, rtol max(|low|, |low before|)); then the
    step is h ← h f(E), and counts if f is large enough (see `StepControl`). Each sample has steps
    of its own between two nodes of the grid, of which few are needed: the last but one is where the
    steps end, and from there it returns x_0.

    Attributes:
        order: 2 (DPM-Solver-12) or 3 (DPM-Solver-23), which is what a trial costs.
        estimate: "epsilon" is DPM-Solver, "x0" is DPM-Solver++.
        variant: as in `dpm_solver`.
        rtol: relative tolerance.
        atol: absolute tolerance, of data in [-1, 1].
        h_init: first step in lambda.
        proportional, integral, derivative: of the error's control.
        safety: factor of f.
        accept: the least f with which a step counts.
        limited: whether f goes through 1 + arctan(f - 1).
        norm: "sample" is as above; "largest" is the largest E of all samples, and "rms" their
            root mean square. Then all take the same steps, and depend on one another.
        scale: of the x whose errors are measured: "preserving", where x has the variance of data
            of variance 1, or "exploding", that of x/alpha.
        eta: noise put back after each step by making it go further, as in ancestral samplers.
        s_noise: standard deviation of that noise relative to the exact one.
        max_trials: between two nodes; the last one goes to the node whatever its error.

    Source: Lu et al. 2022 (DPM-Solver), appendix C.

    >>> DPMSolverAdaptive(max_trials=10).evaluations(2)
    31
    """

    formula: ClassVar[str] = (
        "E² = mean_dims ((high − low)/δ)², δ = max(atol, rtol max(|low|, |low before|)), h ← h "
        "f(E), low and high steps of dpm_solver of two orders"
    )

    order: int = static(default=3)
    estimate: str = static(default="epsilon")
    variant: str = static(default="midpoint")
    rtol: Scalar = 0.05
    atol: Scalar = 0.0078
    h_init: Scalar = 0.05
    proportional: Scalar = 0.0
    integral: Scalar = 1.0
    derivative: Scalar = 0.0
    safety: Scalar = 0.9
    accept: Scalar = 0.9
    limited: bool = static(default=False)
    norm: str = static(default="sample")
    scale: str = static(default="preserving")
    eta: Scalar = 0.0
    s_noise: Scalar = 1.0
    max_trials: int = static(default=200)

    adaptive = True
    needs_signal = True

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.eta, self.s_noise)

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise UserError(f"solver 'dpm_solver_adaptive' has orders 2 and 3, not {self.order}.")
        for word, words, what in (
            (self.estimate, ESTIMATES, "estimate"),
            (self.variant, VARIANTS, "variant"),
            (self.norm, NORMS, "norm"),
            (self.scale, SCALES, "scale"),
        ):
            one_of(word, words, f"{what} of solver 'dpm_solver_adaptive'")
        positive(self, "rtol", "atol", "h_init", "safety", "accept", "max_trials")
        within(self, 0, float("inf"), "eta", "s_noise")

    @property
    def control(self) -> StepControl:
        """What makes the next step of an error."""
        terms = self.proportional, self.integral, self.derivative
        # The errors of a step with noise are of lower order in h.
        order = jnp.where(self.eta > 0, 1.5, self.order)
        return StepControl(*terms, order, self.safety, self.accept, self.limited)

    def evaluations(self, steps: int) -> int:
        return 1 + (steps - 1) * self.max_trials * self.order

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> TrialState:
        batch = x.shape[:1]
        return TrialState(
            x,
            jnp.zeros_like(x),
            jnp.zeros(batch, int),
            jnp.broadcast_to(jnp.asarray(self.h_init, x.dtype), batch),
            x / self._unit(nodes[0].level),
            jnp.zeros((2, *batch), x.dtype),
        )

    def step(
        self, state: TrialState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> TrialState:
        def onto_data() -> TrialState:
            x0 = denoise(state.x, here.level)
            rest = state.evaluations + 1, state.h, state.lower, state.control
            return TrialState(there.level.alpha * x0, x0, *rest)

        def onto_noise() -> TrialState:
            return self._travel(state, here.level, there.level, denoise, noise)

        return jax.lax.cond(there.level.sigma > 0, onto_noise, onto_data)

    def _unit(self, level: Level) -> Array:
        """What x is divided by to be on the scale of the errors."""
        return level.alpha if self.scale == "exploding" else jnp.hypot(level.alpha, level.sigma)

    def _level(self, half_log_snr: Float[Array, "batch"]) -> Level:
        """The level at lambda on that scale."""
        if self.scale == "exploding":
            return Level(jnp.ones_like(half_log_snr), jnp.exp(-half_log_snr))
        return Level.from_log_snr(2 * half_log_snr)

    def _travel(
        self, state: TrialState, start: Level, end: Level, denoise: Denoise, noise: Noise
    ) -> TrialState:
        """From one noisy node to another."""
        first, last = start.log_snr / 2, end.log_snr / 2
        whole, direction = jnp.abs(last - first), jnp.sign(last - first)

        def unfinished(at: _Progress) -> Array:
            return jnp.any(at.done < whole) & (at.trials < self.max_trials)

        def trial(at: _Progress) -> _Progress:
            old, rest = at.state, whole - at.done
            final = at.trials == self.max_trials - 1
            active = rest > 0
            # Samples that have arrived wait for the others: what they step to is not used.
            h = jnp.where(active, jnp.where(final, rest, jnp.minimum(old.h, rest)), 0.1)
            here = first + direction * at.done
            there = here + direction * h
            target = self._further(here, there, last)
            x0, lower, x = self._both(old.x, here, target, denoise)
            factor, good, control = self.control(self._error(lower, x, old.lower), old.control)
            counts, h_next = active & (good | final), h * factor
            # A step that a node cut short says little of how long the next may be.
            h_next = jnp.where(counts & (h < old.h), jnp.maximum(h_next, old.h), h_next)
            x = self._noised(x, target, there, noise(at.trials))
            asked = old.evaluations + jnp.where(active, self.order, 0)

            def chosen(use: Array, new: Array, old: Array) -> Array:
                return jnp.where(use.reshape(-1, *[1] * (new.ndim - 1)), new, old)

            moved = TrialState(
                chosen(counts, x, old.x),
                chosen(active, x0, old.denoised),
                asked,
                jnp.where(active, h_next, old.h),
                chosen(counts, lower, old.lower),
                jnp.where(counts, control, old.control),
            )
            done = jnp.where(counts, jnp.where(h >= rest, whole, at.done + h), at.done)
            return _Progress(moved, done, at.trials + 1)

        x = state.x / self._unit(start)
        begun = TrialState(x, *_all_but_x(state))
        nothing = jnp.zeros(x.shape[:1], x.dtype)
        arrived = jax.lax.while_loop(
            unfinished, trial, _Progress(begun, nothing, jnp.zeros((), int))
        )
        x = self._unit(end) * arrived.state.x
        return TrialState(x, *_all_but_x(arrived.state))

    def _both(
        self, x: X, here: Float[Array, "batch"], there: Float[Array, "batch"], denoise: Denoise
    ) -> tuple[X, X, X]:
        """x_0 at the start of a trial step, and where steps of the lower and higher order lead."""
        ends = self._level(here), self._level(there)
        x0 = denoise(x, ends[0])
        inner = Inner(1 / self.order, 2 / 3, self.variant)
        scheme = second_order if self.order == 2 else third_order
        return x0, *scheme(self.estimate, x, x0, ends, denoise, inner)

    def _error(self, lower: X, x: X, before: X) -> Float[Array, "batch"]:
        size = jnp.maximum(jnp.abs(lower), jnp.abs(before))
        relative = (x - lower) / jnp.maximum(self.atol, self.rtol * size)
        square = jnp.mean(relative.reshape(x.shape[0], -1) ** 2, axis=1)
        if self.norm == "largest":
            square = jnp.broadcast_to(jnp.max(square), square.shape)
        elif self.norm == "rms":
            square = jnp.broadcast_to(jnp.mean(square), square.shape)
        return jnp.sqrt(square)

    def _further(
        self, here: Float[Array, "batch"], there: Float[Array, "batch"], last: Float[Array, ""]
    ) -> Float[Array, "batch"]:
        """Where a step goes, so that noise brings it back to `there`; in lambda."""
        # s_down² = s² - min(s, eta s sqrt(1 - s²/s_t²))², for s = sigma/alpha = e^-lambda.
        part = self.eta * jnp.sqrt(jnp.maximum(-jnp.expm1(2 * (here - there)), 0))
        down = there - jnp.log1p(-(jnp.minimum(part, 1) ** 2)) / 2
        return jnp.where(self.eta > 0, jnp.minimum(down, last), there)

    def _noised(
        self, x: X, target: Float[Array, "batch"], there: Float[Array, "batch"], noise: X
    ) -> X:
        """x at `target` brought to the level of `there`, by noise."""
        low, level = self._level(target).like(x), self._level(there).like(x)
        added = (level.noise_to_signal) ** 2 - low.noise_to_signal**2
        spread = self.s_noise * jnp.sqrt(jnp.maximum(added, 0))
        return level.alpha * (x / low.alpha + spread * noise)


def _all_but_x(state: TrialState) -> tuple[Array, Array, Array, Array, Array]:
    return state.denoised, state.evaluations, state.h, state.lower, state.control
