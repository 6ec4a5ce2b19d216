"""The schedule and sigma_data of an objective, which members of it may share.

A prediction or a weighting that depends on the schedule, or on the standard deviation of the data,
need not be given them: the objective that it is put into fills them in. One that has others than
its objective is refused, since the two would not mean the same noise or the same data. A clock is
the schedule whose time a network is given: the objective's, unless it is given another.
"""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import Scalar

T = TypeVar("T")

SIGMA_DATA = 0.5  # of pictures in [-1, 1], about


def known_sigma_data(value: Scalar | None) -> Scalar:
    """The standard deviation of the data that a member was given, or 0.5."""
    return SIGMA_DATA if value is None else value


def known_schedule(member: object, value: Schedule | None) -> Schedule:
    """The schedule that a member was given.

    Raises:
        UserError: it was given none.
    """
    if value is None:
        name = type(member).__name__
        raise UserError(
            f"{name} depends on the schedule and was given none: put it into an Objective, or "
            f"write {name}(schedule=…)."
        )
    return value


def filled(member: T, schedule: Schedule, sigma_data: Scalar) -> T:
    """A member with the schedule and sigma_data of its objective, wherever it has none.

    Args:
        member: of the objective; its own parts are filled in likewise.
        schedule: of the objective.
        sigma_data: of the objective.

    Raises:
        UserError: it has a schedule or sigma_data that is another.

    >>> from diffusion_jax.process.predictions import EDMPrediction
    >>> from diffusion_jax.process.schedules import schedules
    >>> filled(EDMPrediction(), schedules.make("cosine"), 0.7)
    EDMPrediction(sigma_data=0.7)
    """
    if not dataclasses.is_dataclass(member) or isinstance(member, (type, Schedule)):
        return member
    given: dict[str, Any] = {"schedule": schedule, "sigma_data": sigma_data}
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(member):
        own = getattr(member, field.name)
        if field.name == "clock":
            changes |= {"clock": schedule} if own is None else {}
        elif field.name not in given:
            inner = filled(own, schedule, sigma_data)
            if inner is not own:
                changes[field.name] = inner
        elif own is None:
            changes[field.name] = given[field.name]
        elif not same(own, given[field.name]):
            name = type(member).__name__
            raise UserError(
                f"{name} has {field.name}={own!r} and its objective {given[field.name]!r}: leave "
                f"that of {name} out, or make them the same."
            )
    return dataclasses.replace(member, **changes) if changes else member


def same(a: object, b: object) -> bool:
    """Whether two parts are equal, as far as their numbers are known by now."""
    if str(jax.tree.structure(a)) != str(jax.tree.structure(b)):
        return False
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    if any(isinstance(leaf, jax.core.Tracer) for pair in pairs for leaf in pair):
        return True
    with jax.ensure_compile_time_eval():
        return all(bool(jnp.array_equal(x, y)) for x, y in pairs)
