"""Captions read by a released text encoder: kept on disk, or made when they are shown."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import diffusion_jax as dj
from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.published import text_features
from diffusion_jax.published.encoder import ReleasedEncoder, read_encoder
from diffusion_jax.published.text_encoder import ReleasedText, _features
from diffusion_jax.published.text_features import TextFeatures
from diffusion_jax.training.arms import Arm
from diffusion_jax.training.flip import check_flip
from tests.training.conftest import on_one_device

CLIP = Path(__file__).parent / "data" / "clip"
CAPTIONS = [
    f"a {colour} {thing}" for colour in ("red", "green", "blue") for thing in ("dog", "fox")
]


@pytest.fixture(scope="module")
def encoder() -> ReleasedEncoder:
    return read_encoder(CLIP, half="text")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many captions each call of the encoder reads."""
    counts: list[int] = []
    own = ReleasedEncoder.text

    def counting(self: ReleasedEncoder, prompts: list[str], length: int | None = None):  # type: ignore[no-untyped-def]
        counts.append(len(set(prompts)))
        return own(self, prompts, length)

    monkeypatch.setattr(ReleasedEncoder, "text", counting)
    monkeypatch.setattr(text_features, "SHARD", 4)
    return counts


def test_features_are_the_encoders_in_half_precision(
    encoder: ReleasedEncoder, tmp_path: Path
) -> None:
    kept = TextFeatures(encoder, tmp_path, batch_size=4)
    assert kept.prepare(CAPTIONS) == 6
    found, told = kept.of(CAPTIONS[::-1]), encoder.text(CAPTIONS[::-1])
    np.testing.assert_allclose(found["tokens"], told.tokens, rtol=2**-11, atol=1e-6)
    np.testing.assert_allclose(found["pooled"], told.pooled, rtol=2**-11, atol=1e-6)
    fly = TextFeatures(encoder, batch_size=4).of(CAPTIONS[::-1])
    assert all((found[name] == fly[name]).all() for name in fly)
    assert encoder.tokenizer is not None
    np.testing.assert_array_equal(found["mask"], encoder.tokenizer(CAPTIONS[::-1])[1])


def test_each_caption_is_read_once_and_work_that_was_cut_off_goes_on(
    encoder: ReleasedEncoder, tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def features() -> TextFeatures:
        return TextFeatures(encoder, tmp_path, batch_size=4)

    save = np.save

    def full(*given: object) -> None:
        raise KeyboardInterrupt

    assert features().prepare(["", *CAPTIONS[:4], *CAPTIONS[:4]]) == 4 and sum(read) == 4
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(KeyboardInterrupt):
        features().prepare(CAPTIONS)
    monkeypatch.setattr(np, "save", save)
    read.clear()
    again = features()
    assert again.prepare(CAPTIONS) == 2 and again.prepare(CAPTIONS) == 0 and sum(read) == 2
    again.of(CAPTIONS)
    assert sum(read) == 2
    again.of(["a dog"])  # not kept, as a prompt
    assert sum(read) == 3
    assert again.place is not None and not list(again.place.glob(".*"))
    for file in again.place.glob("*.array_record"):
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="features of captions in .* are damaged .*remove that"):
        features().of(CAPTIONS)


def test_kept_or_on_the_fly_training_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    on_one_device(monkeypatch)
    _features.cache_clear()
    x0 = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3), np.uint8)
    data = dj.data.arrays(x0, captions=CAPTIONS * 4, held_out=0.2)
    network = "dit(patch=2, width=8, depth=1, heads=1)"
    curves = []
    for folder in (str(tmp_path), ""):
        own = dj.conditioners.conditioners.make(
            f"text_encoder(path={str(CLIP)!r}, folder={folder!r}, batch_size=4)"
        )
        built = dj.networks.score_network.build(network, own)
        arm = Arm("a", dj.Objective.make("cosine", "edm"), built, optimizer=optax.adam(1e-3))
        trained = dj.train(arm, data, steps=4, batch_size=6, condition_dropout=0.2, log_every=1)
        if folder:  # each caption and one for the shapes, however often it was shown
            assert sum(read) == 7
        curves.append(trained["a"].curve["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-6)
    assert sum(read) > 7
    _features.cache_clear()


def test_another_encoder_than_in_training_is_refused() -> None:
    data = dj.data.arrays(np.zeros((9, 4, 4, 3), np.uint8), captions=["a dog"] * 9)
    made = ReleasedText(path=str(CLIP)).fit(data)
    found = made.ask(["a dog", ""])["text_tokens"]
    assert found[0].any() and not found[1].any()
    shorter = ReleasedText(path=str(CLIP), length=8).restored(made.state())
    with pytest.raises(UserError, match="other weights, another tokenizer or another length"):
        shorter.ask(["a dog"])
    with pytest.raises(UserError, match="path=''"):
        ReleasedText()


def test_two_of_them_are_parts_of_several() -> None:
    data = dj.data.arrays(np.zeros((9, 4, 4, 3), np.uint8), captions=["a dog"] * 9)
    parts = (ReleasedText(path=str(CLIP), prefix="a_"), ReleasedText(path=str(CLIP), length=8))
    both = dj.conditioners.Several(parts=parts, width=8).fit(data)
    rows = both.ask(["a dog"])
    assert rows["a_tokens"].shape[1] == 16 and rows["text_tokens"].shape[1] == 8
    context, _ = both.init_with_output(jax.random.key(0), rows, jnp.zeros((1, 4, 4, 3)))
    assert context.tokens.shape == (1, 24, 8) and context.pooled.shape == (1, 8)


def test_pictures_are_not_mirrored_where_captions_say_left() -> None:
    config = base.get_config()
    config.conditioner, config.flip = f"text_encoder(path={str(CLIP)!r})", True
    with pytest.raises(UserError, match="reads captions that say 'left'"):
        check_flip(config, dj.data.shapes())
