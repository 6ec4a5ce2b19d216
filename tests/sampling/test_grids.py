"""Grids: where the nodes are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import rate, schedules
from diffusion_jax.sampling.grids import Grid, Nodes, append_clean, at_times, grids, make, rises
from tests.golden.load import Case, cases
from tests.members import CLEAN_GRIDS, GRIDS, ONE_SCHEDULE_EACH, optimized
from tests.sampling.exact import compiled

each_grid = pytest.mark.parametrize("grid", optimized(GRIDS, "beta"))
RECORDED_ENDS = "sigma_min=0.01, sigma_max=80.0"


REFUSALS = ("no level", "different labels", "different times", "no whole stride")


process_of = functools.cache(schedules.make)
steps_of = jax.jit(lambda nodes: nodes.steps)


@functools.cache
def ends_of(schedule: str) -> tuple[np.ndarray, np.ndarray]:
    """The least noisy and the noisiest time."""
    process = process_of(schedule)
    return np.asarray(process.t_min), np.asarray(process.t_max)


def served(grid: str, schedule: str, steps: int) -> Nodes | None:
    """The nodes, or None where the grid says clearly that it has no such nodes."""
    try:
        return make(grids.make(grid), process_of(schedule), steps)
    except UserError as refusal:
        if not any(word in str(refusal) for word in REFUSALS):
            raise
        return None


@pytest.mark.parametrize("steps", [1, 10, 1000])
@each_grid
def test_nodes_go_from_noise_to_clean_data(grid: str, steps: int) -> None:
    count = 0
    for spec in ONE_SCHEDULE_EACH:
        process, nodes = process_of(spec), served(grid, spec, steps)
        if nodes is None:
            continue
        count += 1
        counted, nodes = int(steps_of(nodes)), jax.tree.map(np.asarray, nodes)
        time, alpha, sigma = nodes.time, nodes.level.alpha, nodes.level.sigma
        assert time.shape == alpha.shape == sigma.shape == (steps + 1,), spec
        assert counted == steps, spec
        if grid in CLEAN_GRIDS:
            assert (alpha[-1], sigma[-1]) == (1, 0), spec
            noisy = slice(0, -1)
        else:
            noisy = slice(0, None)
        assert (sigma[noisy] > 0).all(), spec
        ratio = sigma / np.maximum(alpha, 1e-30)
        up = np.diff(ratio) > 0
        assert up.sum() == rises(grids.make(grid)), spec
        assert (np.diff(time[noisy])[~up[: noisy.stop]] < 0).all(), f"a time twice: {spec}"
        assert (np.diff(ratio)[~up] < 0).all(), f"a level twice: {spec}"
        low, high = (end.astype(time.dtype) for end in ends_of(spec))
        assert low <= time[noisy].min(), spec
        assert time[0] <= high, spec
        for values in (alpha, sigma, nodes.rate.alpha, nodes.rate.sigma):
            assert np.isfinite(values).all(), spec
        there = jnp.asarray(time[noisy])
        plain = process.level(there)
        # A last bit may depend on a number's place in its vector.
        close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7, err_msg=spec)
        close(alpha[noisy], plain.alpha)
        close(sigma[noisy], plain.sigma)
        if steps == 10:  # a rate costs as much as the whole grid
            plain = rate(process, there)
            close(nodes.rate.alpha[noisy], plain.alpha)
            close(nodes.rate.sigma[noisy], plain.sigma)
    assert count >= len(ONE_SCHEDULE_EACH) / 2 or (grid, steps) in SELDOM


# Grids that cannot serve most schedules with so many steps, as they tell.
SELDOM = {
    ("leading(offset=1, extra=1)", 1000),  # more labels than there are
    ("iddpm", 1000),
    ("quadratic", 1000),
    ("shifted", 1000),  # most schedules end before their signal does
    ("dynamic_shift", 1000),
    ("restart(times=1)", 1),  # nowhere to restart from
}


@each_grid
def test_padding_repeats_the_last_node(grid: str) -> None:
    nodes = make(grids.make(grid), schedules.make("cosine"), 5)
    padded = nodes.pad(9)
    assert padded.time.shape == (10,)
    assert int(padded.steps) == 5
    np.testing.assert_array_equal(padded.level.sigma[:6], nodes.level.sigma)
    assert (padded.level.sigma[5:] == nodes.level.sigma[5]).all()
    assert (padded.level.alpha[5:] == nodes.level.alpha[5]).all()
    with pytest.raises(UserError, match="cannot pad 5 steps to 4"):
        nodes.pad(4)


@each_grid
@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_refused(grid: str, steps: int) -> None:
    with pytest.raises(UserError, match="at least 1 step"):
        make(grids.make(grid), schedules.make("cosine"), steps)


def test_trailing_has_only_so_many_labels() -> None:
    with pytest.raises(UserError, match="only 10 times"):
        make(grids.make("trailing(train_steps=10)"), schedules.make("cosine"), 11)


def recorded_grids(name: str) -> list[Case]:
    return [c for c in cases("k_diffusion", "schedules") if c.kwargs["name"] == name]


@pytest.mark.usefixtures("x64")
class TestRecorded:
    @pytest.mark.parametrize("schedule", ["edm(sigma_min=0.001, sigma_max=100)", "vp_linear"])
    @pytest.mark.parametrize("recorded", recorded_grids("karras"), ids=repr)
    def test_karras_on_any_schedule_is_k_diffusions(self, recorded: Case, schedule: str) -> None:
        grid = grids.make(f"karras(rho={recorded.kwargs['rho']}, {RECORDED_ENDS})")
        self.compare(grid, schedule, recorded)

    @pytest.mark.parametrize("schedule", ["edm(sigma_min=0.001, sigma_max=100)", "cosine"])
    @pytest.mark.parametrize("recorded", recorded_grids("exponential"), ids=repr)
    def test_log_snr_is_k_diffusions_exponential(self, recorded: Case, schedule: str) -> None:
        low, high = (recorded.kwargs[end] for end in ("sigma_min", "sigma_max"))
        grid = grids.make(f"log_snr(sigma_min={low}, sigma_max={high})")
        self.compare(grid, schedule, recorded)

    def compare(self, grid: Grid, schedule: str, recorded: Case) -> None:
        nodes = compiled(grid, schedules.make(schedule), recorded.kwargs["n"])
        found = np.asarray(nodes.level.sigma) / np.asarray(nodes.level.alpha)
        np.testing.assert_allclose(found, recorded["sigmas"], rtol=1e-9)

    @pytest.mark.parametrize("steps", [3, 400])
    def test_trailing_is_lin_2023_table_2(self, steps: int) -> None:
        # In float64: np.round(np.arange(1000, 0, -1000 / steps)) of the paper, less what it
        # appends past the end by rounding.
        labels = np.round(np.arange(1000, 0, -1000 / steps)[:steps])
        nodes = compiled(grids.make("trailing"), schedules.make("ddpm_linear"), steps)
        np.testing.assert_allclose(1000 * np.asarray(nodes.time)[:-1], labels, atol=1e-9)

    @pytest.mark.parametrize("family", ["DDIMScheduler", "DDPMScheduler"])
    def test_trailing_is_diffusers(self, family: str) -> None:
        found = [
            recorded["timesteps"]
            for recorded in cases("diffusers", family)
            if recorded.kwargs["config"].get("timestep_spacing") == "trailing"
        ]
        assert found
        for labels in found:
            nodes = compiled(grids.make("trailing"), schedules.make("ddpm_linear"), len(labels))
            np.testing.assert_allclose(1000 * np.asarray(nodes.time)[:-1] - 1, labels, atol=1e-9)

    def test_uniform_is_equal_steps_in_time(self) -> None:
        nodes = compiled(grids.make("uniform"), schedules.make("vp_linear"), 10)
        equal = np.linspace(1, 0, 11)[:-1]
        np.testing.assert_allclose(np.asarray(nodes.time)[:-1], equal, atol=1e-12)


def test_append_clean_keeps_what_is_there() -> None:
    nodes = at_times(schedules.make("edm"), jnp.array([3.0, 2.0]))
    clean = append_clean(nodes)
    assert clean.level.sigma.tolist() == [3.0, 2.0, 0.0]
    assert clean.level.alpha.tolist() == [1.0, 1.0, 1.0]
