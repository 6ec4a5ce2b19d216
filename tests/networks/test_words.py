"""Captions as numbers of words."""

import json
import unicodedata

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers import Words
from diffusion_jax.words import split_words

CAPTIONS = ["A small red circle.", "a dog's life, in black-and-white"]


def test_words_are_told_apart_and_padded():
    tokenizer = Words().fit(CAPTIONS)
    first, second = map(tokenizer.encode, CAPTIONS)
    assert tokenizer.max_tokens == len(second) == len(first) == 5
    assert (first[4:] == 0).all() and (first[:4] > 0).all()
    assert len({*first[:4], *second}) == tokenizer.vocabulary_size - 1 == 8
    assert max(*first, *second) == 8
    np.testing.assert_array_equal(tokenizer.encode("A SMALL, red circle"), first)


def test_no_caption_is_padding():
    assert not Words().fit(CAPTIONS).encode("").any()


def test_json_round_trip():
    tokenizer = Words().fit(CAPTIONS)
    assert Words().restored(json.loads(json.dumps(tokenizer.state()))) == tokenizer


@pytest.mark.parametrize("text", ["null", "[]", "{}", '{"words": 3, "max_tokens": 1}'])
def test_foreign_json(text):
    with pytest.raises(UserError, match="not a saved tokenizer"):
        Words().restored(json.loads(text))


def test_unknown_word():
    with pytest.raises(UserError, match=r"'circel'.*Did you mean 'circle'.*Known: a, ") as error:
        Words().fit(CAPTIONS).encode("a small circel")
    assert "\n" not in str(error.value)


def test_too_many_words():
    with pytest.raises(UserError, match=r"6 words.*at most 5"):
        Words().fit(CAPTIONS).encode("a a a a a a")


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("हिन्दी में चित्र", ["हिन्दी", "में", "चित्र"]),  # vowel signs and viramas
        ("தமிழ், ภาษาไทย", ["தமிழ்", "ภาษาไทย"]),
        ("می\u200cخواهم کتاب", ["می\u200cخواهم", "کتاب"]),  # a joiner within a word
        ("sun ☀\ufe0f rises", ["sun", "rises"]),  # a mark on what is no letter is no word
        ("İstanbul'da Größe", ["i̇stanbul'da", "größe"]),
    ],
)
def test_words_keep_their_marks(caption, words):
    assert split_words(caption) == words


def test_ways_to_write_the_same_letters_are_one_word():
    names = ["Café", "Ångström", "Việt", "한국", "ΐ"]
    composed, decomposed = (
        [unicodedata.normalize(form, name) for name in names] for form in ("NFC", "NFD")
    )
    assert composed != decomposed
    tokenizer = Words().fit([" ".join(composed)])
    ids = tokenizer.encode(" ".join(decomposed))
    np.testing.assert_array_equal(ids, tokenizer.encode(" ".join(composed)))
    assert tokenizer.vocabulary_size == len(names) + 1


def test_saved_tokenizers_keep_their_numbers():
    saved = '{"words": ["red", "a", "dog\'s"], "max_tokens": 4}'
    assert Words().restored(json.loads(saved)).encode("A dog's red").tolist() == [2, 3, 1, 0]
