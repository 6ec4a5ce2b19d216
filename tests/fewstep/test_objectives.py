"""What holds for every objective of few-step training."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import FewStep, Networks, TwoTimeNetwork, fewstep
from diffusion_jax.fewstep.base import jump
from diffusion_jax.fewstep.consistency_training import ConsistencyTraining
from diffusion_jax.fewstep.mean_flow import MeanFlow
from diffusion_jax.fewstep.straight import StraightPath
from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry

OBJECTIVES = [*fewstep, "continuous_consistency(teaches=True)"]
POINT = 0.3
each = pytest.mark.parametrize("spec", OBJECTIVES)
progresses = pytest.mark.parametrize("progress", [0.0, 0.6, 1.0])


def to_the_point(x: Array, level: Level) -> Array:
    """The denoiser of data at a single point."""
    return jnp.full_like(x, POINT)


def exact(objective: FewStep) -> TwoTimeNetwork:
    """The network that follows the flow to a single point exactly.

    An estimate is affine in what the network says, so that three of them tell what it should say.
    """
    if isinstance(objective, StraightPath):
        return lambda x, time, end: (x - POINT) / time[:, None]

    def network(x: Array, time: Array, end: Array) -> Array:
        def estimate(x: Array, network: TwoTimeNetwork) -> Array:
            return objective.estimate(network, x, time, jnp.zeros_like(time))

        # The network is shown x on another scale.
        shown: list[Array] = []
        estimate(jnp.ones_like(x), lambda x, t, r: shown.append(x) or x)
        x = x / shown[0]
        nothing, something = (estimate(x, lambda *_, v=v: jnp.full_like(x, v)) for v in (0.0, 1.0))
        slope = something - nothing
        return jnp.where(slope != 0, (POINT - nothing) / jnp.where(slope != 0, slope, 1), 0)

    return network


def draws(objective: FewStep, count: int = 64) -> tuple[Array, Array, Array]:
    keys = jax.random.split(jax.random.key(4), 3)
    x0 = jax.random.normal(keys[0], (count, 3))
    eps = jax.random.normal(keys[1], (count, 3))
    return x0, eps, jax.random.uniform(keys[2], (count, objective.draws))


def some(x: Array, time: Array, end: Array) -> Array:
    """A network like any other."""
    return jnp.tanh(x + jnp.cos(time + 2 * end)[:, None])


@functools.cache
def right_and_wrong(spec: str) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    """The losses of the exact network and of one that is off, at given draws and progress.

    Compiled once for all of the progress.
    """
    objective = fewstep.make(spec)

    def loss(network: TwoTimeNetwork, eps: Array, uniform: Array, progress: Array) -> Array:
        networks = Networks(network, exact(objective), to_the_point)
        return objective.loss(networks, jnp.full_like(eps, POINT), eps, uniform, progress)

    wrong = lambda x, t, r: exact(objective)(x, t, r) + 0.5  # noqa: E731
    return jax.jit(lambda *drawn: (loss(exact(objective), *drawn), loss(wrong, *drawn)))


@pytest.mark.usefixtures("x64")
@progresses
@each
def test_the_exact_flow_to_a_point_has_no_loss_and_others_have(spec: str, progress: float) -> None:
    _, *drawn = draws(fewstep.make(spec))
    right, wrong = map(np.asarray, right_and_wrong(spec)(*drawn, jnp.asarray(progress)))
    assert right.shape == (64,)
    # Consistency models have sigma_min of noise left where they end.
    assert (wrong > 0).all()
    assert right.mean() / wrong.mean() < 0.02


@each
def test_only_the_student_is_trained_and_samples_do_not_see_each_other(spec: str) -> None:
    objective = fewstep.make(spec)
    x0, eps, uniform = draws(objective)

    def loss(own: Array, others: Array, rows: slice) -> Array:
        networks = Networks(
            lambda x, t, r: own * some(x, t, r),
            lambda x, t, r: others * some(x, t, r),
            lambda x, level: others * to_the_point(x, level),
        )
        return objective.loss(networks, x0[rows], eps[rows], uniform[rows], jnp.asarray(0.5))

    @jax.jit
    def all_of_it(one: Array) -> tuple[tuple[Array, Array], Array, Array]:
        whole, some_rows = (functools.partial(loss, rows=rows) for rows in (slice(None), part))
        gradients = jax.grad(lambda a, b: whole(a, b).sum(), argnums=(0, 1))(one, one)
        return gradients, some_rows(one, one), whole(one, one)

    part = slice(10, 20)
    gradients, alone, among = all_of_it(jnp.ones(()))
    assert float(gradients[0]) != 0
    assert float(gradients[1]) == 0
    np.testing.assert_allclose(alone, among[part], rtol=1e-5)


@each
def test_every_time_is_finite_in_single_precision(spec: str) -> None:
    objective = fewstep.make(spec)
    x0, eps, _ = draws(objective, 81)
    ends = jnp.array([0.0, 0.5, 1 - 2.0**-24])
    uniform = jnp.stack(jnp.meshgrid(*[ends] * 4, indexing="ij"), -1).reshape(81, 4)
    uniform = uniform[:, : objective.draws]
    loss = jax.jit(functools.partial(objective.loss, Networks(some, some, to_the_point)))
    for progress in (0.0, 1.0):
        assert np.isfinite(loss(x0, eps, uniform, jnp.asarray(progress))).all()


@each
def test_a_jump_from_noise_is_finite_and_a_teacher_is_asked_for(spec: str) -> None:
    objective = fewstep.make(spec)
    x0, eps, uniform = draws(objective)
    start = jnp.full(64, objective.schedule.t_max, float)
    x = objective.schedule.level(start).sigma[:, None] * eps
    assert bool(jnp.isfinite(jump(objective, some, x, start, jnp.zeros(64))).all())
    if objective.teaches:
        with pytest.raises(UserError, match="teacher"):
            objective.loss(Networks(some, some), x0, eps, uniform, jnp.asarray(0.0))


class TestConsistencyTraining:
    def test_neighbours_are_those_of_edms_grid(self) -> None:
        training = ConsistencyTraining(first=8, last=8)
        grid = (0.002 ** (1 / 7) + np.arange(9) / 8 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
        neighbours = jax.jit(training.neighbours)
        low, high = neighbours(jnp.linspace(0, 0.999, 500), jnp.asarray(0.0))
        index = np.abs(np.log(np.asarray(low)[:, None] / grid)).argmin(axis=1)
        np.testing.assert_allclose(low, grid[index], rtol=1e-4)
        np.testing.assert_allclose(high, grid[index + 1], rtol=1e-4)

    def test_they_are_as_likely_as_the_paper_says(self) -> None:
        """erf((log s' - mean)/(std sqrt 2)) - erf((log s - mean)/(std sqrt 2)), up to scale."""
        from scipy.special import erf

        training = ConsistencyTraining(first=8, last=8)
        grid = (0.002 ** (1 / 7) + np.arange(9) / 8 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
        wanted = np.diff(erf((np.log(grid) + 1.1) / (2.0 * np.sqrt(2))))
        neighbours = jax.jit(training.neighbours)
        low, _ = neighbours(jnp.linspace(0, 0.99999, 20001), jnp.asarray(0.0))
        index = np.abs(np.log(np.asarray(low)[:, None] / grid)).argmin(axis=1)
        found = np.bincount(index, minlength=8) / len(index)
        np.testing.assert_allclose(found, wanted / wanted.sum(), atol=2e-4)


@pytest.mark.usefixtures("x64")
def test_mean_flows_right_side_is_the_papers() -> None:
    """v - (t - r) du/dt by finite differences along x + h v, t + h."""
    objective = MeanFlow(share=1.0, power=0.0)
    x0, eps, uniform = draws(objective)
    found = objective.loss(Networks(some, some), x0, eps, uniform, jnp.asarray(0.0))
    pair = np.sort(1 / (1 + np.exp(0.4 - np.asarray(jax.scipy.stats.norm.ppf(uniform[:, :2])))), 1)
    end, time = pair[:, 0], pair[:, 1]
    x, v = (1 - time)[:, None] * x0 + time[:, None] * eps, eps - x0
    h = 1e-5
    ahead, behind = (some(x + s * v, jnp.asarray(time + s), jnp.asarray(end)) for s in (h, -h))
    wanted = v - (time - end)[:, None] * (ahead - behind) / (2 * h)
    error = np.mean((some(x, jnp.asarray(time), jnp.asarray(end)) - wanted) ** 2, axis=1)
    np.testing.assert_allclose(found, error, rtol=1e-6)


REFUSED = (
    "consistency_training(sigma_min=0)",
    "consistency_training(first=0)",
    "consistency_distillation(intervals=0)",
    "consistency_distillation(solver=ancestral)",
    "easy_consistency(q=0.5)",
    "progressive(steps=0)",
    "mean_flow(share=2)",
    "continuous_consistency(warmup=0.0)",
    "reflow(steps=0)",
    "reflow(solver=ancestral)",
    "shortcut(finest=1)",
)


@pytest.mark.parametrize("spec", REFUSED)
def test_bad_settings_are_refused_in_one_line(spec: str) -> None:
    with pytest.raises(UserError):
        fewstep.make(spec)


def test_it_is_a_family() -> None:
    assert isinstance(fewstep, Registry)
    assert all(isinstance(fewstep.make(spec), FewStep) for spec in OBJECTIVES)
