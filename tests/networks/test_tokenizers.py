"""All tokenizers: what they promise, and what sets each apart."""

import json

import numpy as np
import pytest

from diffusion_jax.data.arrays import arrays
from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.transformer import TextTransformer
from diffusion_jax.networks.tokenizers import BytePairs, Words, tokenizers

CAPTIONS = ("a small red circle", "a large blue circle", "two red triangles at the left")


@pytest.fixture(params=sorted(tokenizers))
def unfit(request, tmp_path):
    """Every member; the released one reads a file that the `tokenizers` library wrote."""
    if request.param != "released":
        return tokenizers.make(request.param)
    file = tmp_path / "tokenizer.json"
    file.write_text(library().to_str(), encoding="utf-8")
    return tokenizers.make(f"released(path={str(file)!r})")


def library():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = sorted({word for caption in CAPTIONS for word in caption.split()})
    own = Tokenizer(
        models.WordLevel({word: k for k, word in enumerate(["[UNK]", *words])}, "[UNK]")
    )
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing("[UNK] $A", special_tokens=[("[UNK]", 0)])
    own.enable_truncation(2)
    return own


def test_contract(unfit):
    tokenizer = unfit.fit(CAPTIONS)
    found = [tokenizer.encode(caption) for caption in CAPTIONS]
    assert len({ids.shape for ids in found}) == 1 and found[0].dtype == np.int32
    assert len({tuple(ids) for ids in found}) == len(CAPTIONS)
    for ids in found:
        (said,) = np.nonzero(ids)
        assert len(said) and (said == np.arange(len(said))).all()  # padding comes last
        assert ids.max() < tokenizer.vocabulary_size
    assert not tokenizer.encode("").any()
    assert hash(tokenizer) == hash(unfit.fit(CAPTIONS)) and tokenizer == unfit.fit(CAPTIONS)
    long = " ".join(CAPTIONS)
    if isinstance(tokenizer, Words):
        with pytest.raises(UserError, match="at most"):
            tokenizer.encode(long)
        return
    # What is kept and what is cut off are the whole text, and the first part is encoded alike.
    cut = tokenizer.beyond(long)
    assert cut and long.endswith(cut)
    assert not any(map(tokenizer.beyond, CAPTIONS))
    np.testing.assert_array_equal(
        tokenizer.encode(long), tokenizer.encode(long.removesuffix(cut).rstrip())
    )
    assert tokenizer.beyond("") == ""


PROMPTS = ("", "zebra", "שלום עולם", "🐕 dog", "a red " * 400, "\0\n\u200b", "\ufeffé e\u0301")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_bytes_refuse_no_prompt(prompt):
    tokenizer = BytePairs(size=300).fit(CAPTIONS)
    ids = tokenizer.encode(prompt)
    assert ids.shape == tokenizer.encode(CAPTIONS[0]).shape
    assert ids.any() == bool(prompt)


def test_a_prompt_that_is_too_long_is_cut_with_a_warning_that_shows_what():
    conditioner = TextTransformer(width=8, heads=2, tokenizer=BytePairs(size=300))
    known = conditioner.fit(arrays(np.zeros((4, 2, 2, 1), np.uint8), captions=["a cat"] * 4))
    with pytest.warns(UserWarning, match="this was cut: .*mat'"):
        found = known.ask(["a cat on the mat"])
    np.testing.assert_array_equal(found["tokens"], known.ask(["a cat"])["tokens"])
    with pytest.warns(UserWarning, match="Captions are cut off"):
        known.encode([{"captions": ("a cat on the mat",)}])


def test_what_was_learnt_is_read_back(unfit, tmp_path):
    tokenizer = unfit.fit(CAPTIONS)
    saved = json.loads(json.dumps(tokenizer.state()))
    for file in tmp_path.iterdir():
        file.unlink()
    again = unfit.restored(saved)
    assert (
        again == tokenizer
        and again.encode(CAPTIONS[0]).tolist() == tokenizer.encode(CAPTIONS[0]).tolist()
    )
    with pytest.raises(UserError, match="not a saved tokenizer"):
        unfit.restored([])


def test_byte_pairs_write_any_text():
    tokenizer = tokenizers.make("byte_pairs(size=300, max_tokens=40)").fit(CAPTIONS)
    ids = tokenizer.encode("ein großer Kreis ○")
    assert tokenizer.vocabulary_size <= 300 and ids.any()
    # Frequent pairs have become one token: known captions take fewer than bytes.
    assert (tokenizer.encode("a small red circle") > 0).sum() < len("a small red circle") / 2


def test_a_released_tokenizer_keeps_its_numbers():
    """Each of the library's own ids plus one, without the tokens that it would add around."""
    own = library()
    from diffusion_jax.networks.tokenizers import Released

    ids = Released(model=own.to_str()).fit(CAPTIONS).encode(CAPTIONS[2])
    own.no_truncation()
    wanted = own.encode(CAPTIONS[2], add_special_tokens=False).ids
    assert (ids[: len(wanted)] - 1).tolist() == wanted


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("released", "needs path"),
        ("released(path='/nowhere/tokenizer.json')", "Cannot read the tokenizer"),
        ("byte_pairs(size=3)", "size must be"),
    ],
)
def test_refusals(spec, message):
    with pytest.raises(UserError, match=message):
        tokenizers.make(spec).fit(CAPTIONS)


def test_a_file_that_is_no_tokenizer(tmp_path):
    (tmp_path / "t.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="not the text of a tokenizer.json"):
        tokenizers.make(f"released(path={str(tmp_path / 't.json')!r})").fit(CAPTIONS)
