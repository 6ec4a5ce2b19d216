"""Captioned pictures of any number: every format, what is cut, and what damage does."""

import io
import json
import pickle
import re
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import take
from diffusion_jax.data.pictures import cut_out
from diffusion_jax.data.pipeline import batches
from diffusion_jax.data.sets.web_dataset.index import index_of
from diffusion_jax.errors import UserError
from tests.data import record_files as files


def numbers_of(examples: list) -> list[int]:
    """Which pictures these are, by their captions."""
    return [int("".join(filter(str.isdigit, example["captions"][0]))) for example in examples]


def all_of(data) -> list:
    return [*take(data.train, range(len(data.train))), *take(data.test, range(len(data.test)))]


@pytest.mark.parametrize("name", files.FORMATS)
def test_every_format_gives_the_pictures_that_were_written(name: str, tmp_path) -> None:
    data = datasets.make(files.FORMATS[name](tmp_path))
    examples = all_of(data)
    first = int(name == "visual_genome")
    assert sorted(numbers_of(examples)) == list(range(first, first + files.COUNT))
    lossy = name in ("coco", "flickr30k", "visual_genome")
    for number, example in zip(numbers_of(examples), examples, strict=True):
        wanted = ImageOps.fit(files.picture(number), (6, 6), Image.Resampling.LANCZOS)
        off = np.abs(example["image"].astype(int) - np.asarray(wanted)).max()
        assert off <= (3 if lossy else 0)
        assert example["original_size"].tolist() == [files.HIGH, files.WIDE]
        assert example["crop"].tolist() == [0, 4]
        if name in ("parquet", "array_records"):
            assert example["label"] == number % 3 and data.class_names == ("x", "y", "z")


def test_captions_of_every_format(tmp_path) -> None:
    def said(name: str) -> dict[int, tuple[str, ...]]:
        (tmp_path / name).mkdir()
        examples = all_of(datasets.make(files.FORMATS[name](tmp_path / name)))
        return dict(zip(numbers_of(examples), (e["captions"] for e in examples), strict=True))

    two = {k: tuple(files.captions(k)) for k in range(files.COUNT)}
    for name in ("parquet", "array_records", "coco", "flickr30k"):
        assert said(name) == two
    assert said("web_dataset") == {k: two[k] if k % 2 else two[k][:1] for k in two}
    assert said("stamps")[7] == ("Picture number 7.",)
    assert said("visual_genome")[7] == ("all of number 7", "number 7, tall red tower")


@pytest.mark.parametrize("name", files.FORMATS)
def test_processes_read_the_same(name: str, tmp_path) -> None:
    source = datasets.make(files.FORMATS[name](tmp_path)).train
    source[0]  # so that what it keeps is there
    sent = pickle.dumps(source)
    assert len(sent) < 40_000  # no file's content goes along
    again = pickle.loads(sent)
    assert again.fingerprint == source.fingerprint
    np.testing.assert_array_equal(again[3]["image"], source[3]["image"])


def test_karpathys_split_of_flickr30k(tmp_path) -> None:
    files.flickr30k(tmp_path)
    sides = ["train", "restval", "val", "test"]
    images = [
        {
            "filename": f"{k}.jpg",
            "split": sides[k % 4],
            "sentences": [{"raw": text} for text in files.captions(k)],
        }
        for k in range(files.COUNT)
    ]
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"images": images}))
    data = datasets.make(f"flickr30k(path={str(tmp_path)!r}, size=4)")
    train, test = (take(side, range(len(side))) for side in (data.train, data.test))
    assert {k % 4 for k in numbers_of(train)} == {0, 1}
    assert {k % 4 for k in numbers_of(test)} == {3}


def test_stamps_in_other_languages(tmp_path) -> None:
    files.stamps(tmp_path)
    spec = f"stamps(path={str(tmp_path)!r}, size=6, language={{!r}})"
    german = datasets.make(spec.format("de"))
    assert set(german.captions) == {f"Bild Nummer {k}." for k in range(files.COUNT)}
    with pytest.raises(UserError, match="leaves 1 records"):
        datasets.make(spec.format("nl"))
    with pytest.raises(UserError, match="no stamp has a caption in language='fr'"):
        datasets.make(spec.format("fr"))
    with pytest.raises(UserError, match="tuxpaint-stamps-default brings them"):
        datasets.make("stamps(path='nowhere')")


