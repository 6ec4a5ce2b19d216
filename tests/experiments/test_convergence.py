"""The table of measured orders."""

import pytest

from diffusion_jax.errors import UserError
from experiments import convergence


def test_it_measures_what_it_is_asked_for(tmp_path, capsys) -> None:
    page = tmp_path / "orders.md"
    asked = ["--solver=ddim", "--solver=ancestral", "--schedule=edm", "--schedule=cosine"]
    convergence.main([*asked, f"--markdown={page}"])
    assert capsys.readouterr().out.strip() == str(page)
    rows = [
        line
        for line in page.read_text().splitlines()
        if line.startswith("| ") and "---" not in line
    ]
    assert rows[1].startswith("| ddim | 1 | 0.99") and rows[1].endswith("| flow |")
    assert rows[2].startswith("| ancestral | 1 | 0.9") and rows[2].endswith("| variance |")
    assert rows[3] == "| solver | edm | cosine |"


def test_a_wrong_solver_or_place_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="Did you mean 'heun'"):
        convergence.main(["--solver=hein", "--schedule=edm"])
    with pytest.raises(UserError, match="'consistency' has no order to measure"):
        convergence.main(["--solver=consistency", "--schedule=edm"])
    with pytest.raises(UserError, match="it is a folder"):
        convergence.main([f"--markdown={tmp_path}"])
