"""The report as one HTML file that opens anywhere, offline, and needs nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusion_jax.files import save
from diffusion_jax.reports import figures, formats, galleries, style, tables, verdict
from diffusion_jax.reports.content import Arm, Provenance, Report, Setting
from diffusion_jax.reports.sweep_content import SweepArm


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
    cards, films = galleries.cards(report.arms, report.samples), galleries.films(report)
    parts: dict[str, Any] = {
        "cards": cards,
        "quality": figures.quality(report),
        "results": tables.results(report),
        "measures": tables.measures(report),
        "paired": tables.paired(report),
        "schedules": figures.schedules(report.arms, report.log_snr_axis),
        "losses": figures.losses(report) + figures.noise_errors(report),
        "films": films,
        "real": galleries.real(report.real),
    }
    return fill(
        "report.html",
        title=report.title,
        report=report,
        verdict=verdict.judge(report),
        arms=legend(report.arms),
        notes=_notes(report),
        sections=_sections(parts),
        marked=any(shown.mark for card in cards for shown in card.pictures),
        some_mixed=any(card.mixed for card in cards),
        hidden_cards=len(report.samples.captions) - len(cards) if report.samples else 0,
        samples_setting=said(report.samples.setting) if report.samples else "",
        floor=_floor(report),
        measured=_measured(report),
        film_captions=_film_captions(report),
        facts=facts(report.provenance),
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
    return environment.get_template(template).render(
        light_colours=style.css_variables(dark=False),
        dark_colours=style.css_variables(dark=True),
        arm_rules=style.css_rules(),
        **content,
    )


def _sections(parts: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = {
        "samples": ("Samples", parts["cards"]),
        "quality": ("Quality against compute", parts["results"].rows),
        "schedules": ("Schedules", parts["schedules"]),
        "training": ("Training", parts["losses"]),
        "reverse": ("Reverse process", parts["films"]),
        "data": ("Real pictures", parts["real"]),
        "made": ("How it was made", True),
    }
    return [(id_, name) for id_, (name, present) in named.items() if present]


def legend(arms: Sequence[Arm | SweepArm]) -> list[dict[str, Any]]:
    """What the page's legend says of each arm, and how it draws it."""
    return [
        {
            "index": index,
            "name": arm.name,
            "css": style.css_class(index),
            "dash": style.dash(index),
            "settings": ", ".join(f"{key} = {value}" for key, value in arm.settings.items()),
        }
        for index, arm in enumerate(arms)
    ]


def said(setting: Setting) -> str:
    """How samples were drawn, as a sentence; what arms do not share is 0 and left out."""
    steps = f", {setting.steps} steps" if setting.steps else ""
    evaluations = f", {setting.nfe} evaluations" if setting.nfe else ""
    return f"Drawn with {setting.solver}{steps}{evaluations}."


def _notes(report: Report) -> list[str]:
    """What the legend says beside each arm's name."""
    base = report.baseline or report.arms[0].name
    return [
        f"diverged at step {arm.diverged:,}"
        if arm.diverged is not None
        else "baseline"
        if arm.name == base and len(report.arms) > 1
        else ""
        for arm in report.arms
    ]


def _floor(report: Report) -> str:
    floor = report.distance.floor if report.distance else None
    return "" if floor is None else formats.number(floor.value)


def _measured(report: Report) -> list[tuple[str, str]]:
    """Each measure, and what it is and what could be expected of it."""
    said = []
    for each in report.quality:
        floor = ""
        if each.floor is not None:
            shown = formats.percent if each.unit == "%" else formats.number
            floor = f" Real pictures with the same captions get {shown(each.floor.value)}."
        what = f"{each.better} is better, {each.count:,} pictures: {each.explanation}{floor}"
        said.append((each.metric, what))
    return said + [(name, f"not measured: {why}.") for name, why in report.not_measured.items()]


def _film_captions(report: Report) -> tuple[str, ...]:
    counts = [arm.trajectory.noisy.shape[1] for arm in report.arms if arm.trajectory]
    return report.samples.captions[: max(counts)] if counts and report.samples else ()


def facts(made: Provenance) -> list[tuple[str, str]]:
    """How a report was made: what -> how."""
    told = [("Created", made.created), ("Hardware", made.hardware), ("Revision", made.revision)]
    if made.duration is not None:
        told.append(("Duration", formats.duration(made.duration)))
    told += [(f"Seed, {what}", str(seed)) for what, seed in made.seeds.items()]
    told.append(("Versions", ", ".join(f"{k} {v}" for k, v in made.versions.items())))
    return told
