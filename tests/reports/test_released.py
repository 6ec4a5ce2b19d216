"""Ways of drawing from a released model, held against many steps from the same noise."""

from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.reports import files, verdict
from diffusion_jax.reports.released import LATENT, Way, compare_ways
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.solvers import solvers
from experiments import compare_released

MODEL = Path(__file__).parents[1] / "published" / "data" / "unconditional"


@pytest.fixture(scope="module")
def model() -> ReleasedModel:
    return released(MODEL)


def way(model: ReleasedModel, name: str, solver: str) -> Way:
    grid = grids.make("karras")
    return Way(
        name,
        lambda steps: solvers.make(solver),
        lambda steps: grid(model.scheduler.schedule, steps),
        None,
        {"solver": solver},
    )


@pytest.fixture(scope="module")
def report(model):
    ways = [way(model, "first", "ddim"), way(model, "second", "dpmpp_2m")]
    return compare_ways(
        model, ways, [""] * 6, evaluations=(10, 40), reference_steps=120, batch_size=3
    )


def value(report, arm: str, cost: int) -> float:
    found = [
        row.value
        for row in report.measurements
        if (row.arm, row.metric) == (arm, LATENT) and row.sampling.nfe == cost
    ]
    return found[0]


def test_more_steps_and_a_higher_order_come_closer(report) -> None:
    for arm in ("first", "second"):
        assert value(report, arm, 40) < value(report, arm, 10)
    assert value(report, "second", 40) < value(report, "first", 40)


def test_it_is_said_with_an_interval_over_samples(report, tmp_path: Path) -> None:
    (pair,) = (c for c in report.comparisons if c.metric == LATENT and c.sampling.nfe == 40)
    assert pair.verdict == "better" and pair.difference.high < 0
    said = verdict.judge(report)
    assert said.lead.startswith("Better than the baseline first")
    assert "training" not in " ".join((said.lead, *said.details))
    page = files.write(report, tmp_path).read_text()
    assert "samples of one model" in page and "training seed" not in page


def test_the_same_way_under_two_names_is_identical(model) -> None:
    ways = [way(model, name, "ddim") for name in ("a", "b")]
    found = compare_ways(model, ways, ["", ""], evaluations=(3,), reference_steps=10)
    assert {pair.verdict for pair in found.comparisons} == {"identical"}
    assert all(np.isfinite(row.value) for row in found.measurements)


def test_the_command_writes_a_page(tmp_path: Path, capsys) -> None:
    compare_released.main(
        [
            f"--model={MODEL}",
            *("--way=ddim", "--way=dpmpp_2m, karras, 1.0", "--count=2", "--evaluations=3"),
            *("--reference-steps=6", f"--out={tmp_path}"),
        ]
    )
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report.html")
    assert (tmp_path / "results.csv").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--way=ddim",), "two ways"),
        (("--way=ddim", "--way=ddim"), "each once"),
        (("--way=ddim", "--way=ancestral"), "draws noise"),
        (("--way=ddim", "--way=heun, karras, much"), "no scale"),
        (("--way=ddim", "--way=a, b, c, d"), "must be a solver"),
        (("--way=ddim", "--way=heun", "--evaluations=x"), "such as 10,20"),
        (("--way=ddim", "--way=heun", "--count=1"), "--count must be from 2"),
        (("--way=ddim", "--way=heun", "--prompts=none.txt"), "none.txt"),
        (("--way=ddim", "--way=odd"), "odd"),
    ],
)
def test_mistakes_are_answered_in_a_line(tmp_path: Path, words, line) -> None:
    with pytest.raises(UserError, match=line):
        compare_released.main([f"--model={MODEL}", f"--out={tmp_path / 'out'}", *words])
    assert not (tmp_path / "out").exists()
