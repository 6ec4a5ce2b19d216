"""What differs between the arms of a sweep, as products, zips and lists of choices.

A choice is a name and the config's fields that it replaces. An axis is a list of choices, and so
is every combination of axes: whatever `product`, `zipped` and `listed` give, they take.

    product(axis("schedule", "cosine", "edm"), axis("prediction", "v"), axis("seed", 0, 1, 2))

has two arms, cosine-v and edm-v, each trained with three seeds.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from diffusion_jax.annotations import fits
from diffusion_jax.errors import UserError, is_finite, shown

NAME = re.compile(r"[\w-]{1,64}")
MOST = 10_000  # trainings of a sweep


@dataclasses.dataclass(frozen=True)
class Choice:
    """A name and the fields that it replaces.

    Attributes:
        name: of letters, digits, - and _; empty for a choice that names no arm, as a seed does.
        changes: full name of a field, such as "training.ema" -> its value.
    """

    name: str
    changes: Mapping[str, Any]


Choices = tuple[Choice, ...]


def choice(name: str, changes: Mapping[str, Any] | None = None, **fields: Any) -> Choices:
    """One choice that replaces several fields.

    Args:
        name: its name.
        changes: fields by full name, for those in a section of the config.
        fields: further fields.

    Raises:
        UserError: the name cannot be a folder's, or what it changes is not said by fields.

    >>> choice("edm", {"training.ema": "none"}, schedule="edm")[0].changes
    {'training.ema': 'none', 'schedule': 'edm'}
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(
            f"A choice of a sweep cannot be called {shown(name)}: its name must be of letters, "
            "digits, - and _, 64 of them at most."
        )
    if not isinstance(changes, (Mapping, type(None))):
        raise UserError(
            f"The choice {name!r} of a sweep needs a dict of fields and values, such as "
            f"{{'training.ema': 'none'}}, not {shown(changes)}."
        )
    return (_checked(Choice(name, {**(changes or {}), **fields})),)


def axis(field: str, *values: Any, **named: Any) -> Choices:
    """One choice for each value of a field.

    Args:
        field: its full name. The field "seed" gives training seeds, which name no arm: they are
            what the arms' intervals are made of.
        values: choices named after their values.
        named: name -> value, for values that are no names themselves.

    Raises:
        UserError: the field is no name, there is no value, or one that is no name and was not
            given one.

    >>> [c.name for c in axis("sampling.steps", 4, 8)]
    ['steps4', 'steps8']
    >>> [c.name for c in axis("weighting", "simple", soft="soft_min_snr(gamma=4.0)")]
    ['simple', 'soft']
    """
    if not isinstance(field, str):
        raise UserError(f"An axis of a sweep begins with the name of a field, not {shown(field)}.")
    if not values and not named:
        raise UserError(f"The axis {field!r} of a sweep has no values.")
    if field == "seed":
        seeds = (*values, *named.values())
        return tuple(_checked(Choice("", {"seed": value})) for value in seeds)
    pairs = [*((_name(field, value), value) for value in values), *named.items()]
    return tuple(made for name, value in pairs for made in choice(name, {field: value}))


def _name(field: str, value: Any) -> str:
    last = field.rpartition(".")[2]
    if isinstance(value, bool):
        return last if value else f"no-{last}"
    if isinstance(value, int) and is_finite(value):
        return f"{last}{value}"
    if isinstance(value, float):
        return f"{last}{value:g}".replace(".", "_").replace("+", "")
    if isinstance(value, str) and NAME.fullmatch(bare := value.removesuffix("()")):
        return bare
    raise UserError(
        f"The value {shown(value)} of the axis {field!r} is no name: give it one, "
        f"axis({field!r}, my_name={shown(value)})."
    )


def product(*axes: Iterable[Choice]) -> Choices:
    """Every combination of one choice of each axis; later axes vary fastest.

    Raises:
        UserError: a field is replaced twice in one combination, or there are too many.

    >>> made = product(axis("schedule", "cosine", "edm"), axis("seed", 0, 1))
    >>> [(c.name, c.changes["seed"]) for c in made]
    [('cosine', 0), ('cosine', 1), ('edm', 0), ('edm', 1)]
    """
    whole = [choices_of(each) for each in axes]
    check_count(math.prod(map(len, whole)))
    return tuple(_joined(parts) for parts in itertools.product(*whole))


def zipped(*axes: Iterable[Choice]) -> Choices:
    """The first choices of all axes together, then the second, and so on.

    Raises:
        UserError: the axes differ in length, or a field is replaced twice.

    >>> [c.changes for c in zipped(axis("schedule", "ve"), axis("prediction", "score"))]
    [{'schedule': 've', 'prediction': 'score'}]
    """
    whole = [choices_of(each) for each in axes]
    if len({len(each) for each in whole}) > 1:
        lengths = ", ".join(str(len(each)) for each in whole)
        raise UserError(f"Zipped axes of a sweep must be of one length, not of {lengths}.")
    return tuple(_joined(parts) for parts in zip(*whole, strict=True))


def listed(*axes: Iterable[Choice]) -> Choices:
    """The choices of all axes, one after the other.

    >>> [c.name for c in listed(choice("base"), axis("schedule", "edm"))]
    ['base', 'edm']
    """
    whole = [choices_of(each) for each in axes]
    check_count(sum(map(len, whole)))
    return tuple(itertools.chain(*whole))


def choices_of(axis: Any) -> Choices:
    """The choices of an axis, whoever has made it.

    Raises:
        UserError: it is none, or has too many.
    """
    if isinstance(axis, Iterable) and not isinstance(axis, (str, bytes, Mapping)):
        found = tuple(itertools.islice(axis, MOST + 1))
        check_count(len(found))
        if all(isinstance(each, Choice) for each in found):
            return tuple(map(_checked, found))
    raise UserError(
        f"A sweep is made of what axis, choice, product, zipped and listed give, not of "
        f"{shown(axis)}."
    )


def check_count(count: int) -> None:
    """Raises UserError for more choices than a sweep may have, before they are made."""
    if count > MOST:
        raise UserError(f"A sweep has at most {MOST:,} trainings, and this would have {count:,}.")


def _checked(made: Choice) -> Choice:
    """The choice, if it can be one: fields are called by words, and a seed is a number."""
    if not isinstance(made.name, str) or not isinstance(made.changes, Mapping):
        raise UserError(f"A choice of a sweep has a name and a dict of fields, not {shown(made)}.")
    for field in made.changes:
        if not isinstance(field, str):
            raise UserError(f"A choice of a sweep replaces fields by name, not {shown(field)}.")
    seed = made.changes.get("seed", 0)
    if not fits(seed, int) or not 0 <= seed < 2**31:
        raise UserError(f"A seed of a sweep is a whole number below 2^31, not {shown(seed)}.")
    return made


def _joined(parts: Iterable[Choice]) -> Choice:
    changes: dict[str, Any] = {}
    names = []
    for part in parts:
        for field, value in part.changes.items():
            if field in changes:
                raise UserError(
                    f"A sweep replaces {field!r} twice in one arm, by {shown(changes[field])} and "
                    f"by {shown(value)}."
                )
            changes[field] = value
        if part.name and part.name not in names:
            names.append(part.name)
    return Choice("-".join(names), changes)
