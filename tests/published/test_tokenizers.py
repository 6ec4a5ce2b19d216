"""Released tokenizers give the ids that transformers gave from the same files."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers import tokenizers
from diffusion_jax.published.tokenizers import read_tokenizer
from tests.published.recorded import DATA

FOLDERS = sorted(path for path in (DATA / "tokenizers").iterdir() if path.is_dir())
EVERY = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def recorded(folder: Path) -> list[dict]:
    return json.loads((folder / "recorded.json").read_text())


def check(folder: Path, rows: list[dict]) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        ids, mask = read_tokenizer(folder)([row["text"] for row in rows])
    np.testing.assert_array_equal(ids, [row["ids"] for row in rows])
    np.testing.assert_array_equal(mask, np.array([row["mask"] for row in rows], bool))
    cut = [row["cut"].strip() for row in rows if row["cut"] is not None]
    assert len(given) == len(cut) > 0
    for warning, words in zip(given, cut, strict=True):
        assert f"this was cut: {words!r}" in str(warning.message)


@EVERY
def test_ids_and_what_is_cut_are_the_originals(folder: Path) -> None:
    check(folder, recorded(folder))


@EVERY
def test_a_tokenizer_json_of_the_same_gives_the_same(folder: Path, tmp_path: Path) -> None:
    read_tokenizer(folder).library.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(folder / "tokenizer_config.json", tmp_path)
    check(tmp_path, recorded(folder))


@EVERY
def test_captions_of_ones_own_are_read_by_it(folder: Path) -> None:
    captions = ("a red circle", "the dog")
    tokenizer = tokenizers.make(f"released(path={str(folder)!r})").fit(captions)
    again = tokenizers.make("released").restored(tokenizer.state())
    assert [again.encode(each).tolist() for each in captions] == [
        tokenizer.encode(each).tolist() for each in captions
    ]
    assert tokenizer.encode(captions[0]).all()


@EVERY
def test_a_strict_tokenizer_refuses_what_it_would_cut(folder: Path) -> None:
    tokenizer = read_tokenizer(folder, strict=True)
    with pytest.raises(UserError, match=r"has \d+ tokens, and .* shorten it by") as refused:
        tokenizer(["the fox " * 12])
    assert "\n" not in str(refused.value)
    ids, _ = tokenizer(["a dog"], length=9)
    assert ids.shape == (1, 9)


def copied(folder: Path, tmp_path: Path, **settings: object) -> Path:
    new = tmp_path / "tokenizer"
    shutil.copytree(folder, new)
    path = new / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return new


@pytest.mark.parametrize(
    ("kind", "settings", "line"),
    [
        ("clip", {"padding_side": "lef"}, "padding_side of .*Did you mean 'left'"),
        ("clip", {"truncation_side": "left"}, "truncation_side='left' is not known"),
        ("clip", {"pad_token": "<odd>", "eos_token": "<odd>"}, "has no '<odd>'"),
        ("clip", {"tokenizer_class": "GPT2Tokenizer"}, "tokenizer.json only"),
        ("clip", {"added_tokens_decoder": {"999": {"content": "<new>"}}}, "the id 999"),
        ("t5", {"eos_token": "<odd>"}, "has no '<odd>'"),
        ("t5", {"model_max_length": "9"}, "model_max_length must be a positive number, not '9'"),
        ("t5", {"model_max_length": 0}, "model_max_length must be a positive number, not 0"),
        ("t5", {"added_tokens_decoder": {"x": 1}}, "must be tokens by their numbers"),
        ("t5", {"added_tokens_decoder": [1]}, "must be tokens by their numbers"),
    ],
)
def test_settings_that_are_not_known_are_refused(tmp_path, kind, settings, line) -> None:
    with pytest.raises(UserError, match=line) as refused:
        read_tokenizer(copied(DATA / "tokenizers" / kind, tmp_path, **settings))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "file", "content"),
    [
        ("clip", "vocab.json", b"{"),
        ("clip", "vocab.json", b"[1]"),
        ("clip", "vocab.json", b'{"a": "b"}'),
        ("clip", "merges.txt", b"zz zz\n"),
        ("clip", "merges.txt", b"\xff"),
        ("t5", "spiece.model", b""),
        ("t5", "spiece.model", b"\x0a\xff\xff\xff\xff\x7f"),
        ("t5", "spiece.model", b"\x0a\x06\x08\xff\xff\xff\xff\x0f"),  # a number, not text
        ("t5", "spiece.model", b"\xff" * 99),
        ("t5", "spiece.model", b"\x12\x02\x18\x02"),  # pairs of bytes, not unigrams
    ],
)
def test_damaged_files_are_refused_in_a_line(tmp_path, kind, file, content) -> None:
    folder = copied(DATA / "tokenizers" / kind, tmp_path)
    (folder / file).write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_tokenizer(folder)
    assert "\n" not in str(refused.value)


def test_every_cut_of_a_unigram_file_is_refused(tmp_path) -> None:
    folder = copied(DATA / "tokenizers" / "t5", tmp_path)
    whole = (folder / "spiece.model").read_bytes()
    for size in range(1, 300, 7):  # within the pieces: what they are trained by comes last
        (folder / "spiece.model").write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_tokenizer(folder)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"there is no tokenizer.json, merges.txt, vocab.txt"):
        read_tokenizer(tmp_path)
