"""What later stages need is found missing before anything is trained, in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.inference.preflight import prepare
from diffusion_jax.parallel import devices

FEW = "shapes(size=12, count=8, test_count=6)"


@pytest.fixture
def config(tmp_path: Path) -> ConfigDict:
    config = base.get_config()
    config.update({"data": FEW, "network": "unet(channels=(8,), blocks=1, attention=())"})
    config.run_dir = str(tmp_path / "run")
    return config


def refusal(config: ConfigDict, writes: tuple[str, ...] = ()) -> str:
    with pytest.raises(UserError) as caught:
        prepare(config, writes)
    assert not Path(config.run_dir, "config.json").exists()
    return str(caught.value)


def test_what_is_in_order_is_prepared_and_what_is_missing_told(config: ConfigDict) -> None:
    config.sampling.metrics = ("exact_match", "frechet", "kernel")
    found = prepare(config, ("report.html",))
    assert found.plan.judged_by.steps == 16 and len(found.data.test) == 6
    # 16 components want four samples and four pictures each; only half of the 6 are a reference.
    assert [note.split(" ")[0] for note in found.notes] == ["frechet"]
    assert "test examples" in found.notes[0] or "samples" in found.notes[0]


def test_a_broken_test_picture_is_named(config: ConfigDict, tmp_path: Path) -> None:
    rows = []
    for index in range(12):
        name = f"{index}.png"
        Image.new("RGB", (12, 12), (20 * index, 0, 0)).save(tmp_path / name)
        rows.append({"file_name": name, "text": f"a picture of {index}"})
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config.data = f"folder(path={str(tmp_path)!r}, size=12, held_out=0.3)"
    tested = prepare(config).data.test
    broken = next(
        index for index in range(12) if np.all(tested[0]["image"][0, 0] == (20 * index, 0, 0))
    )
    whole = (tmp_path / f"{broken}.png").read_bytes()
    (tmp_path / f"{broken}.png").write_bytes(whole[: len(whole) // 2])
    assert f"{broken}.png" in refusal(config)


def test_samples_that_fit_nowhere_are_refused(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.sampling.batch_size = config.sampling.count = 64
    monkeypatch.setattr(devices, "free_memory", lambda: 64 * 12 * 12 * 8 * 4 - 1)
    # The first convolution has 8 channels of 12 × 12 float32: it alone does not fit.
    assert "64 samples of arm 'cosine' at once needs at least" in refusal(config)
    monkeypatch.setattr(devices, "free_memory", lambda: 10**12)
    monkeypatch.setattr(devices, "host_memory", lambda: 64 * 12 * 12 * 3 - 1)
    assert "samples of all arms, solvers and steps take" in refusal(config)
    monkeypatch.setattr(devices, "host_memory", lambda: 10**6)
    assert "Measuring 64 samples takes" in refusal(config)


def test_a_report_that_cannot_be_written_is_refused(config: ConfigDict) -> None:
    Path(config.run_dir, "report.html").mkdir(parents=True)
    assert "report.html: it is a folder" in refusal(config, ("results.json", "report.html"))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("guidance", "autoguidance(step=3)", "asks for the checkpoint of step 3"),
        # At its first level no signal is left, of which a network of noise says nothing.
        ("grid", "uniform", "where no signal is left"),
    ],
)
def test_solvers_grids_and_guides_are_checked_together(
    config: ConfigDict, field: str, value: object, said: str
) -> None:
    config.sampling[field] = value
    config.prediction = "epsilon"
    config.schedule = "zero_terminal_snr(schedule=scaled_linear)"
    assert said in refusal(config)
