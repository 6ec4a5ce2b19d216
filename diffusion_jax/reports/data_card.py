"""What a data set holds, as a page and as text."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_jax.data.example import Example
from diffusion_jax.data.overview import Overview, SideFacts
from diffusion_jax.files import save
from diffusion_jax.reports.page import fill
from diffusion_jax.reports.pictures import data_uri, png, to_image

BARS = 12  # of a chart
GROUPS = 12  # of duplicates that are shown
MEMBERS = 6  # of each
SIDE = 96  # pixels of a picture on the page
NO_LIBRARY = "not told: `pip install py3langid` brings what tells them"


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar of a chart.

    Attributes:
        name: what is counted.
        count: of it.
        share: of the longest bar, in percent.
    """

    name: str
    count: int
    share: float


@dataclasses.dataclass(frozen=True)
class BarChart:
    """Counts of one side, as bars.

    Attributes:
        title: what is counted.
        bars: in their order.
        note: what else is to be said.
    """

    title: str
    bars: tuple[Bar, ...]
    note: str = ""


def lines(overview: Overview) -> list[tuple[str, str]]:
    """The card in brief: what, and how much of it."""
    found = [("data set", f"{overview.name}, {overview.form}")]
    for name, side in overview.sides.items():
        looked = "" if side.looked_at == side.count else f", {side.looked_at:,} looked at"
        found.append((name, f"{side.count:,} examples{looked}"))
        if side.sizes:
            found.append((f"{name}: sizes", _sizes(side)))
        found.append((f"{name}: captions", _captions(side)))
        if side.words:
            found += [
                (f"{name}: words", _spread(side.words)),
                (f"{name}: tokens", _spread(side.tokens)),
                (f"{name}: scripts", _shares(side.scripts)),
                (f"{name}: languages", _shares(side.languages) if side.languages else NO_LIBRARY),
            ]
        if side.labels:
            found.append((f"{name}: classes", _shares(side.labels)))
        found.append((f"{name}: damaged", _damage(side)))
    if overview.duplicates is not None:
        found.append(("the same picture", _grouped(overview.duplicates.exact)))
        found.append(("nearly the same", _grouped(overview.duplicates.near)))
    if len(overview.sides) > 1:
        groups = f"{len(overview.shared):,} groups of such pictures"
        found.append(("on both sides", f"{groups}, {overview.same_captions:,} captions"))
    return found


def write_card(
    overview: Overview, pictures_of: Mapping[int, Example], folder: Path, command: str
) -> tuple[Path, Path]:
    """Writes data_card.html, one file that opens offline, and data_card.json.

    Args:
        overview: of the data set.
        pictures_of: position among `overview.keys` → the example there, of the groups to show.
        folder: for the files.
        command: that made the card.

    Returns:
        The two paths.
    """
    page = fill(
        "data_card.html",
        title=f"Data set {overview.name}",
        overview=overview,
        lines=lines(overview),
        charts={name: _charts(side) for name, side in overview.sides.items()},
        examples=[(_source(each), _said(each)) for each in overview.examples],
        groups=[
            [(_source(pictures_of[k]), overview.keys[k]) for k in group[:MEMBERS]]
            for group in groups_to_show(overview)
        ],
        damaged=[
            (f"{name}: {key}", reason)
            for name, side in overview.sides.items()
            for key, reason in list(side.damaged.items())[:50]
        ],
        command=command,
    )
    return save(page.encode(), folder / "data_card.html"), save(
        json.dumps(numbers(overview), indent=1, allow_nan=False).encode(), folder / "data_card.json"
    )


def groups_to_show(overview: Overview) -> list[tuple[int, ...]]:
    """Groups of duplicates, those on both sides first, the largest before others."""
    if overview.duplicates is None:
        return []
    groups = dict.fromkeys((*overview.duplicates.near, *overview.duplicates.exact))
    shared = set(overview.shared)
    return sorted(groups, key=lambda group: (group not in shared, -len(group)))[:GROUPS]


