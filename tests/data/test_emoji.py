"""Emoji out of packages: which pictures, what is said of them, and what is held out."""

import hashlib
import sys

import numpy as np
import pytest

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import take
from diffusion_jax.data.sets.emoji import assemble
from diffusion_jax.errors import UserError
from experiments import emoji as command
from tests.data import emoji_packages as packages


@pytest.fixture
def assembled(tmp_path):
    packages.write_packages(tmp_path)
    return tmp_path, assemble(tmp_path, tmp_path / "emoji")


def sides(path) -> list[list]:
    data = datasets.make(f"emoji(path={str(path / 'emoji')!r}, size=16)")
    return [take(side, range(len(side))) for side in (data.train, data.test)]


def number(example) -> int:
    return int(example["captions"][0].split()[1].rstrip(":"))


def test_every_named_picture_of_each_set(assembled) -> None:
    path, counts = assembled
    train, test = sides(path)
    assert counts == (len(train), len(test))
    assert sum(counts) == 3 * packages.NAMED * 3  # sets, names, skin tones
    said = {example["captions"] for example in train + test}
    assert ("thing 5", "thing 5, shiny 3D rendering", "thing 5, tag5, four, five, six") in said
    for example in train + test:
        style = ["google", "twitter", "fluent-emoji-3d"].index(
            next(s for s in ("google", "twitter", "fluent-emoji-3d") if s in example["key"])
        )
        middle, corner = example["image"][8, 8], example["image"][0, 0]
        assert middle.tolist() == [8 * number(example), 60 * style, 100]
        assert corner.tolist() == [255, 255, 255]


def test_a_concept_is_on_one_side_in_all_styles_and_skin_tones(assembled) -> None:
    train, test = ({number(example) for example in side} for side in sides(assembled[0]))
    assert not train & test
    assert train | test == set(range(packages.NAMED))
    held = {
        k
        for k, code in enumerate(packages.codes())
        if int(hashlib.sha256(code.replace("-fe0f", "").lstrip("0").encode()).hexdigest(), 16)
        < 2**256 // 10
    }
    assert test == held


def test_the_same_packages_give_the_same_files(assembled) -> None:
    path, _ = assembled
    again = path / "again"
    assemble(path, again)
    for file in again.iterdir():
        assert file.read_bytes() == (path / "emoji" / file.name).read_bytes()


def test_drawings_of_lines_are_rendered(tmp_path) -> None:
    pytest.importorskip("resvg_py")
    packages.write_packages(tmp_path, svg=True)
    assemble(tmp_path, tmp_path / "emoji")
    found = [e for side in sides(tmp_path) for e in side if "modern" in e["key"]]
    assert len(found) == 1
    assert (found[0]["image"] == np.uint8([255, 0, 0])).all()


def test_without_what_renders_them(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    packages.write_packages(tmp_path, svg=True)
    with pytest.raises(UserError, match="pip install resvg-py"):
        assemble(tmp_path, tmp_path / "emoji")
    assert not (tmp_path / "emoji").exists()


def test_the_command(tmp_path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    packages.write_packages(tmp_path)
    command.main([f"--out={tmp_path / 'emoji'}", f"--packages={tmp_path}"])
    assert f"emoji(path='{tmp_path / 'emoji'}', size=32)" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"no .*emoji-train\.tar.*python -m experiments\.emoji"):
        datasets.make(f"emoji(path={str(tmp_path)!r})")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="There is no npm"):
        command.main([f"--out={tmp_path / 'other'}", f"--packages={tmp_path / 'none'}"])
    next(tmp_path.glob("emojibase*.tgz")).write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"Cannot read .*emojibase-data-17\.0\.0\.tgz"):
        command.main([f"--out={tmp_path / 'other'}", f"--packages={tmp_path}"])
