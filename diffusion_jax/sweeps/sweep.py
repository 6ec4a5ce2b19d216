"""A sweep: arms × seeds, what they are compared at, and by what they are judged."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from diffusion_jax.annotations import fits
from diffusion_jax.errors import UserError, one_of, shown
from diffusion_jax.sweeps.axes import NAME, Choice, Choices, check_count, choices_of
from diffusion_jax.training.options import EXECUTIONS

BUDGETS = ("images", "steps", "flops", "time")
MOST_NFE = 10_000


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What `get_sweep()` of a file in `configs/sweeps/` returns.

    Attributes:
        choices: of all arms and seeds, as `axes` make them.
        title: of the report.
        question: one or two sentences: what is compared.
        baseline: the arm that others are compared to; if empty, that of the config, or the first.
        budget: what all arms have in common with the baseline: "images" seen in training, "steps"
            taken, "flops" of training as the compiler counts them, or wall "time" as measured
            before it starts. Where that asks for it, arms get steps of their own.
        nfe: denoiser evaluations per sample at which arms are compared, whatever their solvers:
            each arm takes the most steps that they allow. If empty, every arm is sampled with
            the solvers and steps of its config. A tuple of whole numbers.
        judged_by: the metric of the verdict, one of the config's `sampling.metrics` or
            "noise_error" or "bits_per_dim"; if empty, the first that the data set allows.
        execution: how arms that share a step are trained: "together" in one program, "apart" one
            after the other, or "auto", by what is faster when it is measured. Measured twice, it
            may come out differently, which changes numbers by rounding. If empty, as the config's
            `training.execution` says.

    Raises:
        UserError: no choices, an arm with one seed twice or without a name, an unknown word, or
            anything that is not of its type.

    >>> from diffusion_jax.sweeps.axes import axis, product
    >>> sweep = Sweep(product(axis("schedule", "cosine", "edm"), axis("seed", 0, 1)))
    >>> sweep.arms
    ('cosine', 'edm')
    """

    choices: Choices
    title: str = "Ablation"
    question: str = ""
    baseline: str = ""
    budget: str = "images"
    nfe: tuple[int, ...] = ()
    judged_by: str = ""
    execution: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", choices_of(self.choices))
        if not self.choices:
            raise UserError("The sweep has no arms.")
        for field in ("title", "question", "baseline", "budget", "judged_by", "execution"):
            if not isinstance(value := getattr(self, field), str):
                raise UserError(f"The {field} of a sweep must be a word, not {shown(value)}.")
        object.__setattr__(self, "nfe", _numbers(self.nfe))
        one_of(self.budget, BUDGETS, "budget of a sweep")
        if self.execution:
            one_of(self.execution, EXECUTIONS, "execution of a sweep")
        seen: set[tuple[str, Any]] = set()
        for each in self.choices:
            seed = each.changes.get("seed")
            if (each.name, seed) in seen:
                what = f"arm {each.name!r}" if each.name else "an arm"
                twice = "" if seed is None else f" with seed {seed}"
                raise UserError(f"The sweep has {what}{twice} twice: name the choices apart.")
            seen.add((each.name, seed))

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in order."""
        return tuple(dict.fromkeys(each.name for each in self.choices))

    def over(self, arms: Mapping[str, Mapping[str, Any]], only: str, baseline: str = "") -> "Sweep":
        """The sweep over the arms that a config has: every one of them in every choice.

        Args:
            arms: of the config: name -> fields that it changes, by full name; may be empty.
            only: what an arm is called that neither the config nor the sweep names.
            baseline: of the config.

        Raises:
            UserError: the sweep replaces a field that an arm replaces too, a combined name is too
                long, there are too many, or the baseline is none of the arms or another than the
                config's.
        """
        if self.baseline and baseline not in ("", self.baseline):
            raise UserError(
                f"The sweep has the baseline {self.baseline!r} and the config {baseline!r}: name "
                "it in one of them."
            )
        check_count(max(1, len(arms)) * len(self.choices))
        made = []
        for name, changes in (arms or {"": {}}).items():
            for each in self.choices:
                both = sorted(changes.keys() & each.changes)
                if both:
                    raise UserError(
                        f"Both arm {name!r} of the config and the sweep replace {both[0]!r}: use a "
                        "config without arms, or leave it out of the sweep."
                    )
                joined = "-".join(part for part in (name, each.name) if part) or only
                if not NAME.fullmatch(joined):
                    raise UserError(f"The arm's name {joined!r} is longer than 64 letters.")
                made.append(Choice(joined, {**changes, **each.changes}))
        whole = dataclasses.replace(self, choices=tuple(made))
        named = self.baseline or baseline or whole.arms[0]
        chosen = one_of(named, whole.arms, "baseline of the sweep")
        return dataclasses.replace(whole, baseline=chosen)


def _numbers(nfe: Any) -> tuple[int, ...]:
    whole = tuple(nfe) if isinstance(nfe, (tuple, list)) else None
    if whole is None or not fits(whole, tuple[int, ...]):
        raise UserError(
            "The nfe of a sweep must be a tuple of whole numbers, such as (4, 8), not "
            f"{shown(nfe)}."
        )
    for number in whole:
        if not 1 <= number <= MOST_NFE:
            raise UserError(f"The nfe of a sweep is from 1 to {MOST_NFE:,}, not {shown(number)}.")
    return whole


def fields_of(choices: Iterable[Choice]) -> tuple[str, ...]:
    """The fields that any of the choices replaces, seeds aside, in order."""
    found = dict.fromkeys(field for each in choices for field in each.changes)
    return tuple(field for field in found if field != "seed")
