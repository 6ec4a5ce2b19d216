"""The page of a sweep as text: complete, self-contained, escaped, small; and its CSV files."""

import csv
import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.reports import forest, page, result_figures, tables_as_csv
from diffusion_jax.reports.comparisons import compare, estimate
from diffusion_jax.reports.content import Report
from diffusion_jax.reports.rows import Comparison, Criterion, Measurement, ReportMetric
from diffusion_jax.statistics.estimate import Estimate
from tests.reports import made_up_sweep
from tests.reports.markup import outline

NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def twelve() -> Report:
    return made_up_sweep.report(arms=12)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def number(arm: str, seed: int, value: float) -> Measurement:
    return Measurement(value, arm=arm, seed=seed, sampling=None, metric="m")


@pytest.mark.parametrize("arms", [1, 3, 60])
def test_page_is_whole_small_and_needs_nothing_else(arms: int) -> None:
    made = made_up_sweep.report(arms=arms)
    text = page.render(made)
    assert len(text) < 4e6
    assert "://" not in text.replace(NAMESPACE, "")
    attributes = outline(text).attributes
    for _, name, value in attributes:
        if name in ("src", "href"):
            assert (value or "").startswith(("data:", "#"))
    alts = [value for tag, name, value in attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == text.count("<img") and all(alts)
    ids = [value for _, name, value in attributes if name == "id"]
    anchors = {value[1:] for _, name, value in attributes if name == "href" and value[0] == "#"}
    assert len(set(ids)) == len(ids) and anchors <= set(ids)
    for arm in made.arms:
        assert f'data-key="{arm.name}"' in text
    for caption in ("Schedule", "Learning curves", "Plan", "Metrics", "Configuration"):
        assert caption in text


def test_large_pictures_of_many_arms_still_fit() -> None:
    made = made_up_sweep.report(arms=60)
    assert made.samples is not None
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 48, 3), dtype=np.uint8)
    pictures = dict.fromkeys(made.samples.pictures, noise)
    samples = dataclasses.replace(made.samples, pictures=pictures)
    bare = dataclasses.replace(
        made, samples=samples, measurements=(), comparisons=(), bin_losses=(), curves=()
    )
    assert 3e6 < len(page.render(bare)) < 7e6


def test_words_from_outside_are_escaped() -> None:
    evil = "</script><script>alert('a')</script><!--"
    made = made_up_sweep.report(arms=3)
    settings = {evil: evil}
    arms = tuple(dataclasses.replace(arm, settings=settings, status=evil) for arm in made.arms)
    baseline = dataclasses.replace(arms[0], name=evil)
    text = page.render(
        dataclasses.replace(
            made,
            title=evil,
            question=evil,
            arms=(baseline, *arms[1:]),
            baseline=evil,
            measurements=tuple(
                dataclasses.replace(m, arm=evil) if m.arm == made.baseline else m
                for m in made.measurements
            ),
            comparisons=tuple(dataclasses.replace(c, against=evil) for c in made.comparisons),
            metrics=tuple(
                dataclasses.replace(m, label=evil, explanation=evil, unit=evil)
                for m in made.metrics
            ),
            bin_losses=(),
            curves=(),
            samples=None,
            protocol={evil: evil},
            plan=(evil,),
        )
    )
    assert "<script>alert" not in text and "<!--" not in text
    assert text.count("<script") == page.render(made).count("<script")
    outline(text)


def test_parts_that_were_not_measured_are_left_out(twelve: Report) -> None:
    bare = dataclasses.replace(
        twelve,
        arms=tuple(dataclasses.replace(arm, schedule=None) for arm in twelve.arms),
        bin_losses=(),
        curves=(),
        samples=None,
        real=None,
        plan=(),
        measurements=(),
        comparisons=(),
    )
    text = page.render(bare)
    for section in ("schedules", "levels", "learning", "samples", "data", "plan"):
        assert f'id="{section}"' not in text and f'href="#{section}"' not in text
    assert "Nothing was compared" in text


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.html"
    for title in ("first", "second"):
        made = dataclasses.replace(made_up_sweep.report(arms=1), title=title)
        assert page.write(made, target) == target
        assert f"<title>{title}</title>" in target.read_text(encoding="utf-8")
    assert [file.name for file in target.parent.iterdir()] == ["report.html"]


def test_csv_files_hold_every_number(twelve: Report) -> None:
    files = tables_as_csv.csv_files(twelve)
    names = "arms measurements results bin_losses curves schedules weights"
    assert set(files) == {f"{name}.csv" for name in names.split()}
    rows = read(files["measurements.csv"])
    assert len(rows) == len(twelve.measurements)
    for row, one in zip(rows, twelve.measurements, strict=True):
        assert (row["arm"], int(row["seed"]), row["metric"]) == (one.arm, one.seed, one.metric)
        assert float(row["value"] or "nan") == pytest.approx(one.value, rel=1e-8, nan_ok=True)
        assert "nan" not in row.values()
        assert row["solver"] == (one.sampling.solver if one.sampling else "")
    results = {
        (r["arm"], r["metric"], r["solver"], r["solver_steps"]): r
        for r in read(files["results.csv"])
    }
    for pair in twelve.comparisons:
        sampling = (pair.sampling.solver, str(pair.sampling.steps)) if pair.sampling else ("", "")
        row = results[pair.arm, pair.metric, *sampling]
        assert row["verdict"] == pair.verdict
        gap = pair.difference
        told_of = {"difference": gap.value, "diff_low": gap.low, "p_adjusted": pair.p_adjusted}
        for name, value in {"mean": pair.mean.value, **told_of}.items():
            value = None if value is None or math.isnan(value) else value
            told = float(row[name]) if row[name] else None
            assert told == (None if value is None else pytest.approx(value, rel=1e-8, nan_ok=True))
    base = results[twelve.baseline, "bits", "", ""]
    assert base["mean"] and not base["difference"]
    assert {row["status"] for row in read(files["arms.csv"])} >= {"done", "diverged at step 312"}
    curve = twelve.curves[0]
    found = [
        row for row in read(files["curves.csv"]) if (row["arm"], row["seed"]) == (curve.arm, "0")
    ]
    np.testing.assert_allclose([float(row["loss"]) for row in found], curve.loss, rtol=1e-8)


