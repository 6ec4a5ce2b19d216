"""The library agrees with what the authors' code gave, or shows the fault where it does not."""

from pathlib import Path

import numpy as np
import pytest

import tests.golden.run  # noqa: F401  makes all checks known
from tests.golden import __main__ as command
from tests.golden.check import CHECKS, Deliberate, Fault, checks, outcome, same
from tests.golden.load import DATA, Case, Settings, read

COMMITTED = read(DATA)
CHECKED = [case for case in COMMITTED if (case.reference, case.family) in CHECKS]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CHECKED, ids=repr)
def test_recorded(case: Case) -> None:
    found = outcome(case)
    assert found.status in ("agree", "deliberate"), found.why


def made_up(monkeypatch: pytest.MonkeyPatch, check: object, **kwargs: object) -> Case:
    """A case of a reference that does not exist, with a check of its own."""
    monkeypatch.setattr("tests.golden.check.CHECKS", {})
    checks("nobody", "nothing")(check)  # type: ignore[arg-type]
    empty = Settings({})
    return Case("nobody", "nothing", "a", None, Settings(kwargs), empty, None, (Path(), "", ()))


class TestTheRunner:
    @pytest.mark.parametrize("off", [1e-3, np.nan, -np.inf])
    def test_sees_a_number_that_is_off(self, monkeypatch, off: float) -> None:
        case = made_up(
            monkeypatch,
            lambda case: iter([same("x", [1.0, 2.0 + off], [1.0, 2.0], rtol=1e-4)]),
        )
        assert outcome(case).status == "differ"
        assert "x: " in outcome(case).why

    def test_sees_a_shape_that_is_off(self, monkeypatch) -> None:
        case = made_up(monkeypatch, lambda case: iter([same("x", [1.0], 1.0, rtol=1)]))
        assert "shape" in outcome(case).why

    def test_takes_equal_infinities_as_equal(self, monkeypatch) -> None:
        case = made_up(monkeypatch, lambda case: iter([same("x", [np.inf], [np.inf])]))
        assert outcome(case).status == "agree"

    def test_wants_every_setting_looked_at(self, monkeypatch) -> None:
        case = made_up(monkeypatch, lambda case: iter([same("x", 1, 1)]), step={"eta": 0.5})
        assert "step" in outcome(case).why

        def looks(case: Case):  # type: ignore[no-untyped-def]
            yield same("eta", case.kwargs["step"]["eta"], 0.5)

        assert outcome(made_up(monkeypatch, looks, step={"eta": 0.5})).status == "agree"
        assert "step.s" in outcome(made_up(monkeypatch, looks, step={"eta": 0.5, "s": 1})).why

    def test_wants_something_compared(self, monkeypatch) -> None:
        assert outcome(made_up(monkeypatch, lambda case: iter([]))).status == "differ"

    def test_takes_a_failing_check_as_a_difference(self, monkeypatch) -> None:
        case = made_up(monkeypatch, lambda case: iter([same("x", case["x"], 1)]))
        assert outcome(case).status == "differ"

    @pytest.mark.parametrize(("holds", "status"), [(True, "deliberate"), (False, "differ")])
    def test_wants_a_fault_shown(self, monkeypatch, holds: bool, status: str) -> None:
        def shown() -> None:
            assert holds, "the order is as stated"

        def check(case: Case):  # type: ignore[no-untyped-def]
            yield same("start", 1, 1)
            raise Deliberate(Fault("converges at order 1", shown))

        assert outcome(made_up(monkeypatch, check)).status == status


def test_the_command_tells_what_differs_and_fails(monkeypatch, capsys) -> None:
    def off(case: Case):  # type: ignore[no-untyped-def]
        yield same("E[x0|x]", 1.0, 2.0)

    monkeypatch.setitem(CHECKS, ("problems", "gmm2"), off)
    assert command.main([str(DATA), "--only=problems"]) == 1
    printed = capsys.readouterr().out
    assert "differ: E[x0|x]: 1, recorded 2" in printed
    assert printed.splitlines()[-1] == "1 agree, 0 deliberate, 0 uncovered, 1 differ"


def test_the_command_refuses_a_folder_without_cases(tmp_path: Path, capsys) -> None:
    assert command.main([str(tmp_path)]) == 2
    assert "No recorded cases" in capsys.readouterr().err
