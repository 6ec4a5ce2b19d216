"""The catalog: all families, all members, and what each says of itself."""

import pytest

from diffusion_jax.describe import CatalogEntry, describe
from diffusion_jax.errors import UserError
from diffusion_jax.registry import Registry
from experiments import catalog


def test_it_finds_every_family() -> None:
    found = list(catalog.families())
    assert found[:3] == ["schedule", "prediction", "time sampler"]
    expected = {"weighting", "network", "conditioner", "grid", "solver", "guidance"}
    expected |= {"data set", "ema", "optimizer"}
    assert expected <= set(found)


@pytest.mark.parametrize("family", list(catalog.families()))
def test_every_member_has_a_row_that_says_what_it_is(family: str) -> None:
    registry = catalog.families()[family]
    heads, rows = catalog.rows(family, registry)
    assert [row[0] for row in rows] == list(registry)
    for name, row in zip(registry, rows, strict=True):
        assert len(row) == len(heads)
        # Other tests may have registered members of their own by now.
        own = registry[name].__module__.startswith("diffusion_jax.")
        assert row[2] or not own, f"{family} {name} says nothing of itself"


def test_a_solver_tells_its_order_noise_and_cost() -> None:
    solvers = catalog.families()["solver"]
    rows = {row[0]: row[5:] for row in catalog.rows("solver", solvers)[1]}
    assert rows["heun"] == ("2", "no", "19")
    assert rows["ancestral"] == ("1", "yes", "10")


def test_an_entry_is_read_from_docstring_and_signature() -> None:
    things: Registry[object] = Registry("thing")

    @things.register("lever", formula="F₁ l₁ = F₂ l₂")
    def lever(arm: float, fulcrum: int = 2) -> object:
        """Lifts the world.

        With F = m a. The arm counts.

        Args:
            arm: its length, as in F = 2.

        Source: Archimedes, p. 3.
        """
        raise NotImplementedError

    assert describe(things) == [
        CatalogEntry(
            "lever", "arm=…, fulcrum=2", "Lifts the world", "F₁ l₁ = F₂ l₂", "Archimedes, p. 3"
        )
    ]


def test_the_command_prints_or_writes(capsys, tmp_path) -> None:
    catalog.main(["--family=solver"])
    printed = capsys.readouterr().out
    assert "NFE of 10 steps 19" in printed
    assert "SCHEDULE" not in printed
    catalog.main([f"--markdown={tmp_path / 'catalog.md'}"])
    assert "| rectified_flow | shift=1.0 |" in (tmp_path / "catalog.md").read_text()


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'solver'"):
        catalog.main(["--family=solvers"])
    with pytest.raises(UserError, match="See --help"):
        catalog.main(["--famly=solver"])
