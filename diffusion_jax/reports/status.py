"""What became of an arm: done, or where it has no number, and why."""

from collections.abc import Mapping, Sequence

from diffusion_jax.reports.content import DONE
from diffusion_jax.reports.formats import listed
from diffusion_jax.reports.long_table import Found
from diffusion_jax.sweeps.measured import HELD_OUT_PICTURES


def status(own: Sequence[Found]) -> str:
    """What became of one arm with all its seeds, in words."""
    states = {f.seed: state for f in own if (state := _of_one(f)) != DONE}
    if not states:
        return DONE
    if len(set(states.values())) == 1 and len(states) == len(own):
        return next(iter(states.values()))
    return "; ".join(f"seed {seed} {state}" for seed, state in states.items())


def _of_one(f: Found) -> str:
    if f.outcome is None:
        return f"failed: {f.failure}" if f.failure else "missing"
    if f.outcome.diverged is not None:
        return f"diverged at step {f.outcome.diverged:,}"
    return _not_finite(f.outcome.not_finite) if f.outcome.not_finite else DONE


def _not_finite(lost: Mapping[str, int]) -> str:
    """
    >>> _not_finite({"ddim, 4": 3, "held-out pictures": 1})
    'not finite: 3 samples with ddim, 4 steps and 1 held-out example'
    """
    states = []
    for where, count in lost.items():
        many = "s" * (count > 1)
        held_out = where == HELD_OUT_PICTURES
        what = f"held-out example{many}" if held_out else f"sample{many} with {where} steps"
        states.append(f"{count} {what}")
    return f"not finite: {listed(states)}"
