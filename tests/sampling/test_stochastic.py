"""Solvers that draw noise, by the exact mean and variance of what they return."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver, State, solvers
from diffusion_jax.verification.exact_levels import between, order_of, stack, thinned, with_clean
from diffusion_jax.verification.moments import exact_moments
from diffusion_jax.verification.moments import moments as moments_of
from diffusion_jax.verification.oracles import Gaussian
from tests.members import ONE_SCHEDULE_EACH, SOLVERS

pytestmark = pytest.mark.usefixtures("x64")

# The registered solvers that draw noise, and settings that make others do so.
STOCHASTIC = [spec for spec in SOLVERS if solvers.make(spec).stochastic]
STOCHASTIC += ["ddim(eta=1.0)", "ddim(eta=0.5)", "ancestral(variance=large)"]
STOCHASTIC += ["dpmpp_2s_ancestral(eta=0.5)", "dpmpp_sde(eta=0.7, r=0.6)"]
# Those of order 0 converge with a consistency function alone: see test_fewstep_solvers.py.
CONVERGING = [spec for spec in STOCHASTIC if solvers.make(spec).order > 0]
CHURN = ["edm(churn=20.0)", "dpm_2(churn=20.0)"]
# Discretisations of the SDE itself: right in the limit of small steps alone, and those which have
# a bias of their own (they state order 0) not even then.
OF_THE_SDE = ("euler_maruyama", "stochastic_heun", "reverse_diffusion", "predictor_corrector")
EXACT = [spec for spec in STOCHASTIC if spec.split("(")[0] not in OF_THE_SDE]
MEANS, STDS = np.array([0.7, 0.7, 0.7, 0.0]), np.array([0.0, 0.4, 1.3, 1.0])
POINT, UNIT = 0, 3  # which of these are data at a single point, and standard normal data
STEPS = (40, 80, 160)
ROUNDING = 1e-15


@functools.cache
def finest() -> list[Nodes]:
    """The grids with the most steps, one for each schedule."""
    return [between(schedules.make(spec), -6.0, 6.0, max(STEPS)) for spec in ONE_SCHEDULE_EACH]


@functools.cache
def padded() -> dict[int, Nodes]:
    """The grids of all schedules by step count, padded to one length with clean nodes."""
    longest = max(STEPS)
    return {
        steps: stack(
            [with_clean(thinned(grid, longest // steps), longest - steps + 1) for grid in finest()]
        )
        for steps in STEPS
    }


@functools.cache
def moments(spec: str, steps: int) -> tuple[np.ndarray, ...]:
    """Means and variances after each step, and the exact ones: (schedules, steps, dim) each."""
    data, nodes = Gaussian(jnp.asarray(MEANS), jnp.asarray(STDS)), padded()[steps]
    found = (*moments_of(solvers.make(spec), data, nodes), *exact_moments(data, nodes))
    return tuple(np.asarray(values)[:, : steps + 1] for values in found)


@pytest.mark.parametrize("spec", [*EXACT, *CHURN])
def test_means_are_exact(spec: str) -> None:
    mean, _, exact, _ = moments(spec, 40)
    np.testing.assert_allclose(mean, exact, atol=1e-10)


# DDPM's other variance is not meant for it, and an estimate of the noise that stays the same over
# a step is not what there is.
NOT_FOR_A_POINT = ("large", "dpm_solver", "seeds", "estimate=epsilon")


@pytest.mark.parametrize(
    "spec", [spec for spec in EXACT if not any(word in spec for word in NOT_FOR_A_POINT)]
)
def test_variance_is_exact_for_a_single_point_at_any_step_count(spec: str) -> None:
    _, variance, _, exact = moments(spec, 40)
    np.testing.assert_allclose(variance[..., POINT], exact[..., POINT], rtol=1e-9, atol=1e-12)


def test_large_variance_is_exact_for_standard_normal_data() -> None:
    _, variance, _, exact = moments("ancestral(variance=large)", 40)
    preserving = [i for i, spec in enumerate(ONE_SCHEDULE_EACH) if is_preserving(spec)]
    assert len(preserving) >= 4
    # The very last step returns the mean, without noise.
    found = variance[preserving, :-1, UNIT]
    np.testing.assert_allclose(found, exact[preserving, :-1, UNIT], rtol=1e-9)


def is_preserving(spec: str) -> bool:
    level = schedules.make(spec).level(jnp.array([0.5]))
    return bool(jnp.abs(level.alpha**2 + level.sigma**2 - 1)[0] < 1e-9)


@pytest.mark.parametrize("spec", [*CONVERGING, *CHURN])
def test_variance_converges_at_the_stated_order(spec: str) -> None:
    errors = []
    for steps in STEPS:
        _, variance, _, exact = moments(spec, steps)
        # The last step goes to clean data whatever the step count.
        off = np.abs(variance[:, :-1, 1:3] / exact[:, :-1, 1:3] - 1)
        errors.append(off.max(axis=(1, 2)) if spec in OF_THE_SDE else off[:, -1].ravel())
    slopes, stated = order_of(np.stack(errors), STEPS), solvers.make(spec).order
    if spec in OF_THE_SDE:  # in some clocks 40 steps are too few for the order to show
        _judge(slopes, stated)
        slopes = np.median(slopes)
    assert (np.abs(slopes - stated) < 0.3).all(), np.round(slopes, 2)


def _judge(slopes: np.ndarray, stated: int) -> None:
    """Nearly all schedules have the stated order at least, and all converge."""
    assert ((slopes > stated - 0.3).mean() > 0.9) and (slopes > 0.2).all(), np.round(slopes, 2)


@pytest.mark.parametrize("spec", [spec for spec in CONVERGING if spec not in EXACT])
def test_means_converge_at_the_stated_order_at_least(spec: str) -> None:
    errors = []
    for steps in STEPS:
        mean, _, exact, _ = moments(spec, steps)
        # Over the whole way: an error that changes its sign somewhere is small there by chance.
        errors.append(np.abs(mean[:, :-1, 1:3] - exact[:, :-1, 1:3]).max(axis=(1, 2)))
    found = np.stack(errors)
    seen = found[0] > 1e-10  # where alpha is constant or linear, there may be none
    assert seen.sum() > len(seen) / 2
    _judge(order_of(found[:, seen], STEPS), solvers.make(spec).order)


def test_corrections_of_a_fixed_size_leave_a_bias_of_the_size_of_snr_squared() -> None:
    for snr in (0.1, 0.3):
        _, variance, _, exact = moments(f"predictor_corrector(predictor=ancestral, snr={snr})", 160)
        bias = variance[:, -2, 1:3] / exact[:, -2, 1:3] - 1
        assert (np.abs(bias) < snr**2 + 0.02).all(), bias


def test_many_corrections_settle_at_the_marginal_but_for_that_bias() -> None:
    snr, mean, std = 0.3, 0.7, 0.4
    data = Gaussian(jnp.array([mean]), jnp.array([std]))
    node = jax.tree.map(lambda values: values[3], between(schedules.make("cosine"), -6.0, 6.0, 8))
    solver = solvers.make(f"predictor_corrector(predictor=None, snr={snr})")

    def corrected(x: float, z: float) -> float:
        state = State(jnp.full((1, 1), float(x)), jnp.zeros((1, 1)))
        moved = solver.step(state, node, node, data.denoise, lambda k: jnp.full((1, 1), float(z)))
        return float(moved.x[0, 0])

    origin = corrected(0, 0)
    kept, added = corrected(1, 0) - origin, corrected(0, 1) - origin
    exact = (float(node.level.alpha) * std) ** 2 + float(node.level.sigma) ** 2
    assert origin / (1 - kept) == pytest.approx(float(node.level.alpha) * mean)
    settled, share = added**2 / (1 - kept**2), (snr * float(node.level.sigma)) ** 2 / exact
    assert settled == pytest.approx(exact / (1 - share))


@jax.jit
def kicks(solver: Solver, nodes: Nodes) -> Array:
    """What a unit of noise changes in each step alone, (grids, steps)."""
    data = Gaussian(jnp.asarray(MEANS[1:2]), jnp.asarray(STDS[1:2]))
    x, z = jnp.ones((2, 1)), jnp.array([[1.0], [0.0]])

    def one(nodes: Nodes, index: Array) -> Array:
        state = solver.init(x, nodes)
        moved = solver.step(state, nodes[index], nodes[index + 1], data.denoise, lambda k: z).x
        return moved[0, 0] - moved[1, 0]

    steps = jnp.arange(nodes.time.shape[1] - 1)
    return jax.vmap(lambda nodes: jax.lax.map(lambda index: one(nodes, index), steps))(nodes)


def test_without_churn_noise_leaves_no_trace() -> None:
    nodes = stack([with_clean(thinned(grid, 4)) for grid in finest()])
    for spec in ("edm", "dpm_2", "ddim", "edm(churn=20, s_tmin=1e6)"):
        assert (np.abs(kicks(solvers.make(spec), nodes)) < ROUNDING).all()


def test_churn_respects_its_interval_in_sigma() -> None:
    nodes = stack([with_clean(thinned(grid, 4)) for grid in finest()])
    changed = kicks(solvers.make("edm(churn=20, s_tmin=0.5, s_tmax=2)"), nodes)
    ratio = np.asarray(nodes.level.sigma / nodes.level.alpha)[:, :-1]
    inside = (ratio >= 0.5) & (ratio <= 2)
    np.testing.assert_array_equal(np.abs(changed) > ROUNDING, inside)
