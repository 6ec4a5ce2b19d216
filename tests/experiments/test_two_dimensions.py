"""Vectors through training, sampling, measuring and the page."""

import json
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from configs import two_dimensions
from experiments import compare, sample


@pytest.mark.usefixtures("one_device")
def test_points_in_the_plane_from_a_config_to_a_report(tmp_path: Path) -> None:
    config = two_dimensions.get_config()
    config.run_dir = str(tmp_path)
    config.data = "two_moons(count=200, test_count=80)"
    config.network, config.conditioner = "mlp(width=8, depth=1)", "label(width=8)"
    config.arms = {"v": {"prediction": "v"}, "edm": {"prediction": "edm"}}
    config.training.steps = 2
    config.sampling.steps, config.sampling.count, config.sampling.judged_count = (2,), 20, 20
    config.sampling.metrics += ("copies", "exact_match", "kernel(features=random_convolutions)")
    compare.compare(config)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [row["metric"] for row in found["quality"]] == ["frechet", "kernel", "neighbour_ratio"]
    missing = found["not_measured"]
    assert "vectors of 2" in missing["copies"] and "checker" in missing["exact_match"]
    assert "vectors of 2" in missing["kernel(features=random_convolutions)"]
    assert all(each["bits_per_dim"] is None for each in found["held_out"].values())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "all 20 samples" in page and "bits per dimension</" not in page

    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(out=str(tmp_path / "sheet.png"), count=50):
        sample.main(config)
    with Image.open(tmp_path / "sheet.png") as sheet:
        # Two arms beside each other, class under class.
        assert 2 * 160 < min(sheet.size) <= max(sheet.size) < 3 * 160
