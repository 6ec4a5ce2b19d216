"""The page of an audit: what it says of copies, of none, and of duplicates; its numbers as JSON."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.metrics.audit import audit
from diffusion_jax.metrics.copying import Generated
from diffusion_jax.reports.audit import AuditPage, render, write
from tests.metrics.test_audit import TEST, dataset, draw
from tests.reports.browser import TELL, dom, needs_browser, told

HEAD = re.compile(r'<p class="lead">(.*?)</p>', re.DOTALL)


@pytest.fixture(scope="module")
def page() -> AuditPage:
    """A model of which a third are copies, most of a picture that was there ten times."""
    once = draw(80, 0)
    train = np.concatenate([once, once[[3] * 9]])
    copies = np.concatenate([once[[3] * 20], once[30:40, :, ::-1]])
    drawn = np.concatenate([draw(60, 5), copies])
    prompts = tuple(f"<b>picture {i}</b>" for i in range(len(drawn)))
    kinds = [
        Generated("prompts of training pictures", drawn, prompts),
        Generated("prompts of held-out pictures", draw(60, 6), prompts[:60], as_trained=False),
    ]
    found = audit(kinds, dataset(train), TEST)
    return AuditPage(found, TEST, "a model", "heun, 8 steps")


def test_the_page_says_what_was_found(page: AuditPage) -> None:
    text = render(page)
    assert not re.search(r'(src|href)="(?!data:|#)', text) and "<b>picture" not in text
    lead = HEAD.search(html.unescape(text))
    assert lead and lead[1].startswith("This model copies. Of 90 pictures for prompts of training")
    rate = page.audit.audited[0].rate
    assert f"{100 * rate.value:.1f}%" in lead[1] and "at most 4.0% would be called so" in lead[1]
    cards = re.findall(r'<article class="card">(.*?)</article>', text, re.DOTALL)
    assert len(cards) == 48
    copies = [card for card in cards if "Copy" in card]
    assert "; 20 copies of it" in "".join(copies) and len(copies) < 16
    assert "mirror image" in text and "0.0 of 255 apart" in text
    assert re.search(r"10 times in training, nearest to 2\d drawn, copied 20 times", text)


def test_a_model_that_copies_nothing_is_told_so(page: AuditPage) -> None:
    found = audit([Generated("no prompt", draw(60, 6))], page.audit.data, TEST)
    fresh = AuditPage(found, TEST, "a model", "heun, 8 steps")
    assert fresh.verdict.startswith("No sign of copying. Of 60 pictures drawn freely, ")
    assert fresh.verdict.endswith("no more than chance gives.")


def test_data_in_which_copies_cannot_be_told_warn() -> None:
    train = draw(80, 0)
    data = dataset(train)
    data.test.values[:20] = train[:20]  # type: ignore[attr-defined]
    found = audit([Generated("no prompt", draw(60, 6))], data, TEST)
    text = render(AuditPage(found, TEST, "a model", "heun"))
    assert "10.0% of real pictures never seen are a training picture over again" in text


def test_the_numbers_are_those_of_the_audit(page: AuditPage, tmp_path: Path) -> None:
    path = write(page, tmp_path / "new")
    assert sorted(each.name for each in path.parent.iterdir()) == ["audit.html", "results.json"]
    said = json.loads((path.parent / "results.json").read_text())
    first, second = said["prompts"]
    assert said["copies"] and first["accused"] and not second["accused"]
    assert first["rate"]["low"] < first["copies"] / first["count"] < first["rate"]["high"]
    pixels = first["spaces"]["pixels"]
    below = np.array(pixels["ratio"]) < pixels["threshold"]
    assert below.sum() == pixels["copies"] and len(below) == 90
    real = np.array(pixels["real_ratio"]) < pixels["threshold"]
    assert (real.sum() + 1) / (len(real) + 1) <= 0.02  # half of it, as there are two spaces
    (repeated,) = said["duplicates"]
    assert [repeated[name] for name in ("picture", "times", "copies")] == [3, 10, 20]
    assert said["nearest_to_duplicates"]["generated"] == repeated["nearest"] / 150


@needs_browser
def test_it_opens_in_a_browser_without_a_complaint(page: AuditPage, tmp_path: Path) -> None:
    strokes = (
        "tell([...document.querySelectorAll('.series .line')]"
        ".map((line) => getComputedStyle(line).stroke))"
    )
    document, complaints = dom(render(page), tmp_path, TELL + strokes)
    assert not complaints and document.count('<article class="card">') == 48
    # In each of two spaces, two kinds of prompts and the real pictures of each.
    assert len(told(document)) == 8 and "none" not in told(document)
