"""The command that says what a data set holds."""

import subprocess
import sys

import pytest


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.data", *words], capture_output=True, text=True
    )


def test_a_card_is_printed_and_written(tmp_path) -> None:
    ran = run(f"--out={tmp_path}", "--config.data=shapes(level='one', size=12)", "--most=60")
    assert ran.returncode == 0, ran.stderr
    assert "60 looked at" in ran.stdout
    assert "all 12×12" in ran.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"data_card.html", "data_card.json"}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--config.data=nothing"], "nothing"),
        (["--config.seed=3"], "--config.seed would change nothing here"),
        (["--most=0"], "--most"),
    ],
)
def test_mistakes(words: list[str], part: str, tmp_path) -> None:
    ran = run(f"--out={tmp_path / 'card'}", *words)
    assert ran.returncode == 1
    assert part in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "card").exists()
