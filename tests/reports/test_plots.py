"""Axes and line plots."""

import dataclasses
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_jax.reports import axes, figures, plots, style
from diffusion_jax.reports.content import ReportArm
from tests.reports import made_up

numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@given(st.lists(numbers, min_size=1, max_size=5))
def test_linear_axis_holds_its_values_between_round_ticks(values: list[float]) -> None:
    axis = axes.linear("x", values)
    slack = 1e-9 * (abs(axis.low) + abs(axis.high) + 1)
    assert axis.low - slack <= min(values) and max(values) <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 12
    labels = [axis.text(tick) for tick in axis.ticks]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("values", [[], [float("nan")], [3.0], [1e-3, 40.0], [5, 6]])
def test_logarithmic_axis_holds_its_values(values: list[float]) -> None:
    axis = axes.logarithmic("x", values)
    assert all(0 <= axis.position(value) <= 1 for value in values if value > 0)


def test_labels_tell_the_true_ticks() -> None:
    axis = axes.linear("density", [0.0, 0.123])
    assert [float(axis.text(tick)) for tick in axis.ticks] == pytest.approx(axis.ticks)


def test_points_stand_where_they_belong() -> None:
    x, y = axes.linear("x", (0, 1), low=0, high=1), axes.linear("y", (0, 2), low=0, high=2)
    line = plots.Line(0, np.array([0.0, 1.0]), np.array([0.0, 2.0]), tips=["a", "<b>"])
    svg = plots.chart("t", "d", [line], x, y)
    marks = [
        node for node in ElementTree.fromstring(svg).iter("circle") if node.get("class") == "mark"
    ]
    at = [(float(mark.get("cx", 0)), float(mark.get("cy", 0))) for mark in marks]
    assert at[0] == (plots.LEFT, plots.HEIGHT - plots.BOTTOM)
    assert at[1] == (plots.WIDTH - plots.RIGHT, plots.TOP)


def test_gaps_lift_the_pen() -> None:
    x, y = axes.linear("x", (0, 4)), axes.linear("y", (0, 4))
    line = plots.Line(0, np.arange(5.0), np.array([1.0, 2.0, np.nan, 3.0, np.inf]))
    path = re.search(r'class="line" d="([^"]*)"', plots.chart("t", "d", [line], x, y))
    assert path is not None
    assert re.sub(r"[^ML]", "", path[1]) == "MLM"


def test_every_arm_has_its_own_pen() -> None:
    pens = {(style.css_class(index), style.dash(index)) for index in range(20)}
    assert len(pens) == 20


def test_smoothing_keeps_the_mean_of_noise() -> None:
    noise = np.random.default_rng(0).normal(2.0, 1.0, 2000)
    smooth = plots.smooth(noise, 50)
    assert smooth[0] == noise[0]
    assert np.std(smooth[200:]) < 0.3
    assert np.mean(smooth) == pytest.approx(2.0, abs=0.1)


def test_schedule_figures_stand_on_one_axis_and_take_infinite_ends() -> None:
    made = made_up.report(arms=3)
    charts = figures.schedules(made.arms, made.log_snr_axis)
    ticks = [re.findall(r'text-anchor="middle">([−\d]+)<', figure.svg) for figure in charts]
    assert len(charts) == 3
    assert ticks[0] == ticks[1] == ticks[2]
    assert all("nan" not in figure.svg and "inf" not in figure.svg for figure in charts)


def test_effective_weights_keep_their_ratios_and_lose_what_cannot_be_drawn() -> None:
    x = np.linspace(-20, 20, 401)
    weight = 7 * np.exp(-x)
    weight[0] = np.inf
    weight[-50:] = 0
    scaled = figures.relative_weight(x, weight)
    shown = np.isfinite(scaled)
    np.testing.assert_allclose(scaled[shown], np.exp(-x[shown]))
    assert shown[np.abs(x) < 6.9].all() and not shown[np.abs(x) > 7].any()
    assert np.isnan(figures.relative_weight(x, 0 * x)).all()


def test_an_arm_without_curves_is_left_out() -> None:
    made = made_up.report(arms=1)
    made = dataclasses.replace(made, arms=(*made.arms, ReportArm("published")))
    assert 'data-arm="1"' not in figures.schedules(made.arms, made.log_snr_axis)[0].svg
    assert 'data-arm="1"' not in figures.losses(made)[0].svg
