"""Vectors through training, sampling, measuring and the page."""

import json
import re
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from configs import two_dimensions
from experiments import compare, sample


def said(page: str) -> str:
    """The words of a page, without its style, its scripts, and the config that it shows.

    Nor the reason why a metric of pictures was not measured.
    """
    page = re.sub(r"<(style|script|pre)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", "", page).replace("of pictures, and the data set has", "")


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
    measured = list(dict.fromkeys(row["metric"] for row in found["table"]))
    assert measured == ["frechet", "kernel", "neighbour_ratio", "noise_error"]
    missing = found["not_measured"]
    assert "vectors of 2" in missing["copies"] and "checker" in missing["exact_match"]
    assert "vectors of 2" in missing["kernel(features=random_convolutions)"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "20 samples" in page and "bits per dimension</" not in page
    assert not re.search("picture|paint", said(page).lower())

    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(out=str(tmp_path / "sheet.png"), count=50):
        sample.main(config)
    with Image.open(tmp_path / "sheet.png") as sheet:
        # Two arms beside each other, class under class.
        assert 2 * 160 < min(sheet.size) <= max(sheet.size) < 3 * 160
