"""Steps that do not fit into memory are refused before one is taken, and nothing is left."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.training import devices
from diffusion_jax.training.loop import train
from diffusion_jax.training.memory import compiled_bytes


def test_the_compiler_counts_what_is_given_returned_and_between() -> None:
    x = jnp.zeros((100, 100), jnp.float32)
    # What is in between, x @ x, cannot be fused away: it is multiplied once more.
    counted = compiled_bytes(jax.jit(lambda x: (x @ x) @ x).lower(x))
    assert counted >= 3 * x.nbytes


@pytest.mark.usefixtures("one_device")
@pytest.mark.parametrize("execution", ["apart", "together"])
def test_a_step_that_does_not_fit_is_refused_and_leaves_the_folder_free(
    config: ConfigDict, execution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.training.execution = execution
    config.training.steps = 1
    with monkeypatch.context() as patch:
        patch.setattr(devices, "free_memory", lambda: 1000)
        with pytest.raises(UserError, match="training step of .* needs .*, and 1e-06 GB are"):
            train(config)
    assert not Path(config.run_dir).exists()
    assert train(config).folder.is_dir()
