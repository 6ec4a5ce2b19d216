"""What a log shows of the progress."""

import pytest

from diffusion_jax.runs.progress import Progress


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().phase("Training", total=100, done=40) as advance:
        for step in range(60):
            advance(f"loss {step}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Training: 40/100 steps"
    assert lines[-1] == "Training: 100/100 steps, 0 s left, loss 59"
    assert len(lines) == 1 + 6


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True).phase("Training", total=1) as advance:
        advance("")
    assert capsys.readouterr() == ("", "")


def test_a_line_is_told_of_its_part(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().within("Group 1: ").say("Processes: 1.")
    Progress(quiet=True).say("nothing")
    assert capsys.readouterr() == ("", "Group 1: Processes: 1.\n")
