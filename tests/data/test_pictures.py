"""Pictures of every mode: what they look like, by a rule worked out apart, or a refusal."""

import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from diffusion_jax.data.pictures import files, fit, load_pictures
from diffusion_jax.errors import UserError

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
GREY = np.rint(RAMP * 255).astype(np.uint8)


def load(path, channels=1):
    return load_pictures([path], (8, 8), channels)[0]


def saved(path, picture, **settings):
    picture.save(path, **settings)
    return path


def pgm(path, values, top):
    kind = ">u2" if top > 255 else "u1"
    path.write_bytes(b"P5 8 8 %d\n" % top + values.astype(kind).tobytes())
    return path


def tiff(path, values, **tags):
    """A TIFF of numbers, whose tags may say more of them."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[{"photometric": 262}[tag]] = value
    return saved(path, Image.fromarray(values), tiffinfo=info)


DEEP = {
    "16 bits, PNG": lambda d: saved(d / "a.png", Image.fromarray(to_bits(16))),
    "16 bits, TIFF": lambda d: saved(d / "a.tif", Image.fromarray(to_bits(16))),
    "16 bits, PGM": lambda d: pgm(d / "a.pgm", to_bits(16), 65535),
    "10 bits, PGM": lambda d: pgm(d / "a.pgm", to_bits(10), 1023),
    "16 bits, TIFF, big end first": lambda d: saved(
        d / "a.tif", Image.frombytes("I;16B", (8, 8), to_bits(16).astype(">u2").tobytes())
    ),
    "floats": lambda d: saved(d / "a.tif", Image.fromarray(RAMP.astype(np.float32))),
    "floats, white is 0": lambda d: tiff(d / "a.tif", 1 - RAMP.astype(np.float32), photometric=0),
    "16 bits, white is 0": lambda d: tiff(d / "a.tif", 65535 - to_bits(16), photometric=0),
}


def to_bits(bits):
    return np.rint(RAMP * (2**bits - 1)).astype(np.uint16)


@pytest.mark.parametrize("kind", DEEP)
def test_more_than_eight_bits(tmp_path, kind):
    found = load(DEEP[kind](tmp_path))[..., 0]
    assert np.abs(found.astype(int) - GREY).max() <= (1 if "10" in kind else 0)


def test_black_and_white_grey_and_palettes(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    halves = GREY > 127
    for name, picture, expected in (
        ("1", Image.fromarray(halves), halves[..., None] * 255),
        ("L", Image.fromarray(GREY), GREY[..., None]),
        ("RGB", Image.fromarray(colours), colours),
        ("P", Image.fromarray(GREY // 64).convert("P"), (GREY // 64)[..., None]),
    ):
        found = load(saved(tmp_path / f"{name}.png", picture), 3)
        np.testing.assert_array_equal(found, np.broadcast_to(expected, (8, 8, 3)))
    inks = Image.fromarray(np.full((8, 8, 4), (255, 0, 0, 0), np.uint8), "CMYK")
    assert load(saved(tmp_path / "cmyk.tif", inks), 3)[0, 0].tolist() == [0, 255, 255]
    lab = Image.frombytes("LAB", (8, 8), bytes([128, 0, 0]) * 64)  # L* = 50.2, neutral
    assert load(saved(tmp_path / "lab.tif", lab), 3)[0, 0].tolist() == [119, 119, 119]


def test_transparency_is_white_or_the_last_channel(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4], rgba[4:] = (200, 100, 0, 255), (200, 100, 0, 0)
    path = saved(tmp_path / "a.png", Image.fromarray(rgba))
    assert load(path, 3)[:, 0].tolist() == [[200, 100, 0]] * 4 + [[255, 255, 255]] * 4
    assert load(path, 4)[:, 0].tolist() == [[200, 100, 0, 255]] * 4 + [[0, 0, 0, 0]] * 4
    grey = round(0.299 * 200 + 0.587 * 100)
    assert load(path, 2)[:, 0].tolist() == [[grey, 255]] * 4 + [[0, 0]] * 4
    opaque = saved(tmp_path / "b.png", Image.fromarray(rgba[..., :3]))
    assert (load(opaque, 4)[..., 3] == 255).all()
    keyed = saved(tmp_path / "c.png", Image.fromarray(to_bits(16)), transparency=0)
    assert load(keyed)[0, 0, 0] == 255 and load(keyed)[0, 1, 0] == GREY[0, 1]


def test_premultiplied_colours_are_divided(tmp_path):
    picture = Image.frombytes("La", (8, 8), bytes([64, 128]) * 64)
    path = saved(tmp_path / "a.tif", Image.frombytes("LA", (8, 8), picture.tobytes()))
    plain = path.read_bytes()
    # The tag says "unassociated alpha" (2); 1 says that colours are multiplied by it.
    tag = b"\x52\x01\x03\x00\x01\x00\x00\x00"
    assert plain.count(tag) == 1
    path.write_bytes(plain.replace(tag + b"\x02", tag + b"\x01"))
    with Image.open(path) as opened:
        assert opened.mode == "La"
    assert load(path, 2)[0, 0].tolist() == [127, 128]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((8, 8), 128, np.float32), r"a\.tif: .*fractions from 128 to 128, not within"),
        (np.full((8, 8), -0.5, np.float32), r"fractions from -0.5"),
        (np.full((8, 8), np.nan, np.float32), r"fractions from nan"),
        (np.full((8, 8), 128, np.int32), r"integers of 32 bits"),
    ],
)
def test_numbers_of_no_known_brightness_are_refused(tmp_path, values, message):
    path = saved(tmp_path / "a.tif", Image.fromarray(values))
    with pytest.raises(UserError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_turned_pictures_and_the_first_frame(tmp_path):
    left = np.zeros((8, 8, 3), np.uint8)
    left[:, :4] = 255
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90° clockwise: what was left is then above
    found = load(saved(tmp_path / "a.png", Image.fromarray(left), exif=exif))
    np.testing.assert_array_equal(found, left.transpose(1, 0, 2)[..., :1])
    frames = [Image.new("L", (8, 8), shade) for shade in (9, 200)]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (load(path) == 9).all()


def test_programs_are_not_run(tmp_path):
    path = saved(tmp_path / "a.eps", Image.new("RGB", (8, 8)))
    with pytest.raises(UserError, match=r"a\.eps: it is a PostScript program"):
        load(path)


def test_large_pictures_are_refused_before_they_are_decoded(tmp_path):
    whole = saved(tmp_path / "a.png", Image.new("L", (8, 8))).read_bytes()
    header = b"IHDR" + 2 * (20_000).to_bytes(4, "big") + whole[24:29]
    checksum = zlib.crc32(header).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(whole[:12] + header + checksum + whole[33:])
    with pytest.raises(UserError, match=r"a\.png: .*400000000 pixels"):
        load(tmp_path / "a.png")


def test_large_jpegs_look_as_they_would_when_wholly_decoded(tmp_path, monkeypatch):
    y, x = np.mgrid[:512, :512] / 512
    picture = Image.fromarray(np.rint(np.stack([x, y, x * y], -1) * 255).astype(np.uint8))
    path = saved(tmp_path / "a.jpg", picture, quality=95)
    whole = load(path, 3)
    monkeypatch.setattr(fit, "LARGE", 1000)
    monkeypatch.setattr(files, "LARGEST_FILE", path.stat().st_size)
    found = load(path, 3)
    assert (found != whole).any() and np.abs(found.astype(int) - whole).max() <= 2
    monkeypatch.setattr(files, "LARGEST_FILE", path.stat().st_size - 1)
    with pytest.raises(UserError, match="bytes, more than"):
        load(path, 3)
