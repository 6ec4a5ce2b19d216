"""The page of a sweep in a real browser: choosing, sorting, filtering, saving."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from diffusion_jax.reports import page, tables_as_csv
from diffusion_jax.reports.content import Report
from tests.reports import made_up_sweep
from tests.reports.browser import TELL, WAIT, dom, needs_browser, told

pytestmark = needs_browser

# Shown rows of the table and of the forest, each from top to bottom.
LOOK = """
await ready;
const shown = (element) => getComputedStyle(element).display !== 'none';
const rows = () => [...table.tBodies[0].rows].filter(shown).map((row) => row.dataset.arm);
const forest = () => [...document.querySelectorAll('#forest .forest-row')].filter(shown)
  .map((row) => [Number(row.getAttribute('transform').match(/ ([0-9.]+)[)]/)[1]), row.dataset.arm])
  .sort((a, b) => a[0] - b[0]).map(([, arm]) => arm);
const heading = (name) => [...table.tHead.querySelectorAll('button')]
  .find((button) => button.textContent === name);
const choose = (select, value) => {
  select.value = value;
  select.dispatchEvent(new Event(select.localName === 'select' ? 'change' : 'input'));
};
"""


@pytest.fixture(scope="module")
def twelve() -> Report:
    return made_up_sweep.report(arms=12)


@pytest.mark.parametrize("arms", [1, 60])
def test_no_console_message_and_nothing_sticks_out(tmp_path: Path, arms: int) -> None:
    made = made_up_sweep.report(arms=arms)
    script = f"{TELL} await ready; tell([document.documentElement.scrollWidth, innerWidth]);"
    document, console = dom(page.render(made), tmp_path, script, width=500)
    assert console == []
    content, window = told(document)
    assert content <= window == 500


def test_table_sorts_and_filters_and_the_figures_follow(tmp_path: Path, twelve: Report) -> None:
    script = f"""{TELL}{LOOK}
      const seen = {{}};
      heading('Difference').click();
      seen.sorted = [rows(), forest()];
      choose(document.querySelector('[data-axis="2"]'), 'min_snr(gamma=5.0)');
      seen.axis = [rows(), forest(), document.getElementById('count').textContent];
      choose(document.getElementById('find'), 'FLOW 0.5');
      seen.text = [rows(), forest()];
      seen.curves = [...document.querySelectorAll('#schedules .series')].filter(shown)
        .map((series) => series.dataset.arm);
      choose(document.getElementById('find'), 'no such arm');
      seen.none = rows();
      tell(seen);"""
    document, console = dom(page.render(twelve), tmp_path, script)
    assert console == []
    seen = told(document)
    index = {arm.name: str(i) for i, arm in enumerate(twelve.arms)}
    sampling = twelve.judged_by.sampling
    pairs = [c for c in twelve.comparisons if (c.metric, c.sampling) == ("distance", sampling)]
    known = [c for c in pairs if c.verdict != "no number"]
    order = [index[c.arm] for c in sorted(known, key=lambda c: c.difference.value)]
    rows, forest = seen["sorted"]
    assert rows[: len(order)] == order == forest
    assert set(rows[len(order) :]) == {"0", "10", "11"}  # without a difference: last
    rows, forest, count = seen["axis"]
    assert set(rows) == {"6", "7", "8", "9", "10", "11"} and count == "6 of 12 arms."
    assert forest == [arm for arm in order if arm in rows]
    assert seen["text"] == [["8"], ["8"]]
    assert set(seen["curves"]) == {"8"} and len(seen["curves"]) == 3
    assert seen["none"] == []


def test_another_metric_and_sampling_show_their_numbers(tmp_path: Path, twelve: Report) -> None:
    script = f"""{TELL}{LOOK}
      const keys = () => [...table.tBodies[0].rows].map((row) =>
        [row.dataset.arm, row.cells[1].dataset.key, row.cells[2].dataset.key,
         row.cells[3].textContent.trim()]);
      const seen = {{}};
      choose(document.getElementById('metric'), '1');
      choose(document.getElementById('sampling'), '4');
      seen.rate = keys();
      choose(document.getElementById('metric'), '2');
      seen.bits = keys();
      seen.sampling = document.getElementById('sampling').selectedOptions[0].textContent;
      seen.hidden = document.getElementById('evaluations').closest('figure').hidden;
      document.querySelectorAll('[data-shows]')[2].click();
      seen.learning = [...document.querySelectorAll('[data-learning]')].map((one) => one.hidden);
      tell(seen);"""
    document, console = dom(page.render(twelve), tmp_path, script)
    assert console == []
    seen = told(document)
    for metric, sampling, scale in (("rate", made_up_sweep.SAMPLINGS[4], 100), ("bits", None, 1)):
        pairs = {
            c.arm: c for c in twelve.comparisons if (c.metric, c.sampling) == (metric, sampling)
        }
        shown = {twelve.arms[int(arm)].name: rest for arm, *rest in seen[metric]}
        assert len(pairs) == 10  # one failed; the baseline is no pair
        for name, pair in pairs.items():
            mean, difference, finding = shown[name]
            if pair.verdict == "no number":
                assert (mean, difference, finding) == ("", "", "diverged at step 312")
            else:
                assert float(mean) == pytest.approx(scale * pair.mean.value, rel=1e-8)
                assert float(difference) == pytest.approx(scale * pair.difference.value, rel=1e-8)
                assert finding == pair.verdict
    assert (seen["sampling"], seen["hidden"]) == ("no sampling", True)
    assert seen["learning"] == [True, True, False, True]


def test_six_arms_at_most_are_brought_forward(tmp_path: Path, twelve: Report) -> None:
    script = f"""{TELL}{LOOK}
      const colours = () => new Set([...document.querySelectorAll('#levels .series[data-arm]')]
        .map((series) => getComputedStyle(series.querySelector('.line')).stroke)).size;
      const seen = [[slots.length, colours()]];
      for (const arm of [2, 3, 6, 8]) {{
        document.querySelector(`#table [data-pick="${{arm}}"]`).click();
      }}
      const chips = [...document.querySelectorAll('.legend button')].filter(shown).length;
      seen.push([slots.length, colours(), slots.includes('8'), chips]);
      const cards = [...document.querySelectorAll('.card')][0];
      seen.push([...cards.querySelectorAll('.sample')].filter(shown).map((one) => one.dataset.arm));
      seen.push([...slots]);
      tell(seen);"""
    document, console = dom(page.render(twelve), tmp_path, script)
    assert console == []
    first, second, cards, picked = told(document)
    assert first == [6, 7]  # six colours and grey
    assert second == [6, 7, True, 6]
    assert sorted(cards) == sorted(picked)


def test_saved_files_hold_the_numbers_and_stand_alone(tmp_path: Path, twelve: Report) -> None:
    script = f"""{TELL}{LOOK}{WAIT}
      const saved = {{}};
      save = async (name, content) => {{
        saved[name] = content instanceof Blob
          ? [...new Uint8Array(await content.arrayBuffer())].slice(0, 24) : content;
      }};
      document.querySelectorAll('#made [data-save]').forEach((button) => button.click());
      document.querySelector('#levels [data-save="svg"]').click();
      document.querySelector('#differences [data-save="svg"]').click();
      document.querySelector('#learning [data-save="png"]').click();
      // The clock of the page is virtual: work in between gives other threads time that is real.
      for (let i = 0; i < 400 && Object.keys(saved).length < 10; i++) {{
        for (let work = 0, sum = 0; work < 4e6; work++) sum += work;
        await new Promise((done) => setTimeout(done, 8));
      }}
      tell(saved);"""
    document, console = dom(page.render(twelve), tmp_path, script)
    assert console == []
    saved = told(document)
    files = tables_as_csv.csv_files(twelve)
    assert {name for name in saved if name.endswith(".csv")} == set(files)
    for name, text in files.items():
        rows, expected = (list(csv.reader(io.StringIO(found))) for found in (saved[name], text))
        assert len(rows) == len(expected)
        for row, other in zip(rows, expected, strict=True):
            assert [_plain(cell) for cell in row] == [_plain(cell) for cell in other]
    png = bytes(saved["learning.png"])
    assert png.startswith(b"\x89PNG")
    width = int.from_bytes(png[16:20], "big")
    assert width >= 1000
    for name in ("loss-by-noise-level.svg", "differences.svg"):
        svg = ElementTree.fromstring(saved[name])
        assert "var(" not in saved[name] and "class=" not in saved[name]
        assert svg[0].get("fill") == "#ffffff"
        texts = " ".join(filter(None, (node.text for node in svg.iter())))
        assert "cosine elbo" in texts
    lines = re.findall(r'stroke="(rgb[^"]*)"', saved["loss-by-noise-level.svg"])
    assert len(set(lines)) > 6


def _plain(cell: str) -> str | float:
    try:
        value = float(cell)
    except ValueError:
        return cell
    return value if value == value else "nan"
