"""A comparison is a sweep of one seed: the same numbers, paired errors and sections."""

import csv
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from experiments import compare
from tests.sweeps import tiny

SWEEP = """
from diffusion_jax.sweeps import Sweep, axis


def get_sweep():
    return Sweep(axis("seed", 0), execution="apart")
"""


def config(folder: Path) -> ConfigDict:
    made = tiny.get_config()
    made.run_dir = str(folder)
    made.arms = {"cosine": {}, "flow": {"schedule": "rectified_flow"}}
    made.training.execution = "apart"
    made.sampling.metrics = ("exact_match", "kernel", "neighbour_ratio")
    return made


def table(folder: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of samples; held-out examples of a sweep are more."""
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ("arm", "seed", "solver", "solver_steps", "nfe", "guidance", "metric")
    return {tuple(row.pop(name) for name in names): row for row in rows if row["solver"]}


@pytest.mark.usefixtures("one_device")
def test_both_have_the_same_numbers_and_sections(tmp_path: Path) -> None:
    compare.compare(config(tmp_path / "compared"))
    file = tmp_path / "one.py"
    file.write_text(SWEEP)
    compare.sweep(config(tmp_path / "swept"), str(file))
    compared, swept = table(tmp_path / "compared"), table(tmp_path / "swept")
    assert compared == swept
    metrics = {key[-1]: row["difference_error"] for key, row in compared.items()}
    assert {name for name, error in metrics.items() if not error} == {"neighbour_ratio"}
    assert sum(name.startswith("right: ") for name in metrics) > 2
    leads = set()
    for folder in ("compared", "swept"):
        page = (tmp_path / folder / "report.html").read_text(encoding="utf-8")
        leads.add(page.split('<p class="lead">')[1].split("</p>")[0])
        for section in ("samples", "metrics", "tests", "schedules", "levels", "reverse", "data"):
            assert f'<section id="{section}">' in page, (folder, section)
        assert "Real examples with the same captions get" in page
    assert len(leads) == 1
