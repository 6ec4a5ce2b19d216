"""Transformers give what the original libraries gave with the same tensors."""

from pathlib import Path

import pytest

from tests.published.recorded import DATA, off

RECORDED = sorted((DATA / "transformers").glob("*.npz"))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
@pytest.mark.parametrize(
    ("dtype", "against", "close"), [("float64", "out_f64", 1e-9), ("float32", "out_f32", 1e-4)]
)
def test_outputs_are_the_originals(file: Path, dtype: str, against: str, close: float) -> None:
    assert off(file, dtype, against) < close
