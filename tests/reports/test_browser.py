"""The page in a real browser: no errors, slider, sorting, legend, narrow windows."""

from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.reports import page
from tests.reports import made_up
from tests.reports.browser import TELL, WAIT, dom, needs_browser, told

pytestmark = needs_browser


@pytest.mark.parametrize("arms", [1, 10])
def test_no_console_message(tmp_path: Path, arms: int) -> None:
    made = made_up.report(arms=arms, channels=1 if arms == 1 else 3)
    document, console = dom(page.render(made), tmp_path)
    assert console == []
    assert document.count("<canvas") == 2 * arms


def test_slider_shows_the_frames_of_the_film(tmp_path: Path) -> None:
    made = made_up.report(arms=2)
    script = f"""{TELL}{WAIT}
      const slider = document.getElementById('frame');
      const seen = [];
      for (const value of [0, 1000]) {{
        slider.value = value;
        slider.dispatchEvent(new Event('input'));
        const canvas = document.querySelector('canvas[data-film="1"][data-sheet="denoised"]');
        const pixels = canvas.getContext('2d').getImageData(0, 0, 16, 16).data;
        seen.push([[...pixels], document.querySelector('[data-level="1"]').textContent]);
      }}
      tell(seen);"""
    document, _ = dom(page.render(made), tmp_path, script)
    trajectory = made.arms[1].trajectory
    assert trajectory is not None
    for frame, (pixels, level) in zip((0, -1), told(document), strict=True):
        shown = np.reshape(pixels, (16, 16, 4))[..., :3]
        np.testing.assert_array_equal(shown, trajectory.denoised[frame, 0])
        assert level == {0: "−8.0", -1: "+8.0"}[frame]


def test_play_moves_the_slider(tmp_path: Path) -> None:
    script = f"""{TELL}{WAIT}
      const slider = document.getElementById('frame');
      const before = Number(slider.value);
      document.getElementById('play').click();
      {WAIT}
      tell([before, Number(slider.value), document.getElementById('play').ariaLabel]);"""
    document, _ = dom(page.render(made_up.report(arms=1)), tmp_path, script)
    before, after, label = told(document)
    assert after > before
    assert label == "Pause"


def test_table_sorts_by_number_both_ways_with_gaps_last(tmp_path: Path) -> None:
    script = f"""{TELL}
      const heading = [...document.querySelectorAll('#metrics thead button')]
        .find((button) => button.textContent.startsWith('Kernel distance'));
      const body = heading.closest('table').tBodies[0];
      body.rows[0].cells[heading.parentElement.cellIndex].dataset.key = '';
      const column = () => [...body.rows]
        .map((row) => row.cells[heading.parentElement.cellIndex].dataset.key);
      const orders = [];
      for (let i = 0; i < 2; i++) {{ heading.click(); orders.push(column()); }}
      tell([orders, heading.parentElement.getAttribute('aria-sort')]);"""
    document, _ = dom(page.render(made_up.report()), tmp_path, script)
    (rising, falling), state = told(document)
    assert rising[-1] == falling[-1] == ""
    numbers = [float(key) for key in rising[:-1]]
    assert numbers == sorted(numbers)
    assert [float(key) for key in falling[:-1]] == sorted(numbers, reverse=True)
    assert state == "descending"


def test_legend_and_filter_bring_forward_what_was_chosen(tmp_path: Path) -> None:
    script = f"""{TELL} await ready;
      rules('still', '* {{ transition: none !important; }}');
      document.querySelector('[data-pick="1"]').click();
      document.getElementById('mixed').click();
      const of = (selector, test) => [...document.querySelectorAll(selector)].filter(test).length;
      tell([
        of('[data-arm="1"]', (e) => Number(getComputedStyle(e).opacity) < 0.2),
        of('.series[data-arm="0"]', (e) => Number(getComputedStyle(e).opacity) > 0.2),
        of('.card', (e) => e.offsetParent !== null && !('mixed' in e.dataset)),
        of('.card', (e) => e.offsetParent !== null),
      ]);"""
    document, _ = dom(page.render(made_up.report()), tmp_path, script)
    dimmed, bright, unmixed, shown = told(document)
    assert (dimmed, bright, unmixed) == (0, 0, 0)
    assert shown > 0


def test_nothing_sticks_out_of_a_narrow_window(tmp_path: Path) -> None:
    script = f"{TELL} tell([document.documentElement.scrollWidth, innerWidth]);"
    document, _ = dom(page.render(made_up.report()), tmp_path, script, width=500)
    content, window = told(document)
    assert content <= window == 500
