"""How many steps a run may go on to: as many as leave what it has learnt as its config says."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import Networks, fewstep
from diffusion_jax.runs.metrics_log import FILE
from diffusion_jax.runs.run import Run
from diffusion_jax.training.loop import train
from diffusion_jax.training.optimizers import Adam, decays
from diffusion_jax.training.trained import load_arms

pytestmark = pytest.mark.usefixtures("one_device")


@pytest.mark.parametrize("decay", decays)
@pytest.mark.parametrize(("warmup", "hold"), [(0, 0), (3, 0), (3, 8)])
def test_a_rate_depends_on_the_length_where_it_says_so(decay: str, warmup: int, hold: int) -> None:
    short, long = (Adam(steps, warmup=warmup, hold=hold, decay=decay) for steps in (12, 20))
    rates = np.array([[float(each.rate(count)) for count in range(12)] for each in (short, long)])
    for count in range(1, 13):
        differs = bool((rates[0, :count] != rates[1, :count]).any())
        assert short.depends_on_steps(count) == differs


@pytest.mark.parametrize("spec", [*fewstep, "continuous_consistency(teaches=True)"])
def test_a_few_step_loss_depends_on_the_part_that_is_done_where_it_says_so(spec: str) -> None:
    objective = fewstep.make(spec)
    keys = jax.random.split(jax.random.key(2), 3)
    x0, eps = (jax.random.normal(key, (16, 3)) for key in keys[:2])
    uniform = jax.random.uniform(keys[2], (16, objective.draws))

    def network(x: jax.Array, time: jax.Array, end: jax.Array) -> jax.Array:
        return jnp.sin(3 * x + time[:, None] - end[:, None])

    networks = Networks(network, network, lambda x, level: 0.3 * x)
    loss = functools.partial(objective.loss, networks, x0, eps, uniform)
    paced = bool((loss(jnp.float32(0.02)) != loss(jnp.float32(0.9))).any())
    assert objective.paced == paced


def asked(config: ConfigDict, steps: int, **changes: object) -> ConfigDict:
    made = ConfigDict(config.to_dict())
    made.update_from_flattened_dict({"training.steps": steps, **changes})
    return made


def test_a_run_whose_rate_decays_over_its_steps_is_not_given_others(config: ConfigDict) -> None:
    folder = train(asked(config, 6)).folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for steps in (8, 7):
        with pytest.raises(
            UserError, match=r"steps=6, over which the .* cosine decay .* another --config.run_dir"
        ):
            train(asked(config, steps))
    with pytest.raises(UserError, match="has been trained for 6 steps, and training.steps=5"):
        train(asked(config, 5))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    held = "adam(learning_rate=1e-2, decay='linear', hold=9)"
    # Another optimizer is the nearer mistake.
    with pytest.raises(UserError, match=r"with optimizer = "):
        train(asked(config, 8, optimizer=held))


@pytest.mark.parametrize(
    "optimizer", ["adam(learning_rate=1e-2)", "adam(learning_rate=1e-2, decay='linear', hold=3)"]
)
def test_a_run_that_may_go_on_ends_as_one_that_was_asked_for_at_once(
    config: ConfigDict, tmp_path: Path, optimizer: str
) -> None:
    config.training.log_every = 2
    whole = asked(config, 8, optimizer=optimizer, run_dir=str(tmp_path / "whole"))
    rows = (train(whole).folder / FILE).read_bytes()
    part = asked(config, 4, optimizer=optimizer)
    train(part)
    folder = train(asked(part, 8)).folder
    assert (folder / FILE).read_bytes() == rows
    for name, arm in load_arms(folder).items():
        other = load_arms(whole.run_dir)[name]
        assert jax.tree.all(jax.tree.map(np.array_equal, arm.params, other.params))
    if "decay" in optimizer:  # which has begun since
        with pytest.raises(UserError, match="linear decay"):
            train(asked(part, 12))


def test_what_is_used_is_the_checkpoint_that_the_config_asks_for(config: ConfigDict) -> None:
    folder = train(asked(config, 8)).folder
    assert Run.of(asked(config, 4)).config.training.steps == 8
    assert load_arms(folder, step=4)["edm"].step == 4
    with pytest.raises(UserError, match="no checkpoint of step 3. It has: 4, 8"):
        load_arms(folder, step=3)
