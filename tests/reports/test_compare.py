"""Comparing from Python gives the numbers of the command, with any metric of one's own."""

import csv
import dataclasses
import math
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
import optax
import pytest

from configs import two_dimensions
from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.metrics import Measured, Real, mean
from diffusion_jax.metrics.base import check_metric
from diffusion_jax.process.objective import Objective
from diffusion_jax.reports.compare import Result, compare
from diffusion_jax.sampling.checks import check_solver
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Denoise, Noise, OneStep, State
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.load import load_run
from diffusion_jax.training.train import train
from diffusion_jax.training.trained import TrainedArm, load_arms
from experiments import compare as command
from tests.annotations import unchecked


@dataclasses.dataclass(frozen=True)
class Spread:
    """How far samples are from the origin."""

    unit: ClassVar[str] = "units"
    lower_is_better: ClassVar[bool] = True

    def needs(self, count: int, real: Real) -> str | None:
        return None

    def __call__(self, pictures: np.ndarray, captions: tuple[str, ...], real: Real) -> Measured:
        lengths = np.linalg.norm(pictures, axis=1)
        mean, error = float(lengths.mean()), float(lengths.std() / len(lengths) ** 0.5)
        # Not symmetric, so that both ends must come through.
        return Measured(mean, mean - 3 * error, mean + error, len(lengths), error)


class Wind(Spread):
    """How far samples are from the real examples whose condition they have."""

    def __call__(self, pictures: np.ndarray, captions: tuple[str, ...], real: Real) -> Measured:
        return mean(np.linalg.norm(pictures - real.pictures, axis=1))


class Plain:
    """Neither a metric nor a solver."""


class Unregistered(OneStep):
    """A solver that nothing has made a pytree."""

    order, stochastic = 1, False

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        return state


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = two_dimensions.get_config()
    config.run_dir = str(tmp_path_factory.mktemp("compared") / "run")
    config.data, config.network = "two_moons(count=64, test_count=64)", "mlp(width=8, depth=1)"
    config.training.steps, config.training.batch_size = 2, 8
    config.sampling.steps, config.sampling.metrics = (2,), ("kernel",)
    config.sampling.count = config.sampling.judged_count = config.sampling.batch_size = 16
    command.compare(config)
    return Path(config.run_dir)


def compared(done: Path, **other: object) -> Result:
    data = datasets.make("two_moons(count=64, test_count=64)")
    grid = two_dimensions.get_config().sampling.grid
    settings = {"metrics": ("kernel",), "grid": grid, "steps": 2, "count": 16, "batch_size": 16}
    return compare(load_arms(done), data, **{**settings, **other})  # type: ignore[arg-type]


@pytest.mark.usefixtures("one_device")
def test_the_numbers_are_those_of_the_command(done: Path, tmp_path: Path) -> None:
    found = compared(done)
    page = found.save(tmp_path / "saved")
    assert page.read_text().count("One training seed") == 1
    tables = [
        list(csv.DictReader((folder / "results.csv").open()))
        for folder in (done, tmp_path / "saved")
    ]
    assert len(tables[0]) == len(found.table) > 0
    for row, own in zip(*tables, strict=True):
        assert {k: v for k, v in row.items() if k != "guidance"} == {
            k: v for k, v in own.items() if k != "guidance"
        }
    assert "nan" not in (done / "results.csv").read_text()
    assert found.verdict.startswith("No winner can be named")


@pytest.mark.usefixtures("one_device")
def test_a_metric_of_ones_own_judges_and_its_interval_survives(done: Path) -> None:
    found = compared(done, metrics=(Spread(), "kernel"), baseline="v")
    assert found.report.judged_by.metric == "Spread" and found.report.baseline == "v"
    rows = [row for row in found.table if row.metric == "Spread"]
    assert {row.arm for row in rows} == {"epsilon", "v", "edm"}
    for row in rows:
        assert row.low is not None and row.high is not None
        assert row.value - row.low == pytest.approx(3 * (row.high - row.value))
    (mean,) = (c.mean for c in found.differences if (c.arm, c.metric) == ("edm", "Spread"))
    assert math.isfinite(mean.value)


def test_a_network_of_ones_own_is_compared_under_its_condition() -> None:
    """A function that says its condition draws samples that are the test examples' conditions."""
    wind = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    functions = (
        lambda key, x0, condition: jax.numpy.zeros(()),
        lambda params, x, c_noise, condition, key: condition["wind"] + 0 * params,
    )
    arm = Arm("says", Objective.make("cosine", "x0"), functions, optimizer=optax.sgd(0.1))
    data = arrays(wind, wind=wind, held_out=0.5)
    trained = train(arm, data, steps=1, batch_size=8)
    found = compare(trained, data, steps=2, metrics=(Wind(),), count=8, batch_size=8)
    (row,) = (row for row in found.table if row.metric == "Wind")
    assert row.value == pytest.approx(0.0, abs=1e-5)


