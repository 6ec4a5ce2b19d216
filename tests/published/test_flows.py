"""SD3 and FLUX.1 draw what diffusers drew from the same folders and noise."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.transformers.flux import Flux
from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.published.parts import Part
from diffusion_jax.published.pipelines.flux import FluxPipeline
from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree
from tests.published.recorded import DATA, check_drawn

SD3, FLUX = DATA / "stable_diffusion_3", DATA / "flux"
SETTINGS = "clip_skip", "max_sequence_length"
KEY = jax.random.key(0)
CASES = [
    (folder, i)
    for folder in (SD3, FLUX)
    for i in range(len(json.loads((folder / "cases.json").read_text())["cases"]))
]
cut = pytest.mark.filterwarnings("ignore:The prompt")


@pytest.fixture(scope="module")
def models() -> dict[Path, ReleasedModel]:
    return {
        folder: released(folder, settings={"max_sequence_length": 12}) for folder in (SD3, FLUX)
    }


@cut
@pytest.mark.parametrize(("folder", "i"), CASES, ids=[f"{path.name}-{i}" for path, i in CASES])
def test_what_is_drawn_is_the_originals(folder: Path, i: int) -> None:
    case = json.loads((folder / "cases.json").read_text())["cases"][i]
    settings = {name: case[name] for name in SETTINGS if name in case}
    guidance = case.get("guidance_scale")
    if "true_cfg_scale" in case:
        guidance = ClassifierFree(case["true_cfg_scale"])
    negative, steps = case.get("negative_prompt"), case["num_inference_steps"]
    key = "" if negative is None else "negative"
    told = {"negative": negative, "guidance": guidance, "steps": steps}
    check_drawn(released(folder, settings=settings), folder, str(i), key, **told)


def edited(folder: Path, tmp_path: Path, name: str, **settings: object) -> Path:
    new = tmp_path / "model"
    shutil.copytree(folder, new)
    told = json.loads((new / name).read_text()) | settings
    (new / name).write_text(json.dumps(told))
    return new


@cut
@pytest.mark.parametrize("there", [["tokenizer_3"], []], ids=["its tokenizer", "nothing"])
def test_sd3_without_t5_reads_zeros_as_the_original(tmp_path: Path, there: list[str]) -> None:
    gone = {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}
    gone = {name: value for name, value in gone.items() if name not in there}
    folder = edited(SD3, tmp_path, "model_index.json", **gone)
    shutil.rmtree(folder / "text_encoder_3")
    check_drawn(released(folder), SD3, "_no_t5", steps=3, guidance=1.0)


def test_sd3_without_clip_is_refused(tmp_path: Path) -> None:
    folder = edited(SD3, tmp_path, "model_index.json", text_encoder_2=[None, None])
    with pytest.raises(UserError, match="no 'text_encoder_2', so that it reads no prompts"):
        released(folder).ask(["a dog"])


def test_clip_wider_than_t5_is_refused(models) -> None:
    narrow = SimpleNamespace(
        **{name: getattr(models[SD3], name) for name in ("tokenizers", "settings")},
        parts={**models[SD3].parts, "text_encoder_3": models[FLUX].parts["text_encoder_2"]},
    )
    with pytest.raises(UserError, match="features are 16 together and T5's 8"):
        models[SD3].pipeline.ask(narrow, ["a dog"], (8, 16))


def test_a_number_is_the_guidance_that_flux_is_told(models) -> None:
    model = models[FLUX]
    asked = model.ask(["a dog"], (8, 16))
    assert asked["numbers"].tolist() == [[3.5]]
    draw = {"steps": 2, "size": (8, 16), "latents": True}
    own, told, other = (
        np.asarray(model.sample(["a dog"], KEY, guidance=scale, **draw)) for scale in (None, 3.5, 9)
    )
    np.testing.assert_array_equal(own, told)
    assert np.abs(other - own).max() > 1e-3
    given = model.sample({**asked, "numbers": np.full((1, 1), 9.0, "f4")}, KEY, **draw)
    np.testing.assert_allclose(given, other, rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match=r"classifier_free\(scale=…\) where the network is told"):
        model.sample(["a dog"], KEY, negative="blurry", **draw)


def test_a_network_that_is_told_no_guidance_refuses_a_number() -> None:
    schnell = SimpleNamespace(
        parts={"transformer": Part(Flux(), {}, {})}, tokenizers={}, settings={}
    )
    assert FluxPipeline().steer(schnell, 1.0) == (None, None)
    with pytest.raises(UserError, match=r"guidance=3.5: this network is told no scale"):
        FluxPipeline().steer(schnell, 3.5)


@pytest.mark.parametrize("folder", [SD3, FLUX], ids=lambda folder: folder.name)
def test_sizes_that_are_no_whole_tokens_are_refused(models, folder: Path) -> None:
    with pytest.raises(UserError, match="18x8 cannot be drawn: .* multiples of 4"):
        models[folder].sample(["a dog"], KEY, size=(8, 18))


def test_default_sizes_are_the_originals(models) -> None:
    assert models[SD3].default_size == (16, 16)  # 8 latents
    assert models[FLUX].default_size == (256, 256)  # 128 latents, whatever the network


@pytest.mark.parametrize("length", [0, 513])
def test_lengths_that_t5_is_not_asked_for_are_refused(length: int) -> None:
    with pytest.raises(UserError, match=f"max_sequence_length must be 1 to 512, not {length}"):
        released(FLUX, settings={"max_sequence_length": length})


@pytest.mark.parametrize("folder", [SD3, FLUX], ids=lambda folder: folder.name)
def test_a_prompt_too_long_for_one_of_the_encoders_is_refused_if_strict(folder: Path) -> None:
    strict = released(folder, strict=True, settings={"max_sequence_length": 8})
    strict.ask(["a dog"])
    with pytest.raises(UserError, match="the text encoder reads 8: shorten it by"):
        strict.ask(["the fox jumps"])
    with pytest.raises(UserError, match="the text encoder reads 16: shorten it by"):
        strict.ask(["the fox jumps " * 8])


def test_shifts_of_solvers_that_only_flux_says_are_refused(tmp_path: Path) -> None:
    told = {
        "_class_name": "DPMSolverMultistepScheduler",
        "use_flow_sigmas": True,
        "use_dynamic_shifting": True,
        "prediction_type": "flow_prediction",
    }
    folder = edited(SD3, tmp_path, "scheduler/scheduler_config.json")
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="cannot be honoured outside of FLUX's pipeline"):
        released(folder).nodes(4)


def test_a_picture_is_drawn_over_another(models) -> None:
    image = jnp.linspace(-1, 1, 8 * 16 * 3).reshape(8, 16, 3)
    model = models[SD3]
    near = model.sample(["a dog"], KEY, image=image, strength=0.1, steps=10, guidance=1.0)
    far = model.sample(["a dog"], KEY, image=image, strength=1.0, steps=10, guidance=1.0)
    through = model.decode(model.encode(image[None]))
    assert near.shape == (1, 8, 16, 3)
    assert np.abs(near - through).mean() < np.abs(far - through).mean()