@pytest.mark.parametrize("settings", ["", ", memory=False", ", crop='random'"])
def test_what_is_decoded_is_kept_where_there_is_room(settings: str, tmp_path) -> None:
    source = datasets.make(files.web_dataset(tmp_path)[:-1] + f"{settings})").train
    first = take(source, [0, 1])
    for shard in tmp_path.glob("*.tar"):
        shard.rename(tmp_path / f"{shard.name}.gone")
    if not settings:
        again = take(source, [0, 1])
        np.testing.assert_array_equal(again[1]["image"], first[1]["image"])
        again[1]["label"] = 9
        assert source[1]["label"] != 9
    else:
        with pytest.raises(UserError, match="cannot be read"):
            source[0]


def planted(path, **damage: tuple[str, bytes | None]) -> str:
    """24 records in a tar file, of which some are damaged: KEY=(ending, content)."""
    members = []
    for name, data in files.members(range(files.COUNT)):
        key, _, ending = name.partition(".")
        changed = damage.get(f"k{int(key)}", (None, None))
        data = changed[1] if changed[0] == ending else data
        if data is not None:
            members.append((name, data))
    files.write_tar(path / "a.tar", members)
    return f"web_dataset(path={str(path)!r}, size=6, held_out=0.3, captions=('txt', 'caption'), "


DAMAGE = {
    "k2": ("png", b"no picture"),
    "k3": ("png", files.content(3)[:60]),
    "k5": ("png", None),
    "k7": ("png", b""),
    "k8": ("txt", None),
    "k10": ("txt", b"  \n"),
    "k11": ("json", b"{"),
    "k13": ("json", b"[]"),
    "k15": ("json", b'{"text": "another field"}'),
    "k12": ("txt", b"a caf\xe9"),
    "k17": ("json", b'{"caption": ["a dog", 5]}'),
}


def test_the_next_good_record_stands_in_for_a_damaged_one(tmp_path) -> None:
    good = datasets.make(planted(tmp_path) + ")")
    records, rows = good.train.records, good.train.rows.tolist()
    whole = {records.key(row): row for row in rows}
    (tmp_path / "b").mkdir()
    data = datasets.make(planted(tmp_path / "b", **DAMAGE) + "damaged=0.5)")
    assert data.train.rows.tolist() == rows  # what is on which side depends on keys alone
    bad = {f"a.tar/{int(key[1:]):06d}" for key in DAMAGE}

    with pytest.warns(UserWarning, match=r"is damaged \(.*the next good one stands in"):
        found = take(data.train, range(len(data.train)))
    order = list(whole)
    for index, example in enumerate(found):
        expected = next(k for k in [*order[index:], *order] if k not in bad)
        assert example["key"] == expected
        np.testing.assert_array_equal(example["image"], good.train[order.index(expected)]["image"])
    assert set(data.train.damage.found) == bad & set(order)
    for text, key in (
        ("not UTF-8", 12),
        ("no text", 17),
        ("no picture", 5),
        ("is empty", 7),
        ("no caption", 10),
        ("JSON", 11),
    ):
        if f"a.tar/{key:06d}" in order:
            assert text in data.train.damage.found[f"a.tar/{key:06d}"]
    # and the other way round, so nothing depends on what was read before
    again = datasets.make(planted(tmp_path / "b", **DAMAGE) + "damaged=0.5)").train
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backwards = [again[k]["key"] for k in reversed(range(len(again)))]
    assert backwards == [each["key"] for each in reversed(found)]


def test_more_damage_than_is_borne_ends_with_a_list(tmp_path) -> None:
    data = datasets.make(planted(tmp_path, **DAMAGE) + "damaged=0.1)")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(UserError) as refusal:
        all_of(data)
    text = str(refusal.value)
    # Threads may meet some more before the first of them ends.
    assert re.search(r"[3-9] of 24 records are damaged, more than the share of 0.1 that dam", text)
    assert 3 <= text.count("a.tar/0000") == int(text.split(" of 24")[0][-1])
    assert "\n" not in text


