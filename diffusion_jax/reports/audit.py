"""What an audit for copies found: the closest pairs on one page, and its numbers as JSON."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_jax.data.example import caption_of, take, values_of
from diffusion_jax.files import save
from diffusion_jax.metrics.audit import CopyTest
from diffusion_jax.metrics.copying import Audited, CopyAudit
from diffusion_jax.metrics.duplicates import mirrored
from diffusion_jax.metrics.neighbours import ALIKE
from diffusion_jax.reports import axes, formats, galleries, plots
from diffusion_jax.reports.figures import Figure
from diffusion_jax.reports.page import fill
from diffusion_jax.reports.provenance import Provenance
from diffusion_jax.reports.tables import Cell, HtmlRow, HtmlTable
from diffusion_jax.strict_json import to_json

PAGE, JSON = "audit.html", "results.json"
NAMES = (PAGE, JSON)
PAIRS, FEWEST = 24, 4  # pairs shown of each kind of prompts
PAGE_BYTES = 4_000_000
SHOWN = 24  # duplicated pictures on the page


@dataclasses.dataclass(frozen=True)
class AuditPage:
    """All that the page says.

    Attributes:
        audit: what was found.
        test: how it was looked for.
        model: that drew, in words.
        sampler: how it drew, in words.
        provenance: how to do it again.
    """

    audit: CopyAudit
    test: CopyTest
    model: str
    sampler: str
    provenance: Provenance = dataclasses.field(default_factory=Provenance)

    @property
    def verdict(self) -> str:
        """In two sentences: of the prompts that most was copied for."""
        head = "This model copies." if self.audit.copies else "No sign of copying."
        return f"{head} {said(self.worst, self.audit.accused(self.worst))}"

    @property
    def worst(self) -> Audited:
        """What was found for the prompts that speak most for copies."""
        return min(self.audit.audited, key=self.audit.p_value)


@dataclasses.dataclass(frozen=True)
class ClosestPair:
    """A generated picture and what is nearest to it.

    Attributes:
        prompt: what it was asked for.
        picture: as a data address.
        nearest: by each space that names another one: words that say which space, if they
            differ, data address, caption.
        copied: whether it is called a copy.
        verdict: in words.
    """

    prompt: str
    picture: str
    nearest: tuple[tuple[str, str, str], ...]
    copied: bool
    verdict: str


def write(page: AuditPage, folder: str | Path) -> Path:
    """Writes `audit.html` and `results.json`.

    Returns:
        The page's path.

    Raises:
        UserError: the folder cannot be written to.
    """
    save(to_json(results(page), indent=2), Path(folder) / JSON)
    return save(render(page).encode(), Path(folder) / PAGE)


def render(page: AuditPage) -> str:
    """The page as HTML."""
    audit, worst = page.audit, page.worst
    return fill(
        "audit.html",
        title="Does it copy?",
        lead=page.verdict,
        warnings=_warnings(audit),
        details=[said(each, audit.accused(each)) for each in audit.audited if each is not worst],
        protocol=_protocol(page),
        table=_table(audit),
        legend=[each.generated.name for each in audit.audited],
        figures=[_figure(audit, name) for name in page.test.spaces],
        kinds=[(each.generated.name, _pairs(audit, each)) for each in audit.audited],
        duplicates=_duplicates(audit),
        duplicated=_duplicated(audit),
        hidden_duplicates=max(len(audit.repeated) - SHOWN, 0),
        made=page.provenance,
    )


def said(audited: Audited, accused: bool) -> str:
    """What was found for one kind of prompts, as a sentence."""
    rate, whose = audited.rate, _whose(audited)
    bound = f"of {whose} at most {_percent(audited.false_alarms)} would be called so"
    kind = "drawn freely" if not audited.generated.captions else f"for {audited.generated.name}"
    found = (
        f"Of {rate.count} pictures {kind}, {_percent(rate.value)} ({_ends(audited)}) are called "
        "copies of training pictures"
    )
    return f"{found}; {bound}." if accused else f"{found}, and {bound}: no more than chance gives."


def _whose(audited: Audited) -> str:
    return "training pictures left out in turn" if audited.left_out else "real pictures never seen"


def _ends(audited: Audited) -> str:
    rate = audited.rate
    return f"{_percent(rate.low or 0.0)} to {_percent(rate.high or 0.0)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _warnings(audit: CopyAudit) -> list[str]:
    found = []
    for each in audit.audited:
        if each.same[1] > audit.alarm:
            found.append(
                f"{_percent(each.same[1])} of {_whose(each)} are a training picture over again "
                f"(within {ALIKE:g} of 255): with such data, new pictures look like copies, and "
                f"copies for {each.generated.name} can hardly be told."
            )
    return found


def _protocol(page: AuditPage) -> list[tuple[str, str]]:
    audit, data = page.audit, page.audit.data
    different, count = len(audit.duplicates.groups), len(data.train)
    held_out = sorted({len(each.real_off) for each in audit.audited})
    return [
        ("Model", page.model),
        ("Sampling", page.sampler),
        ("Data", f"{data.name}: {count:,} training {data.form}, {different:,} of them different"),
        (
            "Ratio",
            "distance to the nearest training picture over the mean distance to the nearest "
            f"{audit.k} different ones; a picture and its mirror image are as near",
        ),
        (
            "Spaces",
            f"pixels, averaged over at most 32 × 32 blocks; features, {page.test.features!r}",
        ),
        (
            "A copy",
            "has a smaller ratio, in one of the spaces, than nearly all real pictures that the "
            f"model was not shown ({', '.join(map(str, held_out))} of them): at most "
            f"{_percent(audit.alarm)} of such pictures would be called copies",
        ),
        (
            "Intervals",
            "95%, by Clopper and Pearson. The model is said to copy where so many copies have a "
            "probability below 1% for a model that draws like the real pictures (beta-binomial, "
            "adjusted by Bonferroni for spaces and kinds of prompts)",
        ),
    ]


def _table(audit: CopyAudit) -> HtmlTable:
    names = list(audit.audited[0].spaces)
    headings = (
        *("prompts", "pictures", "copies", "expected", "p"),
        *(f"by {name}" for name in names),
        *("over again", "real ones"),
    )
    return HtmlTable(headings, tuple(_row(audit, n, each) for n, each in enumerate(audit.audited)))


def _row(audit: CopyAudit, number: int, audited: Audited) -> HtmlRow:
    rate, p = audited.rate, audit.p_value(audited)
    shares = [float(each.copied.mean()) for each in audited.spaces.values()]
    cells = (
        Cell(str(rate.count), float(rate.count or 0)),
        Cell(_percent(rate.value), rate.value, _ends(audited)),
        Cell(_percent(audited.false_alarms), audited.false_alarms),
        Cell(formats.p_value(p), p),
        *(Cell(_percent(each), each) for each in (*shares, *audited.same)),
    )
    return HtmlRow(number, audited.generated.name, cells, audit.accused(audited))


def _figure(audit: CopyAudit, space: str) -> Figure:
    """How the ratios are distributed: the share of pictures below each."""
    lines, dots = [], []
    for number, each in enumerate(audit.audited):
        here = each.spaces[space]
        lines += [_below(None, here.real.ratio), _below(number, here.drawn.ratio)]
        dots.append((here.threshold, float((here.drawn.ratio < here.threshold).mean())))
    title = f"Ratio, {space}"
    svg = plots.chart(
        title,
        "The share of pictures with a smaller ratio, of generated and of real ones.",
        lines,
        axes.linear("ratio (0 a copy, 1 like no picture)", (0, 1), low=0, high=1),
        axes.linear("share below", (0, 1), low=0, high=1),
        dots=dots,
    )
    return Figure(title, svg, "The circle is the threshold: what lies left of it is a copy.")


def _below(arm: int | None, ratio: np.ndarray) -> plots.Line:
    x = np.concatenate([[0.0], np.sort(ratio)])
    return plots.Line(arm, x, np.linspace(0, 1, len(x)))


def _pairs(audit: CopyAudit, audited: Audited) -> list[ClosestPair]:
    """The closest pairs, of each training picture the closest one."""
    size = 4 * audited.generated.pictures[0].size * len(audit.audited)  # three, and base64
    most = min(PAIRS, max(FEWEST, PAGE_BYTES // size))
    group = audit.duplicates.group[audited.nearest[0]]
    first: dict[int, int] = {}
    for row in audited.closest_first.tolist():
        first.setdefault(int(group[row]), row)
    copies = Counter(group[audited.copied].tolist())
    return [_pair(audit, audited, row, copies[g]) for g, row in list(first.items())[:most]]


def _pair(audit: CopyAudit, audited: Audited, row: int, copies: int) -> ClosestPair:
    drawn = audited.generated.pictures[row]
    spaces: dict[int, list[str]] = {}
    for name, space in audited.spaces.items():
        spaces.setdefault(int(space.drawn.index[row]), []).append(name)
    examples = take(audit.data.train, list(spaces))
    pictures = values_of(examples)
    nearest = tuple(
        (
            f" by {names[0]}" if len(names) < len(audited.spaces) else "",
            galleries.address(picture),
            caption_of(example),
        )
        for names, picture, example in zip(spaces.values(), pictures, examples, strict=True)
    )
    turned = _apart(drawn, mirrored(pictures)[0]) < _apart(drawn, pictures[0])
    captions = audited.generated.captions
    return ClosestPair(
        captions[row] if captions else "",
        galleries.address(drawn),
        nearest,
        bool(audited.copied[row]),
        _judged(audited, row, bool(turned)) + (f"; {copies} copies of it" if copies > 1 else ""),
    )


def _apart(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(np.float64) - second).mean())


def _judged(audited: Audited, row: int, turned: bool) -> str:
    """One pair in words."""
    seen = [name for name, each in audited.spaces.items() if each.copied[row]]
    nearer = max(float(each.nearer_than()[row]) for each in audited.spaces.values())
    mirror = ", as its mirror image" if turned else ""
    if audited.off[row] <= ALIKE:
        again = f"a training picture over again{mirror}, {audited.off[row]:.1f} of 255 apart"
        return f"Copy: {again}" if seen else f"No copy by the threshold, but {again}"
    if seen:
        than = "any of the" if nearer == 1 else f"{_percent(nearer)} of"
        return f"Copy by {' and '.join(seen)}{mirror}: nearer than {than} real pictures"
    return f"No copy: {_percent(1 - nearer)} of real pictures are as near or nearer"


def _duplicates(audit: CopyAudit) -> list[tuple[str, str, str]]:
    """(data address, how often, caption) of the duplicated pictures that matter most."""
    first = audit.repeated[:SHOWN]
    examples = take(audit.data.train, [one.row for one in first]) if first else []
    return [
        (
            galleries.address(example["image"]),
            f"{one.times} times in training, nearest to {one.nearest} drawn, "
            f"copied {one.copies} times",
            caption_of(example),
        )
        for example, one in zip(examples, first, strict=True)
    ]


def _duplicated(audit: CopyAudit) -> str:
    """What there is to say of duplicated pictures; "" where there are none."""
    if not audit.repeated:
        return ""
    copies, (drawn, real) = sum(one.copies for one in audit.repeated), audit.share_near_repeated
    return (
        f"{len(audit.repeated):,} of {len(audit.duplicates.groups):,} training pictures are there "
        "more than once: the same bytes, saved again, or mirrored. Each counts as one. They are "
        f"the nearest to {_percent(drawn)} of the generated pictures and to {_percent(real)} of "
        f"the real ones. Of {audit.found} copies, {copies} are of these."
    )


def results(page: AuditPage) -> dict[str, Any]:
    """The numbers of an audit, as JSON has them."""
    audit = page.audit
    return {
        "copies": audit.copies,
        "verdict": page.verdict,
        "model": page.model,
        "sampling": page.sampler,
        "data": audit.data.name,
        "training_pictures": len(audit.data.train),
        "different_training_pictures": len(audit.duplicates.groups),
        "neighbours": audit.k,
        "false_alarms_allowed": audit.alarm,
        "warnings": _warnings(audit),
        "prompts": [_plain(audit, each) for each in audit.audited],
        "duplicates": [
            {"picture": one.row, "times": one.times, "nearest": one.nearest, "copies": one.copies}
            for one in audit.repeated
        ],
        "nearest_to_duplicates": dict(
            zip(("generated", "real"), audit.share_near_repeated, strict=True)
        ),
        "command": page.provenance.command,
        "made": dict(page.provenance.facts),
    }


def _plain(audit: CopyAudit, audited: Audited) -> dict[str, Any]:
    rate = audited.rate
    return {
        "prompts": audited.generated.name,
        "count": rate.count,
        "copies": int(audited.copied.sum()),
        "rate": {"value": rate.value, "low": rate.low, "high": rate.high},
        "false_alarms": audited.false_alarms,
        "p_value": audit.p_value(audited),
        "accused": audit.accused(audited),
        "judged_by": _whose(audited),
        "judged_by_count": len(audited.real_off),
        "over_again": audited.same[0],
        "real_over_again": audited.same[1],
        "spaces": {
            name: {
                "threshold": each.threshold,
                "copies": int(each.copied.sum()),
                "ratio": each.drawn.ratio,
                "nearest": each.drawn.index,
                "real_ratio": each.real.ratio,
            }
            for name, each in audited.spaces.items()
        },
    }
