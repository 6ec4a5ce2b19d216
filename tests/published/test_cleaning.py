"""Captions are cleaned as diffusers cleans them, with ftfy and Beautiful Soup."""

import json
import re
import sys

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.pipelines.cleaning import PIXART, PRX, lightly_cleaned
from tests.published.recorded import DATA

CAPTIONS = json.loads((DATA / "captions.json").read_text())


def test_odd_captions_are_cleaned_as_the_original_cleans_them() -> None:
    for given, twice, whole, light in CAPTIONS:
        assert PIXART(PIXART(given)) == twice, given
        assert PRX(given) == whole, given
        assert lightly_cleaned(given) == light, given


def test_plain_captions_need_no_further_library(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    others = set("“”’‘–éñ")
    plain = [
        each
        for each in CAPTIONS
        if "&" not in each[0] and all(a.isascii() or a in others for a in each[0])
        if not re.search("[^\0-\x7f][\0-\x1f]*[^\0-\x7f]", each[0])
    ]
    assert len(plain) > 80 and any(not each[0].isascii() for each in plain)
    for given, twice, whole, light in plain:
        found = PIXART(PIXART(given)), PRX(given), lightly_cleaned(given)
        assert found == (twice, whole, light), given


def test_others_are_refused_without_it_in_a_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(UserError, match="pip install ftfy, or set clean_caption=False"):
        PIXART("привет")
    with pytest.raises(UserError, match=r"'привет' has characters .* pip install ftfy\.$"):
        PRX("привет")


def test_markup_that_python_cannot_read_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be read .*: leave it out, or set clean_caption"):
        PIXART("a dog <![odd[ and a fox")
