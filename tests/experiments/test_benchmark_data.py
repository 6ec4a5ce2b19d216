"""The benchmark of reading pictures, as far as it goes without PyTorch."""

from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from experiments import benchmark_data as benchmark
from experiments.data_speed import ours, problem


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "PER_SHARD", 6)
    monkeypatch.setattr(problem, "MOTIFS", 3)


@pytest.mark.usefixtures("small")
def test_a_missing_peer_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match=r"webdataset does not run in this environment: make bench"):
        benchmark.main(["--peers=false", "--rounds=1"])


@pytest.mark.usefixtures("small")
def test_ours_reads_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "PER_SHARD", 6)
    monkeypatch.setattr(ours, "BATCH", 4)
    paths = problem.write(tmp_path, 2)
    assert [path.name for path in paths] == ["000.tar", "001.tar"]
    colour = ours.loader(tmp_path, 16, 0)()
    assert colour.shape == (3,)
    assert np.abs(colour).max() < 0.1  # the pictures are grey on average


def test_the_page_says_what_was_measured() -> None:
    page = benchmark.markdown(
        [("64×64", *"1234", "0.90", "at least 1: MISSED")], [10**8, 2 * 10**8]
    )
    assert "| 64×64 | 1 | 2 | 3 | 4 | 0.90 | at least 1: MISSED |" in page
    assert "1,000 pictures takes 100 MB at its peak, and 10,000 take 200 MB" in page
