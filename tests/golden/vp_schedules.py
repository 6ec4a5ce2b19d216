"""The schedules of DPM-Solver's and UniPC's own code, NoiseScheduleVP, as recordings name them.

A case of a run gives a name, as "cosine_disc1000", and a description with the numbers in it. A
name of another kind may be that of a case which records the schedule itself.
"""

import functools
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.schedules.table import Table
from tests.golden.check import Known, Uncovered
from tests.golden.load import Case, read
from tests.golden.spec import spec

LOWEST = -5.1  # log(alpha/sigma) of the noisiest entry of a table that DPM-Solver keeps
KIND = re.compile(r"(linear|cosine|sd|scaled_linear)(?:_|$)")
NUMBER = r"(\d[\d.]*(?:e[-+]?\d+)?)"


def numbers(text: str, pattern: str, *usual: float) -> list[float]:
    """The numbers in a text where a pattern has "#", or what is usual."""
    found = re.search(pattern.replace("#", NUMBER), text)
    return [float(word.rstrip(".")) for word in found.groups()] if found else list(usual)


def named(name: str, description: str) -> Schedule | None:
    """The schedule of a name, with the numbers that its description has; None if it is no such."""
    words, count = KIND.match(name), re.search(r"_disc(\d+)", name)
    if words is None:
        return None
    kind = words.group(1)
    if count is None:
        continuous = "_cont" in name or description.startswith("continuous")
        return _continuous(kind, description) if continuous else None
    steps = int(count.group(1))
    if kind == "cosine":
        (largest,) = numbers(description, "clipped #", 0.999)
        (offset,) = numbers(description, r"\bs ?= ?#", 0.008)
        return schedules.make(spec("ddpm_cosine", steps=steps, offset=offset, largest_beta=largest))
    if kind == "linear":
        first, last = numbers(description, r"linspace\(#, ?#", 1e-4, 0.02)
        betas = np.linspace(first, last, steps)
    else:
        first, last = numbers(description, r"# ?\.\.\.? ?#", 0.00085, 0.012)
        betas = np.linspace(first**0.5, last**0.5, steps) ** 2
    return Table.from_betas(jnp.asarray(betas))


def _continuous(kind: str, description: str) -> Schedule | None:
    if kind == "linear":
        least, rise = numbers(description, r"beta\(t\) ?= ?# ?\+ ?#", 0.1, 19.9)
        return schedules.make(spec("vp_linear", beta_min=least, beta_max=least + rise))
    if kind == "cosine":
        (offset,) = numbers(description, r"\bs ?= ?#", 0.008)
        (last,) = numbers(description, r"\bT ?= ?#", 0.9946)
        return schedules.make(spec("iddpm_cosine", offset=offset, t_max=last))
    return None


def told(case: Case) -> Schedule:
    """The schedule that a case records, by its settings or else by its name."""
    kwargs = case.kwargs
    kind = kwargs.get("schedule")
    if kind is None:
        found = named(case.name, str(case.extra.get("description", "")))
        if found is None:
            raise Uncovered(f"no settings tell the schedule {case.name!r}")
        return found
    return Known("schedule", {"linear": _linear, "cosine": _cosine, "discrete": _discrete})[kind](
        case
    )


def _linear(case: Case) -> Schedule:
    ends = (case.kwargs.get(f"continuous_beta_{i}", usual) for i, usual in enumerate((0.1, 20.0)))
    return schedules.make(
        spec("vp_linear", **dict(zip(("beta_min", "beta_max"), ends, strict=True)))
    )


def _cosine(case: Case) -> Schedule:
    offset = case.kwargs.get("cosine_s", 0.008)
    return schedules.make(spec("iddpm_cosine", offset=offset, t_max=float(case.get("T", 0.9946))))


def _discrete(case: Case) -> Schedule:
    if "log_alpha_array" in case:
        return Table(jnp.asarray(case["log_alpha_array"].ravel()))
    if "alphas_cumprod" in case:
        return Table(jnp.log(jnp.asarray(case["alphas_cumprod"].ravel())) / 2)
    return Table.from_betas(jnp.asarray(case["betas"].ravel()))


@functools.cache
def _named_in(recording: Path, reference: str, name: str, description: str) -> Schedule:
    found = named(name, description)
    if found is None:
        known = [
            case
            for case in read(recording)
            if (case.family, case.name) == ("schedules", name)
            and case.reference in ("dpm_solver", "unipc")
        ]
        if not known:
            raise Uncovered(f"no schedule is known by the name {name!r}")
        found = told(known[0])
    return clipped(found) if reference == "dpm_solver" else found


def clipped(schedule: Schedule) -> Schedule:
    """A table without its noisiest entries; others as they are."""
    if not isinstance(schedule, Table):
        return schedule
    log_alpha = np.asarray(schedule.log_alpha)
    kept = log_alpha - np.log(-np.expm1(2 * log_alpha)) / 2 >= LOWEST
    return Table(jnp.asarray(log_alpha[kept]))


def of_run(case: Case) -> Schedule:
    """The schedule of a case's run."""
    recording = case.stored[0].parent.parent
    words: list[Any] = [case.extra["schedule"], case.extra.get("schedule_description")]
    return _named_in(recording, case.reference, *(str(word or "") for word in words))


def entries(schedule: Schedule) -> int:
    """What the original calls total_N: a run ends at time 1/total_N by default."""
    return schedule.log_alpha.size if isinstance(schedule, Table) else 1000