def test_the_index_of_a_tar_file_is_made_once_and_again_when_the_file_is_another(tmp_path) -> None:
    shard = files.write_tar(tmp_path / "a.tar", files.members(range(3)))
    first = index_of(shard)
    kept = (tmp_path / "a.tar.index.npy").stat().st_mtime_ns
    assert index_of(shard).tobytes() == first.tobytes()
    assert (tmp_path / "a.tar.index.npy").stat().st_mtime_ns == kept
    files.write_tar(shard, files.members(range(5)))
    assert len(index_of(shard)) == 5
    (tmp_path / "a.tar.index.npy").write_bytes(b"damaged")
    assert len(index_of(shard)) == 5
    # Two files of one key whose others lie far apart, names in folders, long ones, hidden ones.
    odd = "é" * 90 + "/" + "x" * 60
    files.write_tar(
        shard,
        [("b/1.png", b"1"), (f"{odd}.JPG", b"22"), ("._b.png", b"-"), ("b/1.seg.png", b"-")]
        + [(f"{odd}.txt", b"333"), ("b/1.txt", b"4444")],
    )
    index = index_of(shard)
    assert index["key"].astype(object).tolist() == [b"b/1", odd.encode()]
    data = shard.read_bytes()
    for part, contents in (("picture", [b"1", b"22"]), ("txt", [b"4444", b"333"])):
        for row, wanted in zip(index, contents, strict=True):
            assert data[row[f"{part}_at"] :][: row[f"{part}_size"]] == wanted
    assert index["json_at"].tolist() == [-1, -1]


def test_a_tar_file_that_ends_in_the_middle(tmp_path) -> None:
    shard = files.write_tar(tmp_path / "a.tar", files.members(range(9)))
    whole, content = index_of(shard), shard.read_bytes()
    for length in (9_000, 8_700, 8_704, 8_800, 5_120):
        shard.write_bytes(content[:length])
        with pytest.warns(UserWarning, match=r"ends in the middle.* \d records are before"):
            index = index_of(shard)
        inside = [row for row in whole if row["picture_at"] + row["picture_size"] <= length]
        assert index["picture_at"].tolist() == [row["picture_at"] for row in inside]


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("web_dataset(path='nowhere')", "there is no file *.tar at nowhere"),
        ("web_dataset(path='{d}/a-{{000..002}}.tar')", "there is no file"),
        ("web_dataset(path='{d}/a-{{3..1}}.tar')", "is no range of files"),
        ("web_dataset(path='{d}/z.tar')", "compressed (gzip)"),
        ("web_dataset(path='{d}/x.tar')", "is not a tar file"),
        ("web_dataset(path='{d}/a-000.tar', captions=())", "names no field"),
        ("web_dataset(path='{d}/a-000.tar', weights=(1.0,))", "one for each of captions="),
        ("web_dataset(path='{d}/a-000.tar', crop='corner')", "center, random"),
        ("web_dataset(path='{d}/a-000.tar', size=0)", "a size from 1"),
        ("web_dataset(path='{d}/a-000.tar', held_out=0.0)", "leaves 10 records"),
        ("web_dataset(path='{d}/a-000.tar', damaged=2.0)", "a share from 0 to 1"),
        ("parquet(path='{d}/a.parquet', picture='img')", "has no column 'img': it has image"),
        ("parquet(path='{d}/a.parquet', captions=('words',))", "has no column 'words'"),
        ("parquet(path='{d}/a.parquet', label='kind')", "come together"),
        ("parquet(path='{d}/x.tar')", "is not a Parquet file"),
        ("array_records(path='{d}/x.tar')", "cannot be read as ArrayRecord"),
        ("coco(path='{d}')", "cannot read"),
        ("coco(path='{d}', year=2015)", "2014, 2017"),
        ("flickr30k(path='{d}')", "there is neither dataset_flickr30k.json nor"),
        ("web_dataset(path='{d}/a-000.tar', memory=True, crop='random')", "keeps nothing"),
        ("visual_genome(path='{d}')", "there is no VG_100K or VG_100K_2"),
        ("visual_genome(path='{d}', region=2.0)", "a share from 0 to 1"),
    ],
)
def test_settings_and_files_that_cannot_work(spec: str, part: str, tmp_path) -> None:
    files.web_dataset(tmp_path)
    files.parquet(tmp_path)
    (tmp_path / "x.tar").write_bytes(b"not a tar file, and long enough to be one" * 99)
    (tmp_path / "z.tar").write_bytes(b"\x1f\x8b" + b"0" * 99)
    with pytest.raises(UserError) as refusal:
        datasets.make(spec.format(d=tmp_path))
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusion_jax.data.sets.web_dataset import index

    def refuse(*given):
        raise UserError("Read-only file system.")

    monkeypatch.setattr(index, "save", refuse)
    shard = files.write_tar(tmp_path / "a.tar", files.members(range(3)))
    with pytest.warns(UserWarning, match="is kept in memory: Read-only"):
        assert len(index_of(shard)) == 3


