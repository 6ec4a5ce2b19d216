"""What a path is: told from headers and configurations, without reading a tensor."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published import identify
from diffusion_jax.published.card import CardFile, ModelCard, card
from diffusion_jax.published.inspection import inspect_model
from diffusion_jax.published.readers import Tensor
from experiments import models

FOLDER = Path(__file__).parent / "data" / "unconditional"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "model"))


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_whole_folder_is_told_without_reading_a_tensor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Tensor, "read", lambda *_: pytest.fail("a tensor was read"))
    models.main([str(FOLDER)])
    said = capsys.readouterr().out
    assert "DDIMPipeline" in said and "every tensor has its place" in said
    assert "schedule Table, prediction Epsilon" in said and "none fits" in said
    report = inspect_model(FOLDER)
    assert report.is_whole
    stored = FOLDER / "unet" / "diffusion_pytorch_model.safetensors"
    assert 0 <= stored.stat().st_size - 2 * report.parameters < 40_000  # float16, and the header


def test_what_has_no_place_is_named_with_the_nearest(folder: Path) -> None:
    edit(folder / "unet" / "config.json", layers_per_block=2)
    faults = inspect_model(folder).parts[0].faults
    assert any(fault.startswith("missing: ") for fault in faults)
    edit(folder / "unet" / "config.json", layers_per_block=1, block_out_channels=[8, 24])
    assert any("and the network needs" in fault for fault in inspect_model(folder).parts[0].faults)


@pytest.mark.parametrize(
    ("file", "changes", "line"),
    [
        ("model_index.json", {"_class_name": "DDIMPipelin"}, "Did you mean 'DDIMPipeline'?"),
        ("model_index.json", {"unet": [None, None]}, "names no part 'unet', which a DDIMPipeline"),
        ("model_index.json", {"unet": ["diffusers", "Odd"]}, "class of the part 'unet' 'Odd'"),
        ("model_index.json", {"tokenizer": ["a", "B"]}, "does not honour 'tokenizer'"),
        ("model_index.json", {"tokenizer": ["a", "B"]}, "Cannot read the tokenizer"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "odd"}, "beta_schedule='odd'"),
        ("unet/config.json", {"_class_name": "OddModel"}, "'OddModel'"),
        ("unet/config.json", {"strange": 1}, "no setting 'strange'"),
    ],
)
def test_what_is_not_known_is_told_and_not_raised(folder, file, changes, line) -> None:
    edit(folder / file, **changes)
    report = inspect_model(folder)
    assert not report.is_whole
    assert any(line in said for said in models.reported(report))


def test_a_part_is_known_by_class_and_configuration(tmp_path: Path) -> None:
    vae = card("sd-vae-ft-mse").parts["vae"]
    place = tmp_path / "vae"
    place.mkdir()
    told = dict(vae.configuration) | {"_class_name": vae.original, "sample_size": 256}
    (place / "config.json").write_text(json.dumps(told))
    found = [(each.name, how) for each, how in identify.fitting(place)]
    wanted = "class and configuration"
    assert found == [("sd-vae-ft-ema", wanted), ("sd-vae-ft-mse", wanted)]
    (place / "config.json").write_text(json.dumps(told | {"latent_channels": 16}))
    assert identify.fitting(place) == []


def test_a_file_is_known_by_its_sum_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, weight=np.ones(3))
    data = path.read_bytes()
    known = card("clip-vit-l-14")
    # `printf abc | sha256sum`
    (tmp_path / "abc").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert identify.sha256(tmp_path / "abc") == abc
    own = CardFile(identify.sha256(path), len(data))
    changed = ModelCard(**{**vars(known), "files": {"other.pt": own}})
    monkeypatch.setattr(identify, "card_names", lambda: ("clip-vit-l-14",))
    monkeypatch.setattr(identify, "card", lambda name: changed)
    assert identify.fitting(path) == [(changed, "SHA-256")]
    path.write_bytes(data[:-1] + b"x")
    assert identify.fitting(path) == []


def test_a_file_without_a_card_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "mine.npz", weight=np.ones((3, 4)))
    models.main([str(tmp_path / "mine.npz")])
    said = capsys.readouterr().out
    assert "12 parameters" in said and "No card fits it" in said
    models.main([str(tmp_path / "mine.npz"), "--card=dit-xl-2-256"])
    said = capsys.readouterr().out
    assert "NonCommercial" in said and "left over: weight" in said


def test_the_list_has_a_row_for_each_card(capsys: pytest.CaptureFixture[str]) -> None:
    models.main([])
    lines = capsys.readouterr().out.splitlines()
    found = next(line for line in lines if line.startswith("dit-xl-2-256 "))
    assert all(word in found for word in ("675M", "NonCommercial", "FID-50k 2.27"))
    models.main(["--card=sit-xl-2-256"])
    assert "euler_maruyama" in capsys.readouterr().out


def test_mistakes_are_answered_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file or folder"):
        models.main([str(tmp_path / "nothing")])
    with pytest.raises(UserError, match="Unexpected word"):
        models.main([str(FOLDER), "more"])
    with pytest.raises(UserError, match="Did you mean 'dit-xl-2-256'"):
        models.main(["--card=dit-xl-2-265"])