def numbers(overview: Overview) -> dict[str, Any]:
    """All counts, for other programs."""
    sides = {
        name: dataclasses.asdict(side)
        | {"sizes": {f"{h}x{w}": count for (h, w), count in side.sizes.items()}}
        for name, side in overview.sides.items()
    }
    known = overview.duplicates
    groups = {} if known is None else {"exact": known.exact, "near": known.near}
    named = {
        what: [[overview.keys[k] for k in group] for group in each] for what, each in groups.items()
    }
    return {
        "name": overview.name,
        "form": overview.form,
        "sides": sides,
        "duplicates": named,
        "groups_on_both_sides": len(overview.shared),
        "captions_on_both_sides": overview.same_captions,
    }


def _grouped(groups: Sequence[Sequence[int]]) -> str:
    more = sum(map(len, groups)) - len(groups)
    return f"{len(groups):,} groups, in which {more:,} pictures could be spared" if more else "none"


def _sizes(side: SideFacts) -> str:
    counts = np.array(list(side.sizes.values()))
    heights, widths = np.array(list(side.sizes)).T
    if len(counts) == 1:
        return f"all {heights[0]}×{widths[0]}"
    ratios = widths / heights
    return (
        f"{len(counts):,}, from {heights.min()} to {heights.max()} high and {widths.min()} to "
        f"{widths.max()} wide; width/height from {ratios.min():.2f} to {ratios.max():.2f}"
    )


def _captions(side: SideFacts) -> str:
    total = sum(number * count for number, count in side.captions_each.items())
    without = side.captions_each.get(0, 0)
    often = ", ".join(
        f"{number} each in {count:,}"
        for number, count in sorted(side.captions_each.items())
        if number
    )
    none = f"; {without:,} examples without" if without else ""
    return f"{total:,}, {side.distinct:,} of them different ({often or 'none'}){none}"


def _spread(counts: Mapping[int, int]) -> str:
    lengths = np.repeat(list(counts), list(counts.values()))
    low, middle, high = np.quantile(lengths, [0.05, 0.5, 0.95], method="nearest")
    return f"median {middle}, 5% to 95% {low} to {high}, longest {lengths.max()}"


def _shares(counts: Mapping[str, int], most: int = 5) -> str:
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    said = [f"{name} {100 * count / total:.1f}%" for name, count in ordered[:most]]
    more = len(ordered) - most
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _damage(side: SideFacts) -> str:
    if not side.damaged:
        return "none"
    first = next(iter(side.damaged.items()))
    return f"{len(side.damaged):,}, such as {first[0]}: {first[1]}"


def _charts(side: SideFacts) -> list[BarChart]:
    charts = [_lengths("Tokens of a caption", side.tokens)] if side.tokens else []
    if len(side.sizes) > 1:
        ratios: dict[str, int] = {}
        for (height, width), count in side.sizes.items():
            name = f"{2.0 ** (round(2 * np.log2(width / height)) / 2):.2f}"
            ratios[name] = ratios.get(name, 0) + count
        if len(ratios) > 1:
            charts.append(_bars("Width over height", dict(sorted(ratios.items(), key=_as_number))))
    for title, counts in (
        ("Scripts", side.scripts),
        ("Languages", side.languages or {}),
        ("Classes", side.labels),
    ):
        if len(counts) > 1:
            charts.append(_bars(title, counts))
    return charts


def _as_number(item: tuple[str, int]) -> float:
    return float(item[0])


def _lengths(title: str, counts: Mapping[int, int]) -> BarChart:
    """Lengths in equal steps."""
    longest = max(counts)
    step = max(1, -(-(longest + 1) // BARS))
    found = {}
    for start in range(0, longest + 1, step):
        name = str(start) if step == 1 else f"{start}–{start + step - 1}"
        found[name] = sum(counts.get(k, 0) for k in range(start, start + step))
    return _bars(title, found)


def _bars(title: str, counts: Mapping[str, int]) -> BarChart:
    longest = max(counts.values())
    shown = list(counts.items())[:BARS]
    bars = tuple(Bar(name, count, 100 * count / longest) for name, count in shown)
    more = len(counts) - len(shown)
    return BarChart(title, bars, f"{more:,} more have fewer." if more > 0 else "")


def _source(example: Example) -> str:
    if "image" not in example:
        return ""
    return data_uri(png(to_image(example["image"], SIDE)))


def _said(example: Example) -> Sequence[str]:
    return list(example.get("captions", ()))[:2]
