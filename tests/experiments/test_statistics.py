"""The page of levels and power: every table, and mistakes answered."""

from pathlib import Path

import pytest

from diffusion_jax.errors import UserError
from experiments import statistics


def test_the_page_has_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "ARMS", (2, 3))
    monkeypatch.setattr(statistics, "SEEDS", (3,))
    monkeypatch.setattr(statistics, "SHAPES", ((6, 3),))
    monkeypatch.setattr(statistics, "PLAN_ARMS", (3,))
    monkeypatch.setattr(statistics, "PLAN_SEEDS", (3,))
    page = tmp_path / "statistics.md"
    statistics.main(["--sweeps=20", f"--markdown={page}"])
    text = page.read_text()
    assert text.count("### Noise") == 3 and "| 6 | 3 | Bonferroni |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") and "nan" not in line for line in rows)


def test_no_sweeps_are_refused() -> None:
    with pytest.raises(UserError, match="at least one"):
        statistics.main(["--sweeps=0"])
