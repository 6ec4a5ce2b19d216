"""Checkpoints that guidance asks for stay, however many come after them."""

from pathlib import Path

import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.runs.kept import kept_steps, saved_steps
from diffusion_jax.training.loop import train

pytestmark = pytest.mark.usefixtures("one_device")


def test_the_checkpoint_of_a_guide_is_kept(config: ConfigDict) -> None:
    config.training.update({"steps": 5, "checkpoint_every": 1, "keep": 1, "keep_steps": (3,)})
    config.sampling.guidance = "autoguidance(step=2)"
    train(config)
    assert saved_steps(Path(config.run_dir)) == (2, 3, 5)


def test_a_checkpoint_that_is_gone_is_named_before_anything_starts(config: ConfigDict) -> None:
    config.training.update({"steps": 4, "checkpoint_every": 1, "keep": 1})
    train(config)
    config.sampling.guidance = "autoguidance(step=2)"
    with pytest.raises(UserError, match=r"step 2, which run .* has not kept; it has 4.*\(2,\)"):
        kept_steps(config)


@pytest.mark.parametrize("step", [0, 3, 8, -2])
def test_a_step_without_a_checkpoint_is_refused(config: ConfigDict, step: object) -> None:
    config.training.update({"steps": 6, "checkpoint_every": 4, "keep_steps": (4, step)})
    with pytest.raises(UserError, match=f"keep_steps names step {step!r}, .* the last at 6"):
        train(config)
    assert not Path(config.run_dir).exists()
