"""Captions are cleaned as diffusers cleans them, with ftfy and Beautiful Soup."""

import json
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
    plain = [each for each in CAPTIONS if each[0].isascii() and "&" not in each[0]]
    assert len(plain) > 50
    for given, twice, whole, light in plain:
        found = PIXART(PIXART(given)), PRX(given), lightly_cleaned(given)
        assert found == (twice, whole, light), given


def test_others_are_refused_without_it_in_a_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(UserError, match="pip install ftfy, or set clean_caption=False"):
        PIXART("a café")
    with pytest.raises(UserError, match=r"'a café' has more than plain .* pip install ftfy\.$"):
        PRX("a café")


def test_markup_that_python_cannot_read_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be read .*: leave it out, or set clean_caption"):
        PIXART("a dog <![odd[ and a fox")