def test_comparisons_are_made_within_one_metric_and_sampling(twelve: Report) -> None:
    """Leaving all other metrics and samplings out changes nothing."""
    sampling = twelve.judged_by.sampling
    alone = [m for m in twelve.measurements if (m.metric, m.sampling) == ("distance", sampling)]
    expected = [c for c in twelve.comparisons if (c.metric, c.sampling) == ("distance", sampling)]
    assert [c.arm for c in expected] == [
        arm.name for arm in twelve.arms[1:] if "failed" not in arm.status
    ]
    found = compare(alone, twelve.metrics, twelve.baseline)
    assert [repr(c) for c in found] == [repr(c) for c in expected]  # NaN is not equal to itself


def test_an_arm_that_diverged_has_no_mean() -> None:
    values = {0: 1.0, 1: math.nan, 2: 1.1}
    row = {seed: number("a", seed, value) for seed, value in values.items()}
    assert estimate(row) is None
    del row[1]
    found = estimate(row)
    assert found is not None and found.value == pytest.approx(1.05)
    assert found.low is not None and found.low < 0.5  # two seeds say little


def test_non_dominated_points_are_those_that_nothing_beats() -> None:
    rng = np.random.default_rng(0)
    points = [(float(round(c, 1)), float(round(q, 1))) for c, q in rng.random((60, 2))]
    for better, sign in (("lower", 1), ("higher", -1)):
        worth = [(cost, sign * quality) for cost, quality in points]
        free = {
            i
            for i, (cost, quality) in enumerate(worth)
            if not any(c <= cost and q <= quality for c, q in {*worth} - {(cost, quality)})
            and (cost, quality) not in worth[:i]
        }
        assert set(result_figures.non_dominated(points, better)) == free


def test_pareto_marks_the_points_that_it_names(twelve: Report) -> None:
    values = {"cheap": (1.0, 3.0), "good": (2.0, 1.0), "dominated": (3.0, 2.0)}
    arms = tuple(
        dataclasses.replace(twelve.arms[0], name=name, flops_per_step=cost, steps=1000)
        for name, (cost, _) in values.items()
    )
    table = {
        name: estimate({s: number(name, s, v + s / 100) for s in range(3)})
        for name, (_, v) in values.items()
    }
    made = dataclasses.replace(twelve, arms=arms, baseline="cheap", measurements=(), comparisons=())
    svg = result_figures.against_training(made, ReportMetric("m", "M", "lower"), table, "flops")
    assert "Not dominated: cheap, good." in svg
    assert svg.split('class="series reference"')[-1].count("<circle") == 2
    assert "training, kFLOPs" in svg
    outline(svg)


def test_intervals_that_leave_a_forest_plot_end_in_arrows() -> None:
    found = {"mean": Estimate(0.6), "baseline": Estimate(0.5), "p_value": 0.1, "p_adjusted": 0.2}
    where = {"arm": "a" * 50, "against": "b", "sampling": None, "metric": "m"}
    gap = Estimate(0.1, -9.0, 0.2)
    pair = Comparison(**found, **where, difference=gap, verdict="not separable")
    svg = forest.forest("t", "loss", ("better", "worse"), {0: pair}, 2)
    path = svg.split('class="reach" d="')[1].split('"')[0]
    assert path.count("M") == 2 and "\u2026" in svg and "−9.00 to 0.20" in svg
    outline(svg)


def test_relative_losses_are_paired_by_seed(twelve: Report) -> None:
    """Seeds that move all arms alike leave no spread in the ratio."""
    losses = []
    for one in twelve.bin_losses:
        factor = (1.0 if one.arm == twelve.baseline else 0.5) * 2.0**one.seed
        losses.append(dataclasses.replace(one, losses=np.full(10, factor)))
    figures = result_figures.losses_by_level(dataclasses.replace(twelve, bin_losses=tuple(losses)))
    heights = set()
    for group in figures[1].svg.split('<g class="series')[1:]:
        heights |= {
            point.split()[1] for point in group.split(' d="')[1].split('"')[0][1:].split("L")
        }
    assert len(heights) == 1
    assert 'class="bar"' not in figures[1].svg  # no spread is nothing known, not certainty
    assert 'class="bar"' in figures[0].svg


def test_a_baseline_that_is_no_arm_is_refused(twelve: Report) -> None:
    with pytest.raises(UserError, match="cosine elbo"):
        dataclasses.replace(twelve, baseline="cosine elbow")
    with pytest.raises(UserError, match="kid"):
        dataclasses.replace(twelve, judged_by=Criterion("kid"))
