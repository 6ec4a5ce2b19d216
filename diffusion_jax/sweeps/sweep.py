"""A sweep: arms × seeds, what they are compared at, and by what they are judged."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.sweeps.axes import NAME, Choice, Choices
from diffusion_jax.training.groups import EXECUTIONS

BUDGETS = ("images", "steps", "flops", "time")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What `get_sweep()` of a file in `configs/sweeps/` returns.

    Attributes:
        choices: of all arms and seeds, as `axes` make them.
        title: of the report.
        question: one or two sentences: what is compared.
        baseline: the arm that others are compared to; the first if empty.
        budget: what all arms have in common with the baseline: "images" seen in training, "steps"
            taken, "flops" of training as the compiler counts them, or wall "time" as measured
            before it starts. Where that asks for it, arms get steps of their own.
        nfe: denoiser evaluations per sample at which arms are compared, whatever their solvers:
            each arm takes the most steps that they allow. If empty, every arm is sampled with
            the solvers and steps of its config.
        judged_by: the metric of the verdict, one of the config's `sampling.metrics` or
            "noise_error" or "bits_per_dim"; if empty, the first that the data set allows.
        execution: how arms that share a step are trained: "together" in one program, "apart" one
            after the other, or "auto", by what is faster when it is measured. Measured twice, it
            may come out differently, which changes numbers by rounding: name one to get the same
            bits again.

    Raises:
        UserError: no choices, an arm with one seed twice or without a name, or an unknown word.

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
    execution: str = "auto"

    def __post_init__(self) -> None:
        if not self.choices:
            raise UserError("The sweep has no arms.")
        one_of(self.budget, BUDGETS, "budget of a sweep")
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

    def over(self, arms: Mapping[str, Mapping[str, Any]], only: str) -> "Sweep":
        """The sweep over the arms that a config has: every one of them in every choice.

        Args:
            arms: of the config: name -> fields that it changes, by full name; may be empty.
            only: what an arm is called that neither the config nor the sweep names.

        Raises:
            UserError: the sweep replaces a field that an arm replaces too, a combined name is too
                long, or the baseline is none of the arms.
        """
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
        baseline = one_of(self.baseline or whole.arms[0], whole.arms, "baseline of the sweep")
        return dataclasses.replace(whole, baseline=baseline)


def fields_of(choices: Iterable[Choice]) -> tuple[str, ...]:
    """The fields that any of the choices replaces, seeds aside, in order."""
    found = dict.fromkeys(field for each in choices for field in each.changes)
    return tuple(field for field in found if field != "seed")
