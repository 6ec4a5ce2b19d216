"""What every reader promises: the same tensors, lazily, by parts, in the dtype asked for."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import PathContents, Weights, open_weights, readers
from tests.annotations import unchecked
from tests.published.readers.files import WRITERS, expected

KINDS = sorted(WRITERS)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def path(kind: str, tmp_path: Path) -> Path:
    return WRITERS[kind](tmp_path)


@pytest.fixture
def weights(path: Path) -> Weights:
    return open_weights(path)


def test_every_reader_has_a_file_here() -> None:
    assert {reader for reader in readers if reader in KINDS} == set(readers)


def test_one_reader_alone_recognises_it(kind: str, path: Path) -> None:
    found = PathContents.at(path)
    named = [name for name in readers if readers.make(name).recognises(found)]
    assert len(named) == 1
    assert kind == named[0] or kind not in readers
    assert open_weights(path).format == named[0]


def test_names_shapes_dtypes_and_numbers_are_those_that_were_saved(
    kind: str, weights: Weights
) -> None:
    wanted = expected(kind)
    assert set(weights) == set(wanted)
    for name, array in wanted.items():
        tensor = weights[name]
        assert (tensor.shape, tensor.dtype) == (array.shape, array.dtype)
        assert (tensor.size, tensor.nbytes) == (array.size, array.nbytes)
        read = tensor.read()
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
    assert weights.nbytes == sum(array.nbytes for array in wanted.values())


def test_a_part_is_that_part(kind: str, weights: Weights) -> None:
    for name, array in expected(kind).items():
        tensor = weights[name]
        np.testing.assert_array_equal(tensor.read(index=()), array)
        for axis, size in enumerate(array.shape):
            before = (slice(None),) * axis
            for part in (slice(1, None), slice(0, size // 2), slice(-1, None), slice(3, 2)):
                np.testing.assert_array_equal(
                    tensor.read(index=(*before, part)), array[(*before, part)]
                )
            if size:
                last = tensor.read(index=(*before, -1, ...))
                np.testing.assert_array_equal(last, array[(*before, -1)])
                assert isinstance(last, np.ndarray)


def test_axes_change_before_a_part_is_read(kind: str, weights: Weights) -> None:
    for name, array in expected(kind).items():
        axes = tuple(np.random.default_rng(0).permutation(array.ndim).tolist())
        turned = weights[name].transpose(axes)
        assert turned.shape == array.transpose(axes).shape
        part = (slice(1, 3),) if array.ndim else ()
        np.testing.assert_array_equal(turned.read(index=part), array.transpose(axes)[part])
        flat = weights[name].reshape((array.size,))
        np.testing.assert_array_equal(flat.read(index=slice(1, 4)), array.ravel()[1:4])


def test_numbers_are_converted_as_numpy_converts_them(kind: str, weights: Weights) -> None:
    for name, array in expected(kind).items():
        np.testing.assert_array_equal(
            weights[name].read("float32"), array.astype(np.float32), strict=True
        )


def test_what_is_read_belongs_to_the_reader_alone(kind: str, weights: Weights) -> None:
    for name in expected(kind):
        array = weights[name].read()
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
        array[...] = 0
        assert array.size == 0 or (weights[name].read() == expected(kind)[name]).all()


def test_numbers_do_not_become_others_unseen(kind: str, weights: Weights) -> None:
    for name, array in expected(kind).items():
        if array.dtype.name == "int64":
            with pytest.raises(UserError, match="that int32 does not hold"):
                weights[name].read("int32")
        if array.dtype.kind == "f":
            with pytest.raises(UserError, match="cannot be int32"):
                weights[name].read("int32")


def test_a_name_that_is_not_there_brings_the_nearest(kind: str, weights: Weights) -> None:
    name = next(iter(expected(kind)))
    with pytest.raises(UserError, match=f"Did you mean '{name}'"):
        weights[f"{name}x"]
    assert f"{name}x" not in weights
    assert weights.get(f"{name}x") is None


def test_a_part_that_is_not_there_is_refused(kind: str, weights: Weights) -> None:
    for name, array in expected(kind).items():
        size = array.shape[0] if array.ndim else 0
        for part in (size, (slice(None),) * (array.ndim + 1), slice(None, None, 2)):
            with pytest.raises(UserError, match="has no part"):
                weights[name].read(index=part)


def test_a_file_that_changes_after_it_was_opened_is_not_read(kind: str, path: Path) -> None:
    weights = open_weights(path)
    files = [each for each in path.parent.rglob("*") if each.is_file()]
    for file in files:
        file.write_bytes(b"")
    for name in weights:
        if weights[name].size:
            with pytest.raises(UserError, match=r"has been changed|[Cc]annot read|cut off"):
                weights[name].read()


def test_a_file_that_is_cut_off_gives_one_line(kind: str, path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes() if path.is_file() else b""
    if kind == "torch_tar":  # ends in zeros that say nothing
        whole = whole.rstrip(b"\0")
    cut = tmp_path / "cut"
    for count in {0, 1, 4, 7, 8, 9, 40, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        if 0 <= count < len(whole):
            cut.write_bytes(whole[:count])
            with pytest.raises(UserError) as caught:
                open_weights(cut)
            assert "\n" not in str(caught.value)


def why_not(path: Path) -> str | None:
    """Reads a file whole, or says why it is refused."""
    try:
        for tensor in open_weights(path).values():
            tensor.read()
    except UserError as error:
        return str(error)
    return None


def test_a_file_that_is_damaged_anywhere_is_read_or_refused(kind: str, path: Path) -> None:
    """Anything but a UserError fails, and so does a process that ends."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    places = 60 // len(files) + 1
    for file in files:
        whole = file.read_bytes()
        for at in range(0, len(whole), max(len(whole) // places, 1)):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            file.write_bytes(damaged)
            with unchecked():
                line = why_not(path)
            assert line is None or "\n" not in line
        file.write_bytes(whole)


def test_members_are_values(kind: str) -> None:
    for name in readers:
        assert dataclasses.is_dataclass(readers.make(name))
        assert readers.make(name) == readers.make(name)
