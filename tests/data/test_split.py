"""Which pictures of a folder are for testing: by what they show, a part of every class."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import caption_of
from diffusion_jax.errors import UserError


def noise(count, first=0):
    return [
        np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        for k in range(first, first + count)
    ]


def save(path, rows):
    """Rows of (file name, picture, caption, label)."""
    path.mkdir(exist_ok=True)
    lines = []
    for name, picture, caption, label in rows:
        Image.fromarray(picture).save(path / name)
        line = {"file_name": name, "text": caption}
        lines.append(line if label is None else line | {"label": label})
    (path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return path


def make(path, **settings):
    listed = "".join(f", {name}={value!r}" for name, value in settings.items())
    return datasets.make(f"folder(path={str(path)!r}, size=8{listed})")


def shown(source):
    return [source[k]["image"].tobytes() for k in range(len(source))]


def labels(data, source):
    return {data.class_names[source[k]["label"]] for k in range(len(source))}


def test_a_picture_with_several_captions_is_on_one_side(tmp_path):
    rows = [
        (f"{k}.png", picture, f"{word} number {k}", None)
        for k, picture in enumerate(noise(60))
        for word in ("one", "a", "the")
    ]
    data = make(save(tmp_path, rows), held_out=0.2)
    assert len(data.train) + len(data.test) == 180 and len(data.test) % 3 == 0
    assert 5 <= len(set(shown(data.test))) <= 20
    assert not set(shown(data.train)) & set(shown(data.test))
    assert data.held_out_captions == () and len(data.prompts) == 180


def test_copies_in_other_files_and_formats_are_on_one_side(tmp_path):
    rows = [
        (f"{name}{k}.{ending}", picture, f"a {name} {k}", None)
        for k, picture in enumerate(noise(40))
        for name, ending in (("first", "png"), ("second", "png"), ("third", "bmp"))
    ]
    data = make(save(tmp_path, rows), held_out=0.2)
    assert len(data.test) % 3 == 0 and len(data.test)
    assert not set(shown(data.train)) & set(shown(data.test))


@pytest.mark.parametrize("count", [2, 3])
def test_every_class_is_on_both_sides(tmp_path, count):
    names = ("benign", "malignant", "none", "rare")
    rows = [
        (f"{name}{k}.png", picture, name, name)
        for n, name in enumerate(names)
        for k, picture in enumerate(noise(count, first=10 * n))
    ]
    rows.append(("single.png", noise(1, first=99)[0], "single", "single"))
    for held_out in (0.01, 0.5, 0.99):
        data = make(save(tmp_path, rows), held_out=held_out)
        both = labels(data, data.train) & labels(data, data.test)
        assert both == set(names) and len(data.train) + len(data.test) == len(rows)


def test_pictures_stay_where_they_are_when_others_are_added(tmp_path):
    rows = [(f"{k}.png", picture, "a thing", None) for k, picture in enumerate(noise(50))]
    before = make(save(tmp_path, rows), held_out=0.2)
    more = [(f"{k}x.png", picture, "more", None) for k, picture in enumerate(noise(50, first=50))]
    after = make(save(tmp_path, [*more, *rows[::-1]]), held_out=0.2)
    assert set(shown(before.test)) < set(shown(after.test))
    assert set(shown(before.train)) < set(shown(after.train))
    assert 5 <= len(after.test) <= 40


def test_pictures_of_another_size_are_split_alike(tmp_path):
    rows = [(f"{k}.png", picture, f"thing {k}", None) for k, picture in enumerate(noise(30))]
    save(tmp_path, rows)
    whole, small = (
        datasets.make(f"folder(path={str(tmp_path)!r}, size={size}, held_out=0.2)")
        for size in (8, 4)
    )
    for side in ("train", "test"):
        a, b = getattr(whole, side), getattr(small, side)
        assert [caption_of(a[k]) for k in range(len(a))] == [
            caption_of(b[k]) for k in range(len(b))
        ]


def test_one_picture_cannot_be_split(tmp_path):
    picture = noise(1)[0]
    data = make(save(tmp_path, [(f"{k}.png", picture, f"copy {k}", None) for k in range(3)]))
    with pytest.raises(UserError, match="leaves 3 pictures .* and 0 to test with|leaves 0 picture"):
        len(data.train)


def test_the_fingerprint_is_of_what_is_trained_on(tmp_path):
    rows = [(f"{k}.png", picture, f"thing {k}", "a") for k, picture in enumerate(noise(8))]

    def fingerprint(name, rows):
        return make(save(tmp_path / name, rows), held_out=0.3).train.fingerprint

    same = fingerprint("one", rows)
    assert same == fingerprint("two", rows)
    changed = [
        [*rows, ("more.png", noise(1, first=50)[0], "another", "a")],
        [(name, picture, caption + " more", label) for name, picture, caption, label in rows],
        [(name, picture, caption, "b") for name, picture, caption, label in rows],
        [(name, 255 - picture, caption, label) for name, picture, caption, label in rows],
    ]
    prints = [fingerprint(f"other{k}", other) for k, other in enumerate(changed)]
    assert len({same, *prints}) == 5


def test_unknown_split(tmp_path):
    with pytest.raises(UserError, match="Unknown split .*'caption'.*Did you mean 'captions'"):
        make(save(tmp_path, [("0.png", noise(1)[0], "a", None)]), split="caption")


def test_lines_class_by_class_leave_both_classes_in_both_halves(tmp_path: Path) -> None:
    """Of testing, one half is what distances are measured to, the other what is asked for."""
    rng, rows = np.random.default_rng(0), []
    for index in range(80):
        name = f"{index}.png"
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / name)
        rows.append({"file_name": name, "text": "a cat" if index < 40 else "a dog"})
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    test = datasets.make(f"folder(path={str(tmp_path)!r}, size=8, held_out=0.4)").test
    captions = [caption_of(test[index]) for index in range(len(test))]
    half = len(captions) // 2
    for part in (captions[:half], captions[half:]):
        assert {"a cat", "a dog"} == set(part)
