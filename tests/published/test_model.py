"""A recorded pipeline of diffusers, read from its folder and drawn from again."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffusion_jax as dj
from diffusion_jax.errors import UserError
from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.published.schedulers import translate
from diffusion_jax.sampling.loop import sample_keys

FOLDER = Path(__file__).parent / "data" / "unconditional"
STEPS, SIZE = 5, (8, 8)


@pytest.fixture(scope="module")
def model() -> ReleasedModel:
    return released(FOLDER)


def with_scheduler(model: ReleasedModel, name: str) -> ReleasedModel:
    config = json.loads((FOLDER / "schedulers.json").read_text())[name]
    made = ReleasedModel(model.folder, model.kind, model.pipeline, model.parts, translate(config))
    return made


@pytest.mark.parametrize("name", ["ddim", "euler", "dpm", "v"])
def test_pictures_are_those_of_the_original(model, name) -> None:
    with np.load(FOLDER / "drawn.npz") as drawn:
        noise, wanted = (np.moveaxis(drawn[key], 1, -1) for key in ("noise", name))
    own = with_scheduler(model, name)
    nodes = own.nodes(STEPS)
    start = jnp.asarray(noise) * own.scheduler.start_scale(nodes)
    keys = sample_keys(jax.random.key(0), 2)
    solver = own.scheduler.solver(STEPS)
    found = own.sample_from(start, ["", ""], keys, "", 1.0, solver, nodes, SIZE)
    # The original's tables are sums in single precision, which a table without signal at its end
    # is stretched by.
    close = 2e-4 if name == "v" else 1e-4
    np.testing.assert_allclose(found, wanted, atol=close * np.abs(wanted).max())


def test_any_solver_and_grid_draw_from_it(model) -> None:
    """Many small steps of any solver lead to the same picture: the flow's."""
    grid = dj.grids.Karras()(model.scheduler.schedule, 200)
    found = [
        model.sample(["", ""], jax.random.key(1), solver=solver, nodes=grid, guidance=1.0)
        for solver in (dj.solvers.Heun(), dj.solvers.DPMpp2M())
    ]
    assert float(jnp.abs(found[0] - found[1]).max()) < 0.02 * float(jnp.abs(found[0]).max())


def test_a_sample_does_not_depend_on_how_many_are_drawn(model) -> None:
    one, two = (model.sample([""] * n, jax.random.key(2), steps=STEPS) for n in (1, 2))
    np.testing.assert_allclose(one[0], two[0], rtol=1e-4, atol=1e-4)


def broken(tmp_path: Path, change) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    change(folder)
    return folder


def edited(file: str, **changes):
    def change(folder: Path) -> None:
        told = json.loads((folder / file).read_text()) | changes
        (folder / file).write_text(json.dumps(told))

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda folder: (folder / "model_index.json").unlink(),
            "has no model_index.json, and no card fits it",
        ),
        (lambda folder: (folder / "unet/config.json").write_text("{"), "is no JSON"),
        (edited("model_index.json", _class_name="OddPipeline"), "Unknown pipeline 'OddPipeline'"),
        (edited("model_index.json", unet=["diffusers", "OddModel"]), "'OddModel'"),
        (edited("unet/config.json", act_fn="odd"), "odd"),
        (edited("unet/config.json", strange=1), "no setting 'strange'"),
        (edited("unet/config.json", layers_per_block=2), "are not in the file"),
        (edited("unet/config.json", add_attention=False), "have no place in the network"),
        (edited("unet/config.json", block_out_channels=[8, 24]), "and the network needs"),
        (edited("scheduler/scheduler_config.json", beta_schedule="odd"), "beta_schedule='odd'"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_in_a_line(tmp_path, change, line) -> None:
    with pytest.raises(UserError, match=line) as refused:
        released(broken(tmp_path, change))
    assert "\n" not in str(refused.value)


def test_what_a_model_cannot_be_asked_for_is_refused(model) -> None:
    key = jax.random.key(0)
    with pytest.raises(UserError, match="is asked for nothing"):
        model.sample(["a dog"], key)
    with pytest.raises(UserError, match="without classifier-free guidance"):
        model.sample([""], key, negative="blurry", steps=STEPS)
