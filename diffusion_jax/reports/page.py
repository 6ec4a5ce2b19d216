"""The report as one HTML file that opens anywhere, offline, with its numbers in it."""

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.files import save
from diffusion_jax.reports import (
    figures,
    galleries,
    result_figures,
    style,
    tables,
    tables_as_csv,
    verdict,
)
from diffusion_jax.reports.choices import choices
from diffusion_jax.reports.comparisons import in_percent
from diffusion_jax.reports.content import Report, ReportArm
from diffusion_jax.reports.rows import ReportedSampling
from diffusion_jax.reports.tables import Cell
from diffusion_jax.statistics import many_to_one

FEW = len(style.LIGHT)  # arms that have a colour each; of more, so many are brought forward
GALLERY_BYTES = 3_500_000
FEWEST_CARDS = 4


def write(report: Report, path: str | Path) -> Path:
    """Draws the report and writes it; an older file is replaced only once the new one is whole.

    Args:
        report: what to show.
        path: where to, e.g. "runs/quickstart/report.html"; folders are made.

    Returns:
        The path.

    Raises:
        UserError: the file cannot be written there.
    """
    return save(render(report).encode(), path)


def render(report: Report) -> str:
    """The report as HTML."""
    numbers = tables_as_csv.tables(report)
    report = in_percent(report)
    shown = choices(report)
    cards = galleries.cards(report.arms, report.samples, _most_cards(report))
    parts: dict[str, Any] = {
        "by_metric": tables.by_metric(report),
        "tests": tables.tests(report),
        "losses": figures.losses(report),
        "films": galleries.films(report),
        "schedules": figures.schedules(report.arms, report.log_snr_axis),
        "levels": result_figures.losses_by_level(report),
        "learning": result_figures.learning(report),
        "cards": cards,
        "real": galleries.real(report.real),
    }
    return fill(
        "report.html",
        title=report.title,
        report=report,
        verdict=verdict.judge(report),
        method=many_to_one.METHOD,
        arms=legend(report),
        many=len(report.arms) > FEW,
        axes={field: _values(report, field) for field in report.fields},
        settings=[[_setting(arm, field) for field in report.fields] for arm in report.arms],
        shown=shown,
        chosen=shown["shown"]["{} {}".format(*shown["chosen"])],
        sections=_sections(report, parts),
        marked=any(picture.mark for card in cards for picture in card.pictures),
        some_mixed=any(card.mixed for card in cards),
        tests_method=tables.TESTS,
        film_captions=_film_captions(report),
        hidden_cards=len(report.samples.captions) - len(cards) if report.samples else 0,
        samples_setting=said(report.samples.setting) if report.samples else "",
        state=_packed({**shown, "picked": _picked(report), "slots": FEW}),
        data=_packed({name: tables_as_csv.embedded(rows) for name, rows in numbers.items()}),
        files_of=list(numbers),
        **parts,
    )


def fill(template: str, **content: Any) -> str:
    """A page of this house: a template within the common frame, everything else escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("diffusion_jax.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(css=style.css_class, dash=style.dash)
    return environment.get_template(template).render(
        light_colours=style.css_variables(dark=False),
        dark_colours=style.css_variables(dark=True),
        arm_rules=style.css_rules(),
        **content,
    )


def legend(report: Report) -> list[dict[str, Any]]:
    """What the page's legend says of each arm."""
    return [
        {
            "name": arm.name,
            "settings": ", ".join(f"{key} = {value}" for key, value in arm.settings.items()),
            "note": "baseline"
            if arm.name == report.baseline and len(report.arms) > 1
            else arm.status
            if arm.status.startswith("diverged")
            else "",
        }
        for arm in report.arms
    ]


def said(setting: ReportedSampling) -> str:
    """How samples were drawn, as a sentence; what arms do not share is 0 and left out."""
    steps = f", {setting.steps} steps" if setting.steps else ""
    evaluations = f", {setting.nfe} evaluations" if setting.nfe else ""
    return f"Drawn with {setting.solver}{steps}{evaluations}."


def _film_captions(report: Report) -> tuple[str, ...]:
    counts = [arm.trajectory.noisy.shape[1] for arm in report.arms if arm.trajectory]
    return report.samples.captions[: max(counts)] if counts and report.samples else ()


def _picked(report: Report) -> list[int]:
    """Arms brought forward at first: the baseline, better and worse ones, then the others."""
    index = report.index
    if len(index) <= FEW:
        return []
    largest = sorted(report.judged, key=lambda pair: -abs(pair.difference.value))
    better, worse = (
        [index[pair.arm] for pair in largest if pair.verdict == said][: FEW // 2]
        for said in (many_to_one.BETTER, many_to_one.WORSE)
    )
    order = [index[report.baseline], *better, *worse, *range(len(index))]
    return list(dict.fromkeys(order))[:FEW]


def _most_cards(report: Report) -> int:
    """As many captions as fit: hardly compressed pictures, of which base64 adds a third."""
    if report.samples is None:
        return 0
    size = sum(pictures[0].size for pictures in report.samples.pictures.values()) * 4 / 3
    return min(galleries.MOST_CARDS, max(FEWEST_CARDS, int(GALLERY_BYTES / max(size, 1))))


def _sections(report: Report, parts: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = {
        "samples": ("Samples", parts["cards"]),
        "arms": ("All arms", True),
        "metrics": ("By every metric", parts["by_metric"].rows),
        "differences": ("Differences", report.comparisons),
        "tests": ("Tests of samples", parts["tests"].rows),
        "schedules": ("Schedules", parts["schedules"]),
        "levels": ("Loss by noise level", parts["levels"]),
        "cost": ("Quality against cost", True),
        "learning": ("Learning curves", parts["learning"]),
        "training": ("Training loss", parts["losses"]),
        "reverse": ("Reverse process", parts["films"]),
        "data": ("Real examples", parts["real"]),
        "plan": ("Plan", report.plan),
        "made": ("How it was made", True),
    }
    return [(id_, name) for id_, (name, present) in named.items() if present]


def _values(report: Report, axis: str) -> list[str]:
    """The values of one axis, numbers by size and words in order of appearance."""
    found = dict.fromkeys(arm.settings[axis] for arm in report.arms if axis in arm.settings)
    numeric = all(isinstance(_key(value), float) for value in found)
    return sorted(found, key=float) if numeric else list(found)


def _setting(arm: ReportArm, axis: str) -> Cell:
    value = arm.settings.get(axis, "")
    return Cell(value, _key(value), numeric=isinstance(_key(value), float))


def _key(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value


def _packed(content: Any) -> str:
    """JSON, compressed and in base64: a tenth of its size, and nothing in it is markup."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
