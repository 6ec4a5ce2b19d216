"""A folder of pictures with captions, and what can be wrong with one."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diffusion_jax.data.dataset import check_readable, datasets
from diffusion_jax.data.example import caption_of, take
from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers import Words

COLOURS = ("red", "green", "blue", "white", "black", "gold", "plum", "teal", "gray", "pink")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "deeper").mkdir()
    for colour in COLOURS:
        Image.new("RGB", (20, 12), colour).save(tmp_path / "deeper" / f"{colour}.png")
    write(tmp_path, [{"file_name": f"deeper/{c}.png", "text": f"a {c} wall"} for c in COLOURS])
    return tmp_path


def write(path, entries):
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (path / "metadata.jsonl").write_text("\n".join(lines) + "\n\n")


def make(path, **settings):
    listed = "".join(f", {name}={value!r}" for name, value in settings.items())
    return datasets.make(f"folder(path={str(path)!r}, size=8{listed})")


def test_pictures_and_captions_belong_together(path):
    data = make(path, held_out=0.4)
    examples = [*map(data.train.__getitem__, range(len(data.train)))]
    assert len(examples) + len(data.test) == len(COLOURS)
    for example in examples:
        colour = caption_of(example).split()[1]
        expected = Image.new("RGB", (8, 8), colour)
        np.testing.assert_array_equal(example["image"], np.asarray(expected))
        Words().fit(data.captions).encode(caption_of(example))


def held_out_captions(path):
    return make(path, held_out=0.4, split="captions").held_out_captions


def test_captions_are_held_out_where_asked_for(path):
    data = make(path, held_out=0.4, split="captions")
    held_out = set(data.held_out_captions)
    assert {caption_of(data.test[i]) for i in range(len(data.test))} == held_out
    assert not held_out & {caption_of(data.train[i]) for i in range(len(data.train))}
    entries = [{"file_name": f"deeper/{c}.png", "caption": f"A {c} wall."} for c in COLOURS[::-1]]
    write(path, [*entries, {"file_name": "deeper/red.png", "caption": "one more"}])
    again = {caption.lower().rstrip(".") for caption in held_out_captions(path)}
    assert again - {"one more"} == held_out


def test_pictures_are_cut_to_squares_and_turned_grey(path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, :10], wide[:, 10:20], wide[:, 20:] = (255, 0, 0), (90, 90, 90), (0, 0, 255)
    Image.fromarray(wide).save(path / "deeper" / "red.png")
    data = make(path, held_out=0.4, channels=1)
    pictures = [source[i] for source in (data.train, data.test) for i in range(len(source))]
    (red,) = [e["image"] for e in pictures if caption_of(e) == "a red wall"]
    assert red.shape == (8, 8, 1)
    assert np.abs(red.astype(int) - 90).max() <= 2


def test_transparent_parts_become_white(path):
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(path / "deeper" / "red.png")
    data = make(path, held_out=0.4)
    pictures = [source[i] for source in (data.train, data.test) for i in range(len(source))]
    (red,) = [e["image"] for e in pictures if caption_of(e) == "a red wall"]
    assert (red == 255).all()


def test_labels(path):
    kinds = {"red": "warm", "blue": "cold"}
    entries = [
        {"file_name": f"deeper/{c}.png", "text": f"a {c} wall", "label": kinds.get(c, "other")}
        for c in COLOURS
    ]
    write(path, entries)
    data = make(path, held_out=0.4)
    assert data.class_names == ("cold", "other", "warm")
    for source in (data.train, data.test):
        for i in range(len(source)):
            colour = caption_of(source[i]).split()[1]
            assert data.class_names[source[i]["label"]] == kinds.get(colour, "other")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{file_name:", r"metadata.jsonl, line 2: this is not JSON"),
        ("[]", r"line 2: there is no 'file_name'"),
        ({"text": "a wall"}, r"line 2: there is no 'file_name'"),
        ({"file_name": "deeper/red.png"}, r"line 2: there is no caption"),
        ({"file_name": "deeper/red.png", "text": " "}, r"line 2: there is no caption"),
        ({"file_name": "deeper/red.png", "text": "🐱!"}, r"line 2: there is no caption"),
        ({"file_name": "deeper/red.png", "text": 3}, r"line 2: there is no caption"),
        ({"file_name": "deeper/red.png", "text": "a \ud83d"}, r"line 2: there is no caption"),
        ({"file_name": "deeper/red.png", "text": "a " * 1001}, r"line 2: .* 1,001 words"),
        ({"file_name": "deeper/red.png", "text": ["a", "!"]}, r"line 2: there is no caption"),
        ({"file_name": "deeper/red.png", "text": "a", "label": 1}, r"line 1: there is no 'label'"),
        ("[" * 200_000, r"line 2: this is not JSON .*nested"),
        ('{"file_name": "deeper/red.png", "text": NaN}', r"line 2: there is no caption"),
        ('{"file_name": "deeper/red.png", "text": "a", "text": "b"}', r"line 2: .*twice"),
        (
            '{"file_name": "deeper/red.png", "text": "a", "x": ' + "9" * 5000 + "}",
            r"line 2: .*JSON",
        ),
        (
            {"file_name": "deeper/../../outside.png", "text": "a"},
            r"line 2: .*not within the folder",
        ),
        ({"file_name": "broken.png", "text": "a"}, r"line 2: there is no picture"),
        ({"file_name": "a\0b.png", "text": "a"}, r"line 2: there is no picture"),
        ({"file_name": "a" * 5000, "text": "a"}, r"line 2: there is no picture"),
        ({"file_name": "\ud800.png", "text": "a"}, r"line 2: there is no picture"),
        (
            {"file_name": "deeper/no.png", "text": "a wall"},
            r"line 2: there is no picture .*no\.png",
        ),
    ],
)
def test_wrong_lines_are_named(path, line, message):
    Image.new("RGB", (9, 9)).save(path.parent / "outside.png")
    (path / "broken.png").symlink_to(path / "nothing.png")
    write(path, [{"file_name": "deeper/red.png", "text": "a red wall"}, line])
    with pytest.raises(UserError, match=message) as error:
        make(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((1, "1"), "line 2: the label '1' is a str"),
        ((1, True), "line 2: .*not True"),
        (("a", None), "line 2: there is no 'label'"),
        ((["a"], ["a"]), r"line 1: .*whole number, not \['a'\]"),
        ((0.5, 0.5), "line 1: .*whole number, not 0.5"),
        (("a", " "), "line 2: the label is empty"),
        (("a cat", "a  cat"), "line 2: .*'a cat' and 'a  cat' differ in spacing"),
        (("caf\u00e9", "cafe\u0301"), "line 2: .*differ in spacing or normal form"),
        ((float("nan"), float("nan")), "line 1: .*whole number, not nan"),
    ],
)
def test_wrong_labels_are_named(path, labels, message):
    names = zip(COLOURS, labels, strict=False)
    write(path, [{"file_name": f"deeper/{c}.png", "text": c, "label": own} for c, own in names])
    with pytest.raises(UserError, match=message):
        make(path)


def test_pictures_may_be_links_to_a_store_elsewhere(path, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    for colour in COLOURS[:5]:
        (path / "deeper" / f"{colour}.png").rename(store / colour)
        (path / "deeper" / f"{colour}.png").symlink_to(store / colour)
    (path / "deeper").rename(store / "deeper")
    (path / "deeper").symlink_to(store / "deeper")
    data = make(path, held_out=0.4)
    assert len(data.train) + len(data.test) == len(COLOURS)
    check_readable(data)


def test_labels_in_capitals_are_classes_of_their_own(path):
    named = zip(COLOURS, "AaBbCcDdEe", strict=True)
    write(path, [{"file_name": f"deeper/{c}.png", "text": c, "label": own} for c, own in named])
    assert make(path).class_names == tuple("ABCDEabcde")


def test_what_is_not_read_may_be_anything(path):
    rows = [{"file_name": f"deeper/{c}.png", "text": c, "score": float("nan")} for c in COLOURS]
    write(path, [*rows[1:], '{"file_name": "deeper/red.png", "text": "a", "x": -Infinity}'])
    assert len(make(path, held_out=0.4).prompts) == len(COLOURS)


@pytest.mark.parametrize("told", [{"text": "a", "caption": "b"}, {"text": ["a", "b", "a"]}])
def test_several_captions_of_a_picture(path, told):
    write(path, [{"file_name": f"deeper/{c}.png"} | told for c in COLOURS])
    data = make(path, held_out=0.4)
    assert {data.train[k]["captions"] for k in range(len(data.train))} == {("a", "b")}
    assert data.prompts == ("a", "b")
    apart = make(path, held_out=0.5, split="captions")
    assert len(apart.train) == len(apart.test) == len(COLOURS)
    assert {caption_of(apart.train[k]) for k in range(10)} == {"a"}
    assert {caption_of(apart.test[k]) for k in range(10)} == {"b"}


def test_lines_end_with_line_feeds_alone_and_a_mark_may_come_first(path):
    captions = ["one\u2028two", "one\u2029two", "one\x85two", "one\x0btwo"]
    lines = [
        json.dumps({"file_name": f"deeper/{c}.png", "text": text}, ensure_ascii=False)
        for c, text in zip(COLOURS, captions, strict=False)
    ]
    (path / "metadata.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    data = make(path, held_out=0.4)
    assert set(data.prompts) == set(captions) and len(data.train) + len(data.test) == 4


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_damaged_pictures_are_named(path, content):
    for colour in COLOURS:
        file = path / "deeper" / f"{colour}.png"
        file.write_bytes(file.read_bytes()[:60] if content is None else content)
    with pytest.raises(UserError, match=r"Cannot read the picture .*\.png"):
        make(path, held_out=0.4).train[0]


def test_no_metadata(tmp_path):
    with pytest.raises(UserError, match=r"There is no picture in .*, and no metadata\.jsonl"):
        make(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"says what a\.png shows: .*file_name.*metadata\.csv"):
        make(tmp_path)
    with pytest.raises(UserError, match=r"There is no folder .*nowhere"):
        make(tmp_path / "nowhere")
    write(tmp_path, [])
    with pytest.raises(UserError, match="names no pictures"):
        make(tmp_path)


NAMES = [f"{'robins' if k % 2 else 'blue_tits'}/{k}.png" for k in range(8)]
SAID = [[f"bird {k}", f'a "bird", {k}'] for k in range(8)]


def in_json(path):
    rows = [
        {"file_name": name, "text": said, "label": name.split("/")[0]}
        for name, said in zip(NAMES, SAID, strict=True)
    ]
    (path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def in_csv(path):
    with (path / "metadata.csv").open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "text", "caption", "label", "width"])
        for name, said in zip(NAMES, SAID, strict=True):
            rows.writerow([name, *said, name.split("/")[0], ""])


def in_parquet(path):
    columns = {"file_name": NAMES, "text": SAID, "label": [name.split("/")[0] for name in NAMES]}
    pq.write_table(pa.table(columns), path / "metadata.parquet")


def in_texts(path):
    for name, said in zip(NAMES, SAID, strict=True):
        (path / name).with_suffix(".txt").write_text("\r\n".join([*said, ""]), encoding="utf-8-sig")


@pytest.mark.parametrize("write", [in_json, in_csv, in_parquet, in_texts])
def test_captions_and_classes_in_any_of_the_usual_ways(write, tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (20 * int(Path(name).stem), 0, 0)).save(tmp_path / name)
    write(tmp_path)
    data = make(tmp_path, held_out=0.3)
    found = {
        int(example["image"][0, 0, 0]) // 20: (example["captions"], example["label"])
        for side in (data.train, data.test)
        for example in take(side, range(len(side)))
    }
    assert data.class_names == ("blue_tits", "robins")
    assert found == {k: (tuple(SAID[k]), k % 2) for k in range(8)}


def test_a_class_is_its_own_caption_where_there_is_no_other(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (20 * int(Path(name).stem), 0, 0)).save(tmp_path / name)
    data = make(tmp_path, held_out=0.3)
    assert set(data.captions) == {"blue tits", "robins"}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("metadata.csv", "file_name,text\n0.png,a,b\n", "line 2: there are 3 cells for 2 columns"),
        ("metadata.csv", "file_name,text,text\n0.png,a,b\n", "line 1: a column is named twice"),
        ("metadata.csv", "file_name,text\n0.png,\n", "line 2: there is no caption in words"),
        ("metadata.csv", 'file_name,text\n0.png,"a\n', "this is not CSV"),
        ("metadata.csv", "file,text\n0.png,a\n", "line 2: there is no 'file_name'"),
        ("metadata.csv", "", "names no pictures"),
        ("metadata.csv", b"\xff\xfe", "it is not UTF-8 text"),
        ("metadata.parquet", "text", "is not a Parquet file"),
    ],
)
def test_tables_that_say_nothing(name, content, part, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as refusal:
        make(tmp_path)
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_empty_splits(path):
    with pytest.raises(UserError, match="0 to test with"):
        make(path, held_out=0.0)
    with pytest.raises(UserError, match=r"0 pictures .* to train on"):
        make(path, held_out=1.0)


def test_wrong_channels(path):
    for settings in ({"channels": 5}, {"channels": 0}):
        with pytest.raises(UserError, match="channels=[05].*1, 2, 3 or 4"):
            make(path, **settings)
    with pytest.raises(UserError, match="size=5000.*give a size from 1 to 4096"):
        datasets.make(f"folder(path={str(path)!r}, size=5000)")


def test_a_broken_picture_of_either_side_is_found(path):
    data = make(path, held_out=0.4)
    check_readable(data)
    for source in (data.train, data.test):
        (red,) = {caption_of(example).split()[1] for example in source.__getitems__([0])}
        file = path / "deeper" / f"{red}.png"
        whole = file.read_bytes()
        file.write_bytes(whole[:45])
        with pytest.raises(UserError, match=rf"Cannot read the picture .*{red}\.png"):
            check_readable(make(path, held_out=0.4))
        file.write_bytes(whole)


def test_pictures_read_as_they_are_needed(path):
    whole = {example["key"]: example for example in everything(make(path, held_out=0.4))}
    lazy = make(path, held_out=0.4, memory=False)
    assert lazy.train.fingerprint != make(path, held_out=0.4).train.fingerprint
    found = everything(lazy)
    assert len(found) == len(COLOURS) and len(lazy.test)
    for example in found:
        np.testing.assert_array_equal(example.pop("image"), whole[example["key"]].pop("image"))
        assert example == whole[example["key"]]
    # Only what is asked for is read.
    (path / "deeper" / "gold.png").write_bytes(b"damaged")
    again = make(path, held_out=0.4, memory=False)
    gold = COLOURS.index("gold")
    for side in (again.train, again.test):
        for k in range(len(side)):
            if lazy_key(side, k) == gold:
                with pytest.raises(UserError, match=r"gold\.png"):
                    side[k]
            else:
                assert side[k]["captions"]


def lazy_key(side, index):
    """Of an example whose picture may be damaged."""
    return side._rows[index]


def everything(data):
    return [source[k] for source in (data.train, data.test) for k in range(len(source))]


def test_height_and_width_may_differ(path):
    tall = np.zeros((30, 20, 3), np.uint8)
    tall[:10], tall[10:20], tall[20:] = (255, 0, 0), (90, 90, 90), (0, 0, 255)
    Image.fromarray(tall).save(path / "deeper" / "red.png")
    data = datasets.make(f"folder(path={str(path)!r}, size=(6, 12), held_out=0.4)")
    assert data.shape == (6, 12, 3) and data.form == "pictures of 6×12"
    red = next(e for e in everything(data) if caption_of(e) == "a red wall")
    assert red["image"].shape == (6, 12, 3)
    # Its middle third, twice as wide as it is high; the filter sees a little beyond.
    assert np.abs(red["image"].astype(int) - 90).max() <= 12
