"""Pictures from a released model on the command line: what is written, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_jax.errors import UserError
from experiments import sample_released

MODEL = Path(__file__).parents[1] / "published" / "data" / "unconditional"


def draw(out: Path, *words: str, model: Path = MODEL) -> np.ndarray:
    sample_released.main([f"--model={model}", f"--out={out}", "--steps=4", *words])
    with Image.open(out) as sheet:
        assert sheet.width > 96
    with Image.open(out.with_name(f"{out.stem}_0_0.png")) as picture:
        return np.asarray(picture.convert("RGB"), float)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "given.png")
    return tmp_path / "given.png"


def test_the_first_picture_of_a_seed_is_the_same_for_any_count(tmp_path: Path) -> None:
    one = draw(tmp_path / "one.png", "--seed=3")
    two = draw(tmp_path / "two.png", "--seed=3", "--count=2")
    other = draw(tmp_path / "other.png", "--seed=4")
    assert np.abs(one - two).max() <= 1
    assert np.abs(one - other).max() > 20
    assert (tmp_path / "two_0_1.png").exists()


def test_a_solver_and_a_grid_may_be_named(tmp_path: Path) -> None:
    own = draw(tmp_path / "own.png")
    named = draw(tmp_path / "named.png", "--solver=heun", "--grid=karras")
    assert np.abs(own - named).max() > 1


def test_little_strength_changes_a_picture_little(tmp_path: Path, picture: Path) -> None:
    given = np.asarray(Image.open(picture), float)
    little = draw(tmp_path / "a.png", f"--image={picture}", "--strength=0.25")
    whole = draw(tmp_path / "b.png", f"--image={picture}", "--strength=1.0")
    assert np.abs(little - given).mean() < np.abs(whole - given).mean()


def test_what_a_mask_leaves_black_is_kept(tmp_path: Path, picture: Path) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    given = np.asarray(Image.open(picture), float)
    words = (f"--image={picture}", f"--mask={tmp_path / 'mask.png'}", "--strength=1.0")
    found = draw(tmp_path / "c.png", *words)
    assert np.abs(found - given)[:, :4].max() <= 2
    assert np.abs(found - given)[:, 4:].mean() > 10


def test_the_ends_of_a_way_are_the_pictures_of_both_seeds(tmp_path: Path) -> None:
    first = draw(tmp_path / "way.png", "--between=1", "--to-seed=9")
    np.testing.assert_allclose(first, draw(tmp_path / "seed.png"), atol=1)
    with Image.open(tmp_path / "way_0_2.png") as last:
        other = draw(tmp_path / "other.png", "--seed=9")
        np.testing.assert_allclose(np.asarray(last.convert("RGB"), float), other, atol=1)


@pytest.mark.parametrize("name", ["stable_diffusion_3", "flux", "pixart"])
def test_models_that_are_asked_in_words_draw_and_are_told_how(tmp_path: Path, name: str) -> None:
    model, words = MODEL.parent / name, ["--prompt=a dog", "--size=16x8", "--max-sequence-length=9"]
    if name == "pixart":
        words.append("--exact-size")
    own = draw(tmp_path / "own.png", *words, model=model)
    assert own.shape == (8, 16, 3)
    scale = "--guidance=9"
    assert np.abs(own - draw(tmp_path / "g.png", *words, scale, model=model)).max() > 1
    if name == "stable_diffusion_3":
        skipping = draw(tmp_path / "skip.png", *words, "--clip-skip=1", model=model)
        assert np.abs(own - skipping).max() > 1
    if name == "flux":
        away = "--guidance=classifier_free(scale=2.0)", "--negative-prompt=a cat"
        assert np.abs(own - draw(tmp_path / "n.png", *words, *away, model=model)).max() > 1
    with pytest.raises(UserError, match="the text encoder reads 9: shorten it by"):
        draw(tmp_path / "s.png", *words, "--prompt=the fox jumps high", "--strict", model=model)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--clip-skip=1",), "'DDIMPipeline' has no setting 'clip_skip'"),
        (("--exact-size",), "has no setting 'use_resolution_binning'"),
        (("--no-clean-caption",), "has no setting 'clean_caption'"),
        (("--skip-text-cleaning",), "has no setting 'skip_text_cleaning'"),
        (("--tokenizer-max-length=9",), "has no setting 'tokenizer_max_length'"),
        (("--guidance=much",), "Unknown guidance 'much'"),
        (("--count=0",), "--count must be from 1"),
        (("--seed=-1",), "--seed must be from 0"),
        (("--size=8",), "such as 768x512"),
        (("--steps=0",), "--steps must be from 1"),
        (("--mask=a.png",), "name it with --image"),
        (("--to-seed=1",), "give --between too"),
        (("--between=0",), "--between must be from 1"),
        (("--solver=odd",), "odd"),
        (("--prompt=a dog",), "is asked for nothing"),
        (("--dtype=int8",), "float32 or bfloat16"),
        (("--image=none.png",), "none.png"),
        (("--size=99999999x99999999",), "cannot be drawn at once"),
        (("--odd=1",), "--odd"),
    ],
)
def test_mistakes_are_answered_in_a_line(tmp_path: Path, words, line) -> None:
    with pytest.raises(UserError, match=line):
        sample_released.main([f"--model={MODEL}", f"--out={tmp_path / 'o.png'}", *words])
    assert not list(tmp_path.glob("*.png"))


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no model_index.json"):
        sample_released.main([f"--model={tmp_path}", f"--out={tmp_path / 'o.png'}"])