NETWORK = (
    lambda key, x0, condition: jax.numpy.zeros(x0.shape[1:]),
    lambda params, x, c_noise, condition, key: params + 0 * x,
)


def untrained(name: str) -> Arm:
    return Arm(name, Objective.make("cosine", "x0"), NETWORK, optimizer=optax.sgd(0.1))


def test_what_is_not_trained_is_trained_beside_what_is(tmp_path: Path) -> None:
    data = datasets.make("two_moons(count=64, test_count=64)")
    options = {"steps": 4, "batch_size": 8, "log_every": 2}
    quick = {"steps": 2, "count": 8, "batch_size": 8, "metrics": ("kernel",)}
    before = train(untrained("before"), data, run_dir=tmp_path / "run", **options)
    found = compare([before["before"], untrained("here")], data, training=options, **quick)
    assert [arm.name for arm in found.report.arms] == ["before", "here"]
    for arm in found.report.arms:  # the same draws, and so the same curve
        assert arm.losses is not None and arm.losses.steps.tolist() == [2, 4]
        np.testing.assert_allclose(arm.losses.loss, before["before"].curve["loss"], rtol=1e-6)
    loaded = load_run(tmp_path / "run", arms=untrained("before"))
    assert compare(loaded, data, **quick).report.arms[0].losses is not None
    with pytest.raises(UserError, match="Arm 'here' is not trained.*training={'steps'"):
        compare(untrained("here"), data, **quick)
    with pytest.raises(UserError, match="trained already: leave training out"):
        compare(before, data, training=options, **quick)
    with pytest.raises(UserError, match="no option|Unknown option.*Did you mean 'steps'"):
        compare(untrained("here"), data, training={"step": 4}, **quick)
    with pytest.raises(UserError, match="training needs 'batch_size'"):
        compare(untrained("here"), data, training={"steps": 4}, **quick)


@pytest.mark.usefixtures("one_device")
def test_members_in_a_dict_may_be_specs_and_what_is_not_measured_is_told(done: Path) -> None:
    metrics = {"mine": Spread(), "distance": "frechet", "words": "exact_match"}
    found = compared(done, solvers={"quick": "ddim"}, metrics=metrics)
    assert {row.sampling.solver for row in found.table if row.metric == "mine"} == {"quick"}
    (note,) = (each for each in found.notes if each.startswith("words will not be measured"))
    assert note in found.report.protocol["Not measured"]


def test_of_an_array_a_tenth_is_held_out_from_arms_that_have_not_seen_it() -> None:
    x0 = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    quick = {"steps": 2, "count": 4, "batch_size": 4, "metrics": (Spread(),)}
    options = {"steps": 1, "batch_size": 8}
    assert compare(untrained("a"), x0, training=options, **quick).table
    with pytest.raises(UserError, match="needs a Dataset.*where no arm is trained yet"):
        compare(train(untrained("a"), x0, **options), x0, **quick)
    with pytest.raises(UserError, match="no test examples"):
        compare(untrained("a"), arrays(x0, held_out=0.0), training=options, **quick)


def test_what_cannot_be_compared_is_refused(done: Path) -> None:
    with pytest.raises(UserError, match="no arms"):
        compare({}, datasets.make("two_moons"))
    with unchecked(), pytest.raises(UserError, match="dj.compare takes arms"):
        compare("edm", datasets.make("two_moons"))
    with unchecked(), pytest.raises(UserError, match="needs a Dataset.* not a ndarray"):
        compare(load_arms(done), np.zeros((4, 2), np.float32))
    with pytest.raises(UserError, match="Did you mean 'edm'"):
        compared(done, baseline="edn")
    with unchecked(), pytest.raises(UserError, match="'kernel' is no list of metrics"):
        compared(done, metrics="kernel")
    with pytest.raises(UserError, match="one name"):
        compared(done, metrics=(Spread(), Spread()))
    with pytest.raises(UserError, match="Spread is a class"):
        compared(done, metrics=(Spread,))
    with pytest.raises(UserError, match="Plain is no metric: it has no 'unit'"):
        check_metric(Plain())
    with pytest.raises(UserError, match="must be one of dj.solvers"):
        check_solver(Plain())
    with pytest.raises(UserError, match="Unregistered is no pytree"):
        compared(done, solvers=[Unregistered()])
    assert all(isinstance(arm, TrainedArm) for arm in load_arms(done).values())
