"""The report of a sweep as one HTML file that opens anywhere, offline, with its numbers in it."""

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion_jax.files import save
from diffusion_jax.reports import figures, galleries, style, sweep_csv, sweep_figures, sweep_verdict
from diffusion_jax.reports.page import facts, fill, legend, said
from diffusion_jax.reports.sweep_choices import choices
from diffusion_jax.reports.sweep_comparisons import in_percent
from diffusion_jax.reports.sweep_content import SweepArm, SweepReport
from diffusion_jax.reports.tables import Cell
from diffusion_jax.statistics import replicates

FEW = len(style.LIGHT)  # arms that have a colour each; of more, so many are brought forward
GALLERY_BYTES = 3_500_000
FEWEST_CARDS = 4


def write(report: SweepReport, path: str | Path) -> Path:
    """Draws the report and writes it; an older file is replaced only once the new one is whole.

    Args:
        report: what to show.
        path: where to, e.g. "runs/sweep/report.html"; folders are made.

    Returns:
        The path.

    Raises:
        UserError: the file cannot be written there.
    """
    return save(render(report).encode(), path)


def render(report: SweepReport) -> str:
    """The report as HTML."""
    tables = sweep_csv.tables(report)
    report = in_percent(report)
    shown = choices(report)
    cards = galleries.cards(report.arms, report.samples, _most_cards(report))
    parts: dict[str, Any] = {
        "schedules": figures.schedules(report.arms, report.log_snr_axis),
        "levels": sweep_figures.losses_by_level(report),
        "learning": sweep_figures.learning(report),
        "cards": cards,
        "real": galleries.real(report.real),
        "plan": report.plan,
    }
    axes = sweep_csv.fields(report)
    return fill(
        "sweep.html",
        title=report.title,
        report=report,
        verdict=sweep_verdict.judge(report),
        method=replicates.METHOD,
        arms=legend(report.arms),
        many=len(report.arms) > FEW,
        axes={axis: _values(report, axis) for axis in axes},
        settings=[[_setting(arm, axis) for axis in axes] for arm in report.arms],
        shown=shown,
        chosen=shown["shown"]["{} {}".format(*shown["chosen"])],
        sections=_sections(parts),
        marked=any(picture.mark for card in cards for picture in card.pictures),
        some_mixed=any(card.mixed for card in cards),
        samples_setting=said(report.samples.setting) if report.samples else "",
        facts=facts(report.provenance),
        state=_packed({**shown, "picked": _picked(report), "slots": FEW}),
        data=_packed({name: sweep_csv.embedded(table) for name, table in tables.items()}),
        files_of=list(tables),
        **parts,
    )


def _picked(report: SweepReport) -> list[int]:
    """Arms that are brought forward at first: the baseline, those told apart, then the others."""
    index = {arm.name: i for i, arm in enumerate(report.arms)}
    if len(report.arms) <= FEW:
        return []
    better, worse = (
        sorted(
            (pair for pair in sweep_verdict.headline(report) if pair.verdict == verdict),
            key=lambda pair: -abs(pair.difference),
        )
        for verdict in (replicates.BETTER, replicates.WORSE)
    )
    half = FEW // 2
    apart = [index[pair.arm] for pair in (*better[:half], *worse[:half])]
    order = [index[report.baseline], *apart, *range(len(index))]
    return list(dict.fromkeys(order))[:FEW]


def _most_cards(report: SweepReport) -> int:
    """As many captions as fit: hardly compressed pictures, of which base64 adds a third."""
    if report.samples is None:
        return 0
    size = sum(pictures[0].size for pictures in report.samples.pictures.values()) * 4 / 3
    return min(galleries.MOST_CARDS, max(FEWEST_CARDS, int(GALLERY_BYTES / max(size, 1))))


def _sections(parts: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = {
        "arms": ("All arms", True),
        "differences": ("Differences", True),
        "schedules": ("Schedules", parts["schedules"]),
        "levels": ("Loss by noise level", parts["levels"]),
        "cost": ("Quality against cost", True),
        "learning": ("Learning curves", parts["learning"]),
        "samples": ("Samples", parts["cards"]),
        "data": ("Real pictures", parts["real"]),
        "plan": ("Plan", parts["plan"]),
        "made": ("How it was made", True),
    }
    return [(id_, name) for id_, (name, present) in named.items() if present]


def _values(report: SweepReport, axis: str) -> list[str]:
    """The values of one axis, numbers by size and words in order of appearance."""
    found = dict.fromkeys(arm.settings[axis] for arm in report.arms if axis in arm.settings)
    numeric = all(isinstance(_key(value), float) for value in found)
    return sorted(found, key=float) if numeric else list(found)


def _setting(arm: SweepArm, axis: str) -> Cell:
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
