"""What a command line says: several values, arms in their order, and every way to get it wrong."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from absl.testing import flagsaver
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.training.arms import arm_settings, baseline_arm
from experiments import command_line, sample

BASE = "configs/base.py"
QUICKSTART = "configs/quickstart.py"


def read(*words: str, config: str = BASE) -> ConfigDict:
    """The config of a command line."""
    with flagsaver.flagsaver():
        rest, read = command_line.read(["command", f"--config={config}", *words], BASE)
        command_line.parse(rest)
        return read


def refused(words: Sequence[str], config: str = BASE) -> str:
    """The one line that a command line is answered with."""
    with pytest.raises(UserError) as caught:
        read(*words, config=config)
    line = " ".join(str(caught.value).split())
    assert len(line) < 1000
    return line


@pytest.mark.parametrize(
    ("text", "solvers"),
    [
        ("ddim", ("ddim",)),
        ("ddim,heun", ("ddim", "heun")),
        ("ddim, heun,", ("ddim", "heun")),
        ("deis(degree=2),ddim(eta=0.5)", ("deis(degree=2)", "ddim(eta=0.5)")),
        ("a(b=(1, 2), c='x,y'),heun", ("a(b=(1, 2), c='x,y')", "heun")),
        ("('ddim', 'heun')", ("ddim", "heun")),
        ("['ddim']", ("ddim",)),
        ("(ddim, heun)", ("ddim", "heun")),
        ("'ddim'", ("ddim",)),
        ("", ()),
    ],
)
def test_several_words_are_told_apart_by_commas(text: str, solvers: tuple[str, ...]) -> None:
    for field in ("solvers", "metrics"):
        assert read(f"--config.sampling.{field}={text}").sampling[field] == solvers
    assert read("--config.sampling.solvers", text).sampling.solvers == solvers


def test_several_numbers_and_several_flags() -> None:
    for words in (["4,8"], ["(4, 8)"], ["4", "8"]):
        flags = [f"--config.sampling.steps={word}" for word in words]
        assert read(*flags).sampling.steps == (4, 8)
    assert read("--config.training.keep_steps=3,6").training.keep_steps == (3, 6)


def test_arms_keep_the_order_of_the_command_line() -> None:
    arms = ("zero", "more", "also")
    config = read(*(f"--config.arms.{name}.prediction=v" for name in arms))
    assert tuple(arm_settings(config)) == arms and baseline_arm(config) == "zero"
    config = read("--config.arms.a_new.schedule=ve", config=QUICKSTART)
    assert tuple(arm_settings(config)) == ("cosine", "edm", "flow", "a_new")
    config = read("--config.arms.cosine.training.ema=none", config=QUICKSTART)
    assert arm_settings(config)["cosine"]["training.ema"] == "none"


def test_the_baseline_is_one_of_the_arms() -> None:
    assert baseline_arm(read("--config.baseline=flow", config=QUICKSTART)) == "flow"
    with pytest.raises(UserError, match="Unknown baseline 'flaw'. Did you mean 'flow'?"):
        baseline_arm(read("--config.baseline=flaw", config=QUICKSTART))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--config.sampling.steps=4,a", "sampling.steps must be a tuple (a whole number, …)"),
        ("--config.sampling.steps=" + "9" * 5000, "sampling.steps must be a tuple"),
        ("--config.sampling.solvers=1,2", "sampling.solvers must be a tuple (a word, …)"),
        ("--config.sampling.solvers", "Missing value"),
        ("--config.seed=" + "9" * 4000, "seed must be finite"),
        ("--config.seed=" + "9" * 5000, "is not of type int"),
        ("--config.seed=1e400", "is not of type int"),
        ("--config.sigma_data=nan", "sigma_data must be finite"),
        ("--config.sigma_data=" + "9" * 5000, "sigma_data must be finite"),
        ("--config.training={}", "the field 'training.dtype' is missing"),
        ("--config.arms=" + "[" * 100_000, "--config.arms="),
        ("--config.arms=" + "-" * 100_000 + "1", "too many brackets or signs"),
        ("--config.arms={'a': 3}", "arms.a must name the fields it changes"),
        ("--config.arms={'a': {'training': 3}}", "arms.a.training must be a ConfigDict"),
        ("--config.arms.a.sampling.steps=4", "Unknown config field --config.arms.a.sampling"),
        ("--config.arms.a.seed=4", "Unknown config field --config.arms.a.seed"),
        ("--config.arms..schedule=edm", "An arm called ''"),
        ("--config.arms.x/y.schedule=edm", "An arm called 'x/y'"),
        ("--config.arms.class.schedule=edm", "An arm called 'class'"),
        ("--config.=3", "Unknown config field"),
        ("--config..=3", "Unknown config field"),
        ("--config.sampling.steps[0]=4", "Did you mean 'sampling.steps'?"),
        ("--flagfile=/nowhere/flags", "Unable to open flagfile"),
        ("--flagfile", "no argument"),
    ],
    ids=lambda text: text[:30],
)
def test_mistakes_are_answered_in_one_line(word: str, said: str) -> None:
    assert said in refused([word])


def test_a_flagfile_is_read_as_if_its_words_were_there(tmp_path: Path) -> None:
    file = tmp_path / "flags"
    file.write_text("--config.sampling.solvers=ddim,heun\n--config.arms.b.schedule=edm\n")
    config = read(f"--flagfile={file}")
    assert config.sampling.solvers == ("ddim", "heun") and tuple(arm_settings(config)) == ("b",)
    file.write_text("--config.sampling.stepz=3\n")
    assert "Did you mean" in refused([f"--flagfile={file}"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--config.sampling.solvers=ddim,heun", "sampling.solvers names several"),
        ("--config.sampling.steps=4,8", "sampling.steps names several"),
        ("--config.sampling.count=9", "use --count"),
        ("--config.baseline=cosine", "experiments.compare has a use for it"),
        ("--config.training.keep=9", "nothing is trained here"),
    ],
)
def test_sampling_refuses_what_it_does_not_use(word: str, said: str) -> None:
    with flagsaver.flagsaver():
        rest, config = command_line.read(["sample", f"--config={BASE}", word], BASE)
        command_line.parse(rest)
        with pytest.raises(UserError, match=said):
            sample.main(config)
