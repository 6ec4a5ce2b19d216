"""The page as text: complete, self-contained, escaped, small."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from diffusion_jax.reports import page
from diffusion_jax.reports.comparisons import adjusted, holm
from diffusion_jax.reports.content import Samples
from tests.reports import made_up
from tests.reports.markup import outline

NAMESPACE = "http://www.w3.org/2000/svg"


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
    assert "://" not in text.replace(NAMESPACE, "")
    for _, name, value in parsed.attributes:
        if name in ("src", "href"):
            assert (value or "").startswith(("data:", "#"))
    alts = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == text.count("<img") and all(alts)
    for index, arm in enumerate(made.arms):
        assert f'data-pick="{index}"' in text
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
    rows = tuple(dataclasses.replace(row, arm=name) for row in made.measurements)
    text = page.render(
        dataclasses.replace(
            made, arms=(arm,), baseline=name, measurements=rows, bin_losses=(), samples=None
        )
    )
    assert name not in text
    outline(text)


def test_marks_name_what_is_wrong() -> None:
    picture = np.zeros((1, 4, 4, 3), np.uint8)
    right = {"a": {"colour": np.array([True]), "shape": np.array([False])}}
    samples = Samples(made_up.JUDGED, ("a dot",), {"a": picture}, right)
    made = made_up.report(arms=1)
    arm = dataclasses.replace(made.arms[0], name="a")
    text = page.render(
        dataclasses.replace(
            made, arms=(arm,), baseline="a", samples=samples, measurements=(), bin_losses=()
        )
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
        measurements=(),
        comparisons=(),
        bin_losses=(),
        tests=(),
    )
    text = page.render(bare)
    for section in (
        "samples",
        "metrics",
        "tests",
        "schedules",
        "levels",
        "training",
        "reverse",
        "data",
    ):
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


def test_every_metric_losses_by_level_and_what_was_seen_are_shown() -> None:
    made = made_up.report(arms=2)
    assert made.samples is not None
    seen = next(iter(made.samples.pictures.values())) // 2
    made = dataclasses.replace(
        made,
        samples=dataclasses.replace(made.samples, beside={"seen": seen}),
        not_measured={"copies": "two different training examples are needed"},
    )
    text = " ".join(page.render(made).split())
    assert (
        "Higher is better. In %. 500 captions. Real examples with the same captions get 97.2%."
        in text
    )
    assert "<b>copies</b>, not measured: two different training examples are needed.</li>" in text
    # Both ends of an interval that is not symmetric: 77.5 - 3.3 and 77.5 + 2.9.
    (judged,) = (
        row
        for row in made.measurements
        if (row.arm, row.metric, row.sampling) == ("linear", "exact_match", made_up.JUDGED)
    )
    assert judged.low is not None and judged.high is not None
    assert f"{100 * judged.low:.1f} to {100 * judged.high:.1f}" in text
    assert text.count("<figcaption>seen</figcaption>") == len(made.samples.captions)
    assert "Loss by noise level" in text and "95% intervals over held-out examples" in text
    only = dataclasses.replace(
        made_up.report(arms=2, checker=False), bin_losses=(), not_measured={}
    )
    plain = page.render(only)
    assert "By every metric" not in plain and "Loss by noise level" not in plain


def test_tests_of_samples_are_adjusted_for_the_number_of_arms() -> None:
    made = made_up.report(arms=3)
    p_values = {"cosine": 0.03, "flow": 0.04}
    tests = tuple(
        dataclasses.replace(test, p_value=p_values[test.arm])
        for test in made.tests
        if test.sampling == made_up.JUDGED
    )
    text = page.render(dataclasses.replace(made, tests=adjusted(tests, made.metrics)))
    assert 'data-key="not separable"' in text.split('id="tests"')[1]
    text = page.render(dataclasses.replace(made, tests=adjusted(tests[:1], made.metrics)))
    assert 'data-key="better"' in text.split('id="tests"')[1].split('id="schedules"')[0]


@pytest.mark.parametrize("seed", range(3))
def test_holm_rejects_as_the_sequential_procedure_does(seed: int) -> None:
    p_values = stats.beta.rvs(0.3, 3, size=6, random_state=seed).tolist()
    rejected = set()
    for rank, p in enumerate(sorted(p_values)):
        if p >= 0.05 / (6 - rank):
            break
        rejected.add(p)
    assert {p for p, a in zip(p_values, holm(p_values), strict=True) if a < 0.05} == rejected
