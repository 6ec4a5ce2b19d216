"""What is said of a data set is what was put into it."""

import json

import numpy as np
import pytest
from PIL import Image

import diffusion_jax as dj
from diffusion_jax.data.overview import duplicates, look_at, script_of
from diffusion_jax.data.overview.duplicates import seen
from diffusion_jax.reports import data_card
from tests.data import record_files as files


def drawn(number: int, side: int = 32) -> np.ndarray:
    """A picture of some large spots, that no other is nearly like."""
    spots = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC))


def test_the_same_and_nearly_the_same() -> None:
    noise = np.random.default_rng(0).integers(-6, 7, (32, 32, 3))
    a, b, c = (drawn(k) for k in range(3))
    brighter = np.clip(b.astype(int) + 4, 0, 255).astype(np.uint8)
    noisy = np.clip(a.astype(int) + noise, 0, 255).astype(np.uint8)
    again = np.asarray(Image.fromarray(c).resize((24, 24)).resize((32, 32)))
    others = [drawn(k) for k in range(10, 60)]
    found = duplicates([seen(x) for x in [a, b, noisy, *others, c, a, brighter, again]])
    assert found.exact == ((0, 54),)
    assert found.near == ((0, 2, 54), (1, 55), (53, 56))


def test_pictures_without_edges_are_told_by_their_brightness() -> None:
    plain = [np.full((16, 16, 1), value, np.uint8) for value in (0, 3, 128, 255)]
    assert duplicates([seen(each) for each in plain]).near == ((0, 1),)


def test_pairs_agree_with_a_search_over_all() -> None:
    generator = np.random.default_rng(1)
    noise = generator.integers(-5, 6, (120, 32, 32, 3))
    pictures = [drawn(k % 40).astype(int) + noise[k] for k in range(120)]
    kept = [seen(np.clip(each, 0, 255).astype(np.uint8)) for each in pictures]
    found = duplicates(kept)
    pairs = {
        (i, j)
        for i in range(120)
        for j in range(i + 1, 120)
        if (kept[i].hash ^ kept[j].hash).bit_count() <= 3
        and np.abs(kept[i].small - kept[j].small).mean() <= 6
    }
    together = {(i, j) for group in found.near for i in group for j in group if i < j}
    assert pairs
    assert pairs <= together
    connected = {k for pair in pairs for k in pair}
    assert {k for group in found.near for k in group} == connected


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a dog", "Latin"),
        ("ein Hündchen, собака", "Latin"),
        ("собака", "Cyrillic"),
        ("كلب", "Arabic"),
        ("כלב", "Hebrew"),
        ("犬が走る", "Han"),
        ("いぬ", "Japanese"),
        ("कुत्ता", "Devanagari"),
        ("σκύλος", "Greek"),
        ("🐕 123 !?", "no letters"),
        ("", "no letters"),
    ],
)
def test_scripts(text: str, script: str) -> None:
    assert script_of(text) == script


def planted(path) -> "dj.data.Dataset":
    """24 records, of which some are damaged, in several sizes, some twice."""
    members = []
    for k in range(24):
        picture = Image.fromarray(drawn(3 if k in (4, 5) else k, 16 + 8 * (k % 2)))
        picture.save(path / "x.png")
        content = b"damaged" if k == 9 else (path / "x.png").read_bytes()
        text = ["a dog", "собака", "a big red dog"][k % 3]
        members += [(f"{k:02d}.png", content), (f"{k:02d}.txt", text.encode())]
    files.write_tar(path / "a.tar", members)
    return dj.data.web_dataset(str(path / "a.tar"), size=16, held_out=0.3, damaged=0.5)


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_a_data_set_with_planted_faults(tmp_path) -> None:
    data = planted(tmp_path)
    overview = look_at(data)
    sides = overview.sides
    assert {name: side.count for name, side in sides.items()} == {
        "train": len(data.train),
        "test": len(data.test),
    }
    total = {
        key: sum(side.scripts.get(key, 0) for side in sides.values())
        for key in ("Latin", "Cyrillic")
    }
    assert sum(total.values()) == 24
    assert abs(total["Cyrillic"] - 8) <= 1  # one more or less where another stands in
    assert {size for side in sides.values() for size in side.sizes} == {(16, 16), (24, 24)}
    damaged = {key for side in sides.values() for key in side.damaged}
    assert damaged == {"a.tar/09"}
    # 3, 4 and 5 are one picture, of which that of size 24 was resized otherwise; and what stands in
    # for the damaged one is there twice.
    alike = [{overview.keys[k][-2:] for k in group} for group in overview.duplicates.near]
    same = [{overview.keys[k][-2:] for k in group} for group in overview.duplicates.exact]
    assert {"03", "05"} in same or {"03", "04", "05"} in [*alike, *same]
    assert any({"04", "05"} <= group for group in [*alike, *same])

    words = {k: v for side in sides.values() for k, v in side.words.items()}
    assert set(words) == {1, 2, 4}
    command = "python -m experiments.data"
    pictures = {k: data.train[0] for group in data_card.groups_to_show(overview) for k in group}
    page, table = data_card.write_card(overview, pictures, tmp_path, command)
    text = page.read_text()
    for part in (
        "a.tar/09",
        "it is not a picture",
        "Cyrillic",
        "собака",
        command,
        "data:image/png",
    ):
        assert part in text
    assert "data:image/png" in text
    assert "http" not in text.replace("http-equiv", "")
    numbers = json.loads(table.read_text())
    assert numbers["sides"]["train"]["count"] == len(data.train)
    assert dict(data_card.lines(overview))["train: tokens"].startswith("median")


def test_of_more_than_are_looked_at_so_many_evenly_spread() -> None:
    data = dj.data.shapes(level="one", size=12)
    overview = look_at(data, most=50, shown=5)
    side = overview.sides["train"]
    assert (side.count, side.looked_at, len(overview.examples)) == (len(data.train), 50, 5)
    assert sum(side.sizes.values()) == 50


def test_vectors_and_classes_without_captions() -> None:
    overview = look_at(dj.data.two_moons(), most=20)
    assert overview.duplicates is None
    assert not overview.sides["train"].sizes
    labelled = dj.data.arrays(
        np.zeros((40, 4, 4, 1), np.uint8), labels=np.arange(40) % 2, class_names=("cat", "dog")
    )
    seen_of = look_at(labelled)
    assert set(seen_of.sides["train"].labels) == {"cat", "dog"}
    assert len(seen_of.shared) == 1
    assert dict(data_card.lines(seen_of))["train: captions"].startswith("0, 0 of them")
