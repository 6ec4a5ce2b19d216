"""SDXL's refiner makes of pictures what diffusers made of them, from the same noise."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.published.pipelines import pipelines
from tests.published.recorded import DATA

FOLDER = DATA / "stable_diffusion_xl_refiner"
TOLD = json.loads((FOLDER / "cases.json").read_text())


@pytest.fixture(scope="module")
def model() -> ReleasedModel:
    return released(FOLDER)


@pytest.mark.filterwarnings("ignore:The prompt")
@pytest.mark.parametrize("case", range(len(TOLD["cases"])))
def test_what_is_refined_is_the_originals(model: ReleasedModel, case: int) -> None:
    guidance, negative, steps, strength = TOLD["cases"][case]
    with np.load(FOLDER / "drawn.npz") as stored:
        arrays = {
            name: jnp.asarray(np.moveaxis(stored[name], 1, -1))
            for name in ("noise", "pictures", f"latent{case}", f"pt{case}")
        }
    for row, prompt in enumerate(TOLD["prompts"]):
        found = model.sample(
            [prompt],
            jax.random.key(0),
            negative=None if negative is None else negative[row],
            guidance=guidance,
            steps=steps,
            image=arrays["pictures"][row],
            strength=strength,
            noise=arrays["noise"][row : row + 1],
            latents=True,
        )
        latents = arrays[f"latent{case}"][row]
        assert jnp.abs(found[0] - latents).max() < 1e-4 * jnp.sqrt(jnp.mean(latents**2))
        picture = jnp.clip(model.decode(found)[0] / 2 + 0.5, 0, 1)
        assert jnp.abs(picture - arrays[f"pt{case}"][row]).max() < 1e-4


def test_it_is_told_a_score_in_place_of_the_size(model: ReleasedModel) -> None:
    for negative, score in ((False, 6.0), (True, 2.5)):
        numbers = model.ask(["a dog"], (8, 16), negative=negative)["numbers"]
        assert numbers.tolist() == [[8, 16, 0, 0, score]]
    higher = released(FOLDER, settings={"aesthetic_score": 9.0})
    assert higher.ask(["a dog"], (8, 16))["numbers"][0, -1] == 9.0


def test_a_score_that_the_model_is_not_told_is_refused(model: ReleasedModel) -> None:
    """Scores go where model_index.json says so, and are not left out without a word."""
    plain = dataclasses.replace(model, settings={})
    assert plain.ask(["a dog"], (8, 16))["numbers"].tolist() == [[8, 16, 0, 0, 8, 16]]
    other = dataclasses.replace(
        plain, pipeline=pipelines.make(f"{model.kind}(aesthetic_score=9.0)")
    )
    with pytest.raises(UserError, match="is told no aesthetic score"):
        other.ask(["a dog"], (8, 16))
