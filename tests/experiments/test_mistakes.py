"""Config files with every kind of damage: one line says what, where, and what would be right."""

from pathlib import Path

import pytest

from diffusion_jax.errors import UserError
from experiments.config_files import load_config, load_sweep

BROKEN = {
    "not Python": ("def get_config(:\n", "line 1: SyntaxError"),
    "no bytes of text": ("x = '\0'\n", "null bytes"),
    "an error at import": ("import nowhere_to_be_found\n", "line 1: ModuleNotFoundError"),
    "an error in get_config": (
        "def get_config():\n    return 1 / 0\n",
        "line 2: ZeroDivisionError",
    ),
    "an error of two lines": ("x = 1\nraise ValueError('one\\ntwo')\n", "line 2: ValueError: one"),
    "an exit": ("import sys\nsys.exit(0)\n", "line 2: SystemExit"),
    "no get_config": ("x = 1\n", "does not define get_config()"),
    "get_config is no function": ("get_config = 1\n", "does not define get_config()"),
    "an argument missing": ("def get_config(size):\n    pass\n", "missing 1 required positional"),
    "no config returned": ("def get_config():\n    pass\n", "a ConfigDict, not NoneType"),
}
# Lines of a config file that is right but for them.
WRONG = {
    "config.sedd = 3": "unknown config field 'sedd'. Did you mean 'seed'?",
    "config.steps = 3": "unknown config field 'steps'. Did you mean 'training.steps'?",
    "config.training.stepz = 3": "unknown config field 'training.stepz'. Did you mean",
    "config.trainng.steps = 3": "line 5: AttributeError: 'trainng' Did you mean \"training\"",
    "del config.schedule": "the field 'schedule' is missing; start from configs/base.py",
    "del config.training.steps": "the field 'training.steps' is missing",
    "config.training.steps = 'many'": "line 5: TypeError: Could not override field 'steps'",
    "config.training = 3": "line 5: TypeError: Could not override field 'training'",
    "config.seed = None": "seed must be a whole number, not None",
    "config.sampling.steps = [2, 'a']": "sampling.steps must be a tuple (a whole number, …)",
    "config.sampling.solvers = ('ddim', 3)": "sampling.solvers must be a tuple (a word, …)",
    "config.arms = {'edm': 'edm'}": "arms.edm must name the fields it changes, such as",
    "config.arms = {'edm': {'schedule': 3}}": "arms.edm.schedule must be a word, not 3",
    "config.arms = {'edm': {'sigma_data': 'x'}}": "arms.edm.sigma_data must be a number, not 'x'",
    "config.arms = {'a.b': {}}": "line 5: ValueError: ConfigDict does not accept dots",
}


def refused(file: Path, text: str) -> str:
    """The line that a config file of that text is refused with."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_config(str(file))
    line = " ".join(str(caught.value).split())  # as the commands print it
    assert str(file) in line
    return line


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_told_by_its_line(tmp_path: Path, kind: str) -> None:
    text, said = BROKEN[kind]
    assert said in refused(tmp_path / "broken.py", text)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_field_is_named(tmp_path: Path, wrong: str) -> None:
    lines = ("from configs import base", "", "def get_config():", "    config = base.get_config()")
    text = "\n".join([*lines, f"    {wrong}", "    return config", ""])
    assert WRONG[wrong] in refused(tmp_path / "wrong.py", text)


def test_what_is_no_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for name, said in {
        "notes.txt": "is not a Python file",
        "nots.py": "No config file",
        "": "is not a run folder: it has no config.json",
    }.items():
        with pytest.raises(UserError, match=said):
            load_config(str(tmp_path / name))


def test_a_config_may_take_an_argument(tmp_path: Path) -> None:
    file = tmp_path / "sized.py"
    file.write_text(
        "from configs import base\n"
        "def get_config(seed='1'):\n"
        "    config = base.get_config()\n"
        "    config.seed = int(seed)\n"
        "    return config\n"
    )
    assert [load_config(f"{file}{argument}").seed for argument in ("", ":7")] == [1, 7]


def test_a_broken_sweep_is_told_by_its_line(tmp_path: Path) -> None:
    head = "from diffusion_jax.sweeps import Sweep, axis\n"
    for text, said in {
        "def get_sweep():\n    return 3\n": "must return a Sweep, not int",
        "def get_config():\n    return 3\n": "does not define get_sweep",
        "def get_sweep():\n    return Sweep(axis('seed'))\n": r"line 3: UserError: The axis 'seed'",
        "def get_sweep():\n    return Sweep(axes('seed', 0))\n": r"line 3: NameError",
    }.items():
        (tmp_path / "sweep.py").write_text(head + text)
        with pytest.raises(UserError, match=said):
            load_sweep(str(tmp_path / "sweep.py"))
    with pytest.raises(UserError, match="Did you mean"):
        load_sweep(str(tmp_path / "sweeps.py"))