def test_training_cuts_at_random_and_all_else_in_the_middle(tmp_path) -> None:
    spec = files.web_dataset(tmp_path)
    center = datasets.make(spec)
    free = datasets.make(spec[:-1] + ", crop='random')")
    seen = []
    for data in (center, free):
        drawn = batches(data.train, lambda e: {"crop": np.stack([x["crop"] for x in e])}, 8, seed=0)
        seen.append([next(drawn)["condition"]["crop"] for _ in range(20)])
    corners = np.concatenate(seen[1])
    assert (np.concatenate(seen[0]) == [0, 4]).all()
    assert (corners[:, 0] == 0).all() and 0 <= corners[:, 1].min() < 1 < 7 < corners[
        :, 1
    ].max() <= 8
    assert abs(corners[:, 1].mean() - 4) < 4 * 8 / np.sqrt(12 * len(corners))
    np.testing.assert_array_equal(free.train[2]["image"], center.train[2]["image"])
    assert free.train.fingerprint != center.train.fingerprint


def test_captions_are_drawn_by_their_weights(tmp_path) -> None:
    def members(k: int) -> list[tuple[str, bytes]]:
        about = json.dumps({"prompt": ["a", "b"], "long": "c", "other": "d"}).encode()
        return [(f"{k}.png", files.content(k)), (f"{k}.json", about)]

    files.write_tar(tmp_path / "a.tar", [m for k in range(8) for m in members(k)])
    fields = "captions=('prompt', 'long'), weights=(1.0, 3.0)"
    data = datasets.make(f"web_dataset(path={str(tmp_path)!r}, size=4, held_out=0.3, {fields})")
    assert data.train[0]["captions"] == ("a", "b", "c")
    assert data.train[0]["caption_weights"] == (0.5, 0.5, 3.0)

    def encode(examples: list) -> dict[str, np.ndarray]:
        return {"n": np.array(["abc".index(e["captions"][0]) for e in examples])}

    drawn = batches(data.train, encode, 16, seed=0)
    counts = np.bincount(np.concatenate([next(drawn)["condition"]["n"] for _ in range(100)]))
    expected = np.array([0.125, 0.125, 0.75]) * 1600
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_where_a_part_was_cut_out_of_a_turned_and_large_picture(turn: int) -> None:
    y, x = np.mgrid[:320, :480]
    values = np.stack([x * 255 / 479, y * 255 / 319, 0 * x], -1).astype(np.uint8)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(values).save(file, "JPEG", quality=95, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(file))
    image, cut = cut_out(Image.open(file), (16, 8, 3), (0.25, 0.75))
    height, width = upright.height, upright.width
    assert cut.size == (height, width)
    wide, high = min(width, height / 2), min(height, width * 2)
    assert cut.corner == pytest.approx(((height - high) * 0.25, (width - wide) * 0.75), abs=1)
    top, left = cut.corner
    whole = upright.crop((left, top, left + wide, top + high)).resize((8, 16), Image.LANCZOS)
    assert np.abs(np.asarray(whole).astype(int) - image).max() <= 6  # of what is not decoded


def test_one_key_names_one_record_in_every_copy_of_the_files(tmp_path) -> None:
    data = datasets.make(files.web_dataset(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    for shard in tmp_path.glob("*.tar"):
        shutil.copy(shard, other)
    again = datasets.make(f"web_dataset(path={str(other)!r}, size=6, held_out=0.3)")
    assert again.train.fingerprint == data.train.fingerprint
