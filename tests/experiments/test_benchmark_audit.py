"""What the benchmark of the audit says of models whose copies are known."""

import numpy as np
import pytest

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import take, values_of
from diffusion_jax.errors import UserError
from diffusion_jax.metrics.audit import CopyTest, audit
from diffusion_jax.metrics.copying import Generated
from diffusion_jax.reports.audit import AuditPage
from experiments import benchmark_audit


def test_known_copies_are_counted() -> None:
    share, called, false, accused = benchmark_audit._row_of_known(0.5, repeats=1, count=20)
    assert (share, accused) == ("50.0%", "1 of 1")
    assert called in ("50.0%", "55.0%") and false.endswith("of at most 2%")


def test_planted_pictures_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_audit, "FIRST", 3)
    monkeypatch.setattr(benchmark_audit, "TIMES", 5)
    data = datasets.make("repeated(data='blots(count=100, test_count=120)', first=3, times=5)")
    other = datasets.make("blots(count=8, seed=5)")
    drawn = [values_of(take(data.train, [0, 0, 104, 1])), values_of(take(other.train, range(8)))]
    found = audit([Generated("any", np.concatenate(drawn))], data, CopyTest())
    page = AuditPage(found, CopyTest(), "a model", "heun")
    ((name, _, rate, _, expected, verdict, planted),) = benchmark_audit._rows_of_trained("x", page)
    assert (name, rate, expected, verdict) == ("x", "33.3%", "at most 1.7%", "copies")
    assert planted.startswith("3 of 3 found, 2 copied; 4 of 4 copies; nearest to ")


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UserError, match="--steps must be at least 1, got 0"):
        benchmark_audit.main(["--steps=0"])
