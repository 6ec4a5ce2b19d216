"""Measures the order of convergence of every solver on every schedule, through every prediction.

    python -m experiments.convergence
    python -m experiments.convergence --solver=heun --solver="ddim(eta=0.5)"
    python -m experiments.convergence --markdown=docs/convergence.md

In float64. Deterministic solvers are held against the exact flow of Gaussian data at 40, 80 and 160
steps of equal log-SNR; the order is the slope of the largest error. Those that draw noise are held
against the exact variance, which follows without sampling from the linearity of their steps.
"""

import dataclasses
import platform
import statistics
from typing import TYPE_CHECKING, Any

from experiments import plain

if TYPE_CHECKING:
    from diffusion_jax.registry import Registry
    from diffusion_jax.sampling.solvers import Solver
    from diffusion_jax.verification.orders import Cases

NOTES = (
    "Where a range is wide it says something of the schedule. Solvers that step in the schedule's "
    "own time (heun, midpoint, runge_kutta, and those of the stochastic equation) meet a jump of "
    "the slope at each entry of a table, which hides their order below an error of about "
    "1/(10 entries); Laplace's has a kink, which leaves second order. An "
    "error of the variance that changes its sign between two step counts has no slope there."
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured of one solver.

    Attributes:
        solver: its spec.
        stated: order.
        measure: what converges, "flow" or "variance".
        by_schedule: schedule -> (least, largest) measured order, over predictions or dimensions.
    """

    solver: str
    stated: int
    measure: str
    by_schedule: dict[str, tuple[float, float]]

    @property
    def median(self) -> float:
        """Of the middles of all schedules."""
        return statistics.median((low + high) / 2 for low, high in self.by_schedule.values())

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest measured order of all."""
        ends = self.by_schedule.values()
        return min(low for low, _ in ends), max(high for _, high in ends)


def main(words: list[str]) -> None:
    """Prints the table, or writes it as Markdown."""
    import jax

    from diffusion_jax.files import check_target, save

    parser = plain.Parser("convergence", __doc__)
    parser.add_argument("--solver", action="append", help="a spec; may be repeated (all)")
    parser.add_argument("--schedule", action="append", help="a spec; may be repeated (all)")
    parser.add_argument("--markdown", default="", help="a file to write instead of printing")
    options = parser.parse_args(words)
    if options.markdown:
        check_target(options.markdown)
    with jax.enable_x64(True):
        rows = measure(options.solver, options.schedule)
    if options.markdown:
        print(save(markdown(rows), options.markdown))
    else:
        _print(rows)


def measure(solver_specs: list[str] | None, schedule_specs: list[str] | None) -> list[Row]:
    """Measures the named solvers on the named schedules; None is all that need no settings.

    Raises:
        UserError: a spec is wrong, or names a solver of which no order can be measured.
    """
    from diffusion_jax.errors import UserError
    from diffusion_jax.process.predictions import predictions
    from diffusion_jax.process.schedules import schedules
    from diffusion_jax.sampling.solvers import solvers
    from diffusion_jax.verification.orders import cases

    specs = schedule_specs or makeable(schedules)
    every = cases(specs, makeable(predictions, schedule=schedules.make(specs[0]), sigma_data=1.0))
    found = []
    for spec in solver_specs or makeable(solvers):
        solver = solvers.make(spec)
        if not solver.adaptive and solver.order > 0:  # 0 is for consistency functions
            measured = _variance(solver, specs) if solver.stochastic else _flow(solver, every)
            kind = "variance" if solver.stochastic else "flow"
            found.append(Row(spec, solver.order, kind, measured))
        elif solver_specs:
            raise UserError(
                f"solver {spec!r} has no order to measure: it is adaptive, or one for consistency "
                "functions."
            )
    return found


def makeable(registry: "Registry[Any]", **context: object) -> list[str]:
    """The names of a family's members that need no settings."""
    from diffusion_jax.errors import UserError

    names = []
    for name in registry:
        try:
            registry.make(name, **context)
        except UserError:
            continue
        names.append(name)
    return names


def _flow(solver: "Solver", every: "Cases") -> dict[str, tuple[float, float]]:
    from diffusion_jax.verification.orders import errors, orders

    by_schedule: dict[str, list[float]] = {}
    for (schedule, _), order in orders(errors(solver, every)).items():
        by_schedule.setdefault(schedule, []).append(order)
    return {schedule: (min(found), max(found)) for schedule, found in by_schedule.items()}


def _variance(solver: "Solver", specs: list[str]) -> dict[str, tuple[float, float]]:
    from diffusion_jax.process.schedules import schedules
    from diffusion_jax.verification.moments import variance_orders

    orders = variance_orders(solver, [schedules.make(spec) for spec in specs])
    return {
        spec: (float(found.min()), float(found.max()))
        for spec, found in zip(specs, orders, strict=True)
    }


def markdown(rows: list[Row]) -> str:
    """The measurements as a page of two tables."""
    schedules = list(rows[0].by_schedule)
    parts = [
        "# Order of convergence",
        "Made by `python -m experiments.convergence --markdown=docs/convergence.md` "
        f"(float64, {platform.machine()} CPU). A range is over all predictions, or over the "
        "dimensions of the data where variance is measured, and the median is over schedules.",
        NOTES,
        plain.table(
            ("solver", "stated", "median", "range", "of what"),
            [
                (r.solver, str(r.stated), f"{r.median:.2f}", _range(*r.range), r.measure)
                for r in rows
            ],
        ),
        "## By schedule",
        plain.table(
            ("solver", *schedules),
            [(r.solver, *(_range(*r.by_schedule[s]) for s in schedules)) for r in rows],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _range(low: float, high: float) -> str:
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} – {high:.2f}"


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("solver", "stated", "median", "range", "of what", "least on", "most on")
    for row in rows:
        least = min(row.by_schedule, key=lambda name: row.by_schedule[name][0])
        most = max(row.by_schedule, key=lambda name: row.by_schedule[name][1])
        measured = f"{row.median:.2f}", _range(*row.range)
        table.add_row(row.solver, str(row.stated), *measured, row.measure, least, most)
    Console().print(table)


if __name__ == "__main__":
    plain.run(main)
