"""Steps that do not fit into memory are refused before one is taken, and nothing is left."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.parallel import devices
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
        patch.setattr("diffusion_jax.training.memory.NOTICEABLE", 0)
        patch.setattr(devices, "free_memory", lambda: 10_000)
        with pytest.raises(UserError, match="training step of .* needs .*, and 1e-05 GB are"):
            train(config)
    assert not Path(config.run_dir).exists()
    assert train(config).folder.is_dir()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("training.batch_size", 10**9, "Batches of 1,000,000,000 pictures, .* take .* GB"),
        ("network", "mlp(width=100000, depth=1)", "parameters of all arms .* take .* GB"),
    ],
)
def test_what_cannot_fit_is_refused_before_it_is_made(
    config: ConfigDict, field: str, value: object, said: str
) -> None:
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=said):
        train(config)
    assert not Path(config.run_dir).exists()


@pytest.mark.usefixtures("one_device")
def test_a_pass_that_is_too_large_is_refused_before_it_is_compiled(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.network, config.training.batch_size = "mlp(width=1000, depth=1)", 1000
    # A layer of 1000 values for each of 1000 rows of float32 is 4 MB.
    monkeypatch.setattr("diffusion_jax.training.memory.array_bytes", lambda tree: 0)
    monkeypatch.setattr("diffusion_jax.training.memory.NOTICEABLE", 10**9)
    monkeypatch.setattr(devices, "free_memory", lambda: 3_999_999)
    with pytest.raises(UserError, match="needs at least .* GB .* more training.microbatches"):
        train(config)
    assert not Path(config.run_dir).exists()
