"""The page as text: complete, self-contained, escaped, small."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.reports import page
from diffusion_jax.reports.content import NoiseErrors, Quality, Samples
from diffusion_jax.statistics.estimate import Estimate
from tests.reports import made_up
from tests.reports.markup import outline


@pytest.mark.parametrize(
    "settings",
    [{}, {"arms": 1}, {"arms": 10}, {"channels": 1, "checker": False, "real": False}],
    ids=["three arms", "one arm", "ten arms", "grey without checker"],
)
def test_page_is_whole_small_and_needs_nothing_else(settings: dict[str, int]) -> None:
    made = made_up.report(**settings)
    text = page.render(made)
    parsed = outline(text)
    assert len(text) < 10e6
    assert "://" not in text
    for _, name, value in parsed.attributes:
        if name in ("src", "href"):
            assert (value or "").startswith(("data:", "#"))
    alts = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == text.count("<img") and all(alts)
    for index, arm in enumerate(made.arms):
        assert f'data-legend="{index}"' in text
        assert f'data-key="{arm.name}"' in text


def test_anchors_lead_somewhere() -> None:
    attributes = outline(page.render(made_up.report())).attributes
    ids = {value for _, name, value in attributes if name == "id"}
    anchors = {value[1:] for _, name, value in attributes if name == "href" and value[0] == "#"}
    assert anchors and anchors <= ids


def test_words_from_outside_are_escaped() -> None:
    evil = "<script>alert('a')</script>"
    made = made_up.report(arms=2)
    assert made.samples is not None
    captions = (evil, *made.samples.captions[1:])
    made = dataclasses.replace(
        made,
        title=evil,
        protocol={evil: evil},
        samples=dataclasses.replace(made.samples, captions=captions),
        provenance=dataclasses.replace(made.provenance, config=evil, command=evil),
    )
    text = page.render(made)
    assert evil not in text
    assert text.count("<script") == page.render(made_up.report(arms=2)).count("<script")
    outline(text)


def test_arm_names_are_escaped_in_figures_too() -> None:
    made = made_up.report(arms=1)
    name = '<b>"x"</b>'
    arm = dataclasses.replace(made.arms[0], name=name)
    results = tuple(dataclasses.replace(result, arm=name) for result in made.results)
    text = page.render(dataclasses.replace(made, arms=(arm,), results=results, samples=None))
    assert name not in text
    outline(text)


def test_marks_name_what_is_wrong() -> None:
    picture = np.zeros((1, 4, 4, 3), np.uint8)
    right = {"a": {"colour": np.array([True]), "shape": np.array([False])}}
    samples = Samples(made_up.HEADLINE, ("a dot",), {"a": picture}, right)
    made = made_up.report(arms=1)
    arm = dataclasses.replace(made.arms[0], name="a")
    text = page.render(
        dataclasses.replace(made, arms=(arm,), samples=samples, results=(), paired=())
    )
    assert re.search(r'class="wrong">\S+ shape<', text)
    assert "asked for &#39;a dot&#39;: shape wrong" in text


def test_parts_that_were_not_measured_are_left_out() -> None:
    made = made_up.report(arms=2)
    bare = dataclasses.replace(
        made,
        arms=tuple(
            dataclasses.replace(arm, schedule=None, losses=None, trajectory=None)
            for arm in made.arms
        ),
        samples=None,
        real=None,
        results=(),
        paired=(),
    )
    text = page.render(bare)
    for section in ("samples", "quality", "schedules", "training", "reverse", "data"):
        assert f'id="{section}"' not in text
        assert f'href="#{section}"' not in text
    assert 'id="made"' in text


def test_long_films_are_thinned_to_fit() -> None:
    made = made_up.report(arms=2)
    reel = made.arms[0].trajectory
    assert reel is not None
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (100, 6, 64, 64, 3), dtype=np.uint8)
    long = dataclasses.replace(reel, log_snr=np.linspace(-9, 9, 100), noisy=frames, denoised=frames)
    arms = tuple(dataclasses.replace(arm, trajectory=long) for arm in made.arms)
    text = page.render(dataclasses.replace(made, arms=arms))
    assert len(text) < 7e6
    films = re.search(r'id="films">(.*?)</script>', text, re.DOTALL)
    assert films is not None
    for film in json.loads(films[1]):
        assert 2 <= film["frames"] < 100
        assert len(film["logSnr"]) == film["frames"]
        assert (film["logSnr"][0], film["logSnr"][-1]) == ("−9.0", "+9.0")


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.html"
    for title in ("first", "second"):
        made = dataclasses.replace(made_up.report(arms=1), title=title)
        assert page.write(made, target) == target
        assert f"<title>{title}</title>" in target.read_text(encoding="utf-8")
    assert [file.name for file in target.parent.iterdir()] == ["report.html"]


def test_every_measure_losses_by_level_and_what_was_seen_are_shown() -> None:
    made = made_up.report(arms=2)
    assert made.samples is not None
    names = [arm.name for arm in made.arms]
    edges = np.linspace(-4, 4, 5)
    errors = NoiseErrors(edges, np.full(4, 0.5), np.full(4, 0.4), np.full(4, 0.6))
    first, other = (Estimate(0.25, 0.125, 0.5), Estimate(0.75, 0.5, 0.875))
    found = dict(zip(names, (first, other), strict=True))
    quality = (
        Quality("share", "What is right.", "%", "higher", 40, found, Estimate(1.0)),
        Quality("bits", "What it costs.", "", "lower", 64, found, None),
    )
    seen = next(iter(made.samples.pictures.values())) // 2
    made = dataclasses.replace(
        made,
        arms=tuple(dataclasses.replace(arm, noise_errors=errors) for arm in made.arms),
        quality=quality,
        samples=dataclasses.replace(made.samples, beside={"seen": seen}),
    )
    text = " ".join(page.render(made).split())
    assert (
        "higher is better, 40 pictures: What is right. Real pictures with the same captions get"
        in text
    )
    assert "lower is better, 64 pictures: What it costs.</li>" in text
    assert "25.0%" in text and "12.5–50.0%" in text and "0.750" in text
    assert text.count("<figcaption>seen</figcaption>") == len(made.samples.captions)
    assert "Held-out loss by noise level" in text
    plain = page.render(made_up.report(arms=2))
    assert "By every measure" not in plain and "Held-out loss" not in plain
