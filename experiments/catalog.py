"""All families of interchangeable parts, and what a spec in a config may name.

    python -m experiments.catalog
    python -m experiments.catalog --family=solver
    python -m experiments.catalog --names
    python -m experiments.catalog --markdown=docs/catalog.md

A row per member: its name with its settings and their defaults, its formula, and the paper. Solvers
also have their order of convergence, whether they draw noise, and the denoiser evaluations (NFE)
that ten steps cost.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from experiments import plain

if TYPE_CHECKING:
    from diffusion_jax.registry import Registry

# In the order of the story, from noise to pictures; families not named here follow.
FIRST = (
    "schedule",
    "prediction",
    "time sampler",
    "weighting",
    "loss",
    "network",
    "conditioner",
    "grid",
    "solver",
    "guidance",
)
STEPS = 10  # whose cost is listed
NOTATION = (
    "In formulas x = α x₀ + σ ε, λ = log(α²/σ²), SNR = α²/σ²; t is the schedule's time, u is "
    "uniform in (0, 1), y is what the network predicts and ŷ its prediction, w the weight of a "
    "level and L the loss. A step of a solver leads from t to s, D is the estimate of x₀ at x_t, ε̂ "
    "that of the noise, ∇log p the score, z fresh noise; a grid of N steps has T labels; guidance "
    "has a condition c or none, ∅. Other letters are settings, or explained beside."
)
HEADS = ("name", "settings", "what it is", "formula", "source")
SOLVER_HEADS = ("order", "noise", f"NFE of {STEPS} steps")

Row = tuple[str, ...]


def main(words: list[str]) -> None:
    """Prints the catalog, or writes it as Markdown."""
    from diffusion_jax.errors import one_of
    from diffusion_jax.files import save

    parser = plain.Parser("catalog", __doc__)
    parser.add_argument("--family", default="", help="only this one")
    parser.add_argument("--markdown", default="", help="a file to write instead of printing")
    parser.add_argument("--names", action="store_true", help="names alone, a row per family")
    options = parser.parse_args(words)
    found = families()
    if options.family:
        found = {options.family: found[one_of(options.family, found, "family")]}
    if options.markdown:
        print(save(markdown(found), options.markdown))
    elif options.names:
        print(names(found))
    else:
        _print(found)


def families() -> dict[str, Any]:
    """Every registry of the library, by the name of its family."""
    import diffusion_jax
    from diffusion_jax.registry import Registry

    found = {}
    for module in pkgutil.walk_packages(diffusion_jax.__path__, f"{diffusion_jax.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Registry):
                found[value.family] = value
    order = [name for name in FIRST if name in found]
    return {name: found[name] for name in [*order, *sorted(set(found) - set(order))]}


def rows(family: str, registry: "Registry[Any]") -> tuple[Row, list[Row]]:
    """The column heads of a family, and a row per member."""
    from diffusion_jax.describe import describe

    listed = describe(registry)
    found: list[Row] = [(e.name, e.settings, e.summary, e.formula, e.source) for e in listed]
    if family != "solver":
        return HEADS, found
    costs = [_costs(registry, entry.name) for entry in listed]
    return HEADS + SOLVER_HEADS, [a + b for a, b in zip(found, costs, strict=True)]


def _costs(registry: "Registry[Any]", name: str) -> Row:
    """Order, noise and evaluations of a solver with its default settings."""
    from diffusion_jax.errors import UserError

    try:
        solver = registry.make(name)
    except UserError:  # it wraps another solver, whose these are
        return "–", "–", "–"
    evaluations = "adaptive" if solver.adaptive else str(solver.evaluations(STEPS))
    return str(solver.order), "yes" if solver.stochastic else "no", evaluations


def markdown(found: dict[str, Any]) -> str:
    """The catalog as a page of tables."""
    parts = ["# Catalog", "Made by `python -m experiments.catalog --markdown=docs/catalog.md`."]
    parts.append(NOTATION)
    for family, registry in found.items():
        heads, members = rows(family, registry)
        parts += [f"## {family}", plain.table(heads, members)]
    return "\n\n".join(parts) + "\n"


def names(found: dict[str, Any]) -> str:
    """The names of all members as a Markdown table, a row per family."""
    listed = [(name, ", ".join(f"`{m}`" for m in registry)) for name, registry in found.items()]
    return plain.table(("family", "members"), listed)


def _print(found: dict[str, Any]) -> None:
    """A paragraph per member, which terminals of any width can show."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for family, registry in found.items():
        console.print(Text(family.upper(), style="bold underline"))
        heads, members = rows(family, registry)
        for name, settings, *rest in members:
            spec = Text.assemble((name, "bold"), f"({settings})" if settings else "")
            costs = ", ".join(
                f"{head} {cell}" for head, cell in zip(heads[5:], rest[3:], strict=True)
            )
            console.print(Padding(spec, (0, 2)))
            for line in filter(None, (*rest[:3], costs)):
                console.print(Padding(Text(line), (0, 6)))
        console.print()


if __name__ == "__main__":
    plain.run(main)
