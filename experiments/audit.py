"""Asks whether a trained model copies its training pictures.

    python -m experiments.audit --config=runs/quickstart
    python -m experiments.audit --config=runs/quickstart --arm=edm --drawn=1000 --alarm=0.01

Draws pictures for captions, or classes, of training pictures and of held-out ones, as the first
solver and the largest number of steps of the run's config draw them, and finds the nearest of all
training pictures, of which duplicates count as one. How near is too near is learned from real
pictures that the model never saw. Writes a page of the closest pairs, audit.html, and
results.json, into the folder audit of the run. Without --arm, the first that did not diverge is
audited.
"""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments import cli
from experiments.options import ARM, OUT
from experiments.unused import COMPARING, TRAINING, is_given, refuse_several, refuse_unused

if TYPE_CHECKING:
    from diffusion_jax.data.dataset import Dataset
    from diffusion_jax.metrics.audit import CopyTest
    from diffusion_jax.reports.audit import AuditPage
    from diffusion_jax.runs.run import Run

flags.declare_key_flag("arm")
flags.declare_key_flag("out")
DRAWN = flags.DEFINE_integer(
    "drawn", 256, "pictures for each kind of prompts", lower_bound=1, upper_bound=100_000
)
ALARM = flags.DEFINE_float("alarm", 0.02, "share of false alarms that is allowed, at most")
FEATURES = flags.DEFINE_string(
    "features", "random_convolutions", "the space beside that of pixels, of the family features"
)
NEIGHBOURS = flags.DEFINE_integer(
    "neighbours", 50, "training pictures that the nearest is compared with", lower_bound=2
)
REAL = flags.DEFINE_integer(
    "real", 1000, "real pictures that the threshold is taken from, at most", lower_bound=1
)
UNUSED = {
    **TRAINING,
    **COMPARING,
    **dict.fromkeys(("sampling.count", "sampling.judged_count"), "use --drawn"),
    **dict.fromkeys(
        ("sampling.operator", "sampling.posterior"), "experiments.sample has a use for it"
    ),
}


def main(config: ConfigDict) -> None:
    """Audits an arm of a run; the last line printed is the page's path."""
    from diffusion_jax.files import check_target
    from diffusion_jax.metrics.audit import CopyTest
    from diffusion_jax.metrics.features import feature_maps
    from diffusion_jax.reports import audit as page
    from diffusion_jax.runs.run import Run

    refuse_unused(UNUSED)
    refuse_several(config)
    for option in ("prompt", "label", "picture"):
        if is_given(option):
            raise UserError(
                f"--{option} would change nothing here: prompts are those of training pictures and "
                "of held-out ones."
            )
    run = Run.of(config)
    folder = Path(OUT.value or run.folder / "audit")
    for name in page.NAMES:
        check_target(folder / name)
    features = feature_maps.make(FEATURES.value)
    test = CopyTest(features, NEIGHBOURS.value, ALARM.value, REAL.value, config.seed)
    command = shlex.join(["python", "-m", "experiments.audit", *sys.argv[1:]])
    found = audited(config, run, test, DRAWN.value, ARM.value, command)
    path = page.write(found, folder)
    print(found.verdict)
    print(path)


def audited(
    config: ConfigDict, run: "Run", test: "CopyTest", count: int, arm_name: str, command: str
) -> "AuditPage":
    """What the audit finds.

    Args:
        config: of the run, and how to sample.
        run: its folder.
        test: how copies are told.
        count: of pictures for each kind of prompts.
        arm_name: which arm; "" for the first that did not diverge.
        command: that does it again.

    Raises:
        UserError: the run's data are not at hand, are others, or cannot be audited; no such arm.
    """
    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.inference.measure import SamplingPlan
    from diffusion_jax.inference.prompted import prompted
    from diffusion_jax.metrics.audit import audit, check
    from diffusion_jax.reports.audit import AuditPage
    from diffusion_jax.reports.provenance import provenance
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.training.trained import load_arms, load_guides, sound

    start = time.monotonic()
    data = datasets.make(config.data)
    check(data.visible, test)
    _refuse_other_data(run, data)
    plan = SamplingPlan.make(config)
    arms = sound(load_arms(run.folder, (arm_name,) if arm_name else (), config.training.steps))
    name, arm = next(iter(arms.items()))
    plan.check({name: arm.objective})
    guide = load_guides(run.folder, {name: arm}, plan.guidance.guided_by).get(name)
    progress = Progress()
    generated = prompted(plan, arm, data, count, guide, progress)
    found = audit(generated, data.visible, test, progress)
    sampling, guided = plan.judged_by, guide or generated[0].captions
    return AuditPage(
        found,
        test,
        f"the arm {name} of {run.folder}, after {arm.step:,} training steps",
        f"{sampling.solver}, {sampling.steps} steps, grid {config.sampling.grid}, guidance "
        f"{config.sampling.guidance if guided else 'none'}",
        provenance(time.monotonic() - start, config.seed, command, str(config)),
    )


def _refuse_other_data(run: "Run", data: "Dataset") -> None:
    """Raises UserError unless the data are those that were trained on, as far as that is known."""
    known, here = run.facts.fingerprint, getattr(data.train, "fingerprint", "")
    if run.facts.shape != data.shape or (known and here != known):
        raise UserError(
            f"{run.folder} was trained on other pictures than data set {data.name!r} has now: "
            "copies would not be found. Give the data as they were."
        )


if __name__ == "__main__":
    cli.run(main, default="runs/quickstart")
