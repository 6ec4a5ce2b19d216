"""Explains diffusion in pictures: one dissolves into static, and static becomes a new one.

    python -m experiments.explain --config=configs/quickstart.py
    python -m experiments.explain --config=runs/quickstart --prompt="a large green triangle"

Writes film strips (PNG), animations (GIF) and a page to show in class (explain.html). The denoiser
is the network of the config's run folder; where nothing is trained yet, the exact denoiser of some
training pictures.
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, nearest, one_of
from experiments import cli, options
from experiments.command_line import overridden
from experiments.options import ARM, LABEL, OUT, PROMPT, test_picture
from experiments.unused import COMPARING, TRAINING, refuse_several, refuse_unused

if TYPE_CHECKING:
    from jaxtyping import PyTree

    from diffusion_jax.data.dataset import Dataset
    from diffusion_jax.process.denoiser import Denoiser, DenoiserLike
    from diffusion_jax.process.predictions import Prediction
    from diffusion_jax.process.schedules import Schedule
    from diffusion_jax.reports.lesson import Lesson
    from diffusion_jax.sampling.guidance import Guidance
    from diffusion_jax.sampling.sampling_run import SamplingRun
    from diffusion_jax.training.trained import TrainedArm

flags.adopt_module_key_flags(options)
STEPS = flags.DEFINE_integer("steps", 32, "of the reverse process", lower_bound=2, upper_bound=1000)
UNUSED = {
    **TRAINING,
    **COMPARING,
    **dict.fromkeys(
        (
            *("sampling.count", "sampling.judged_count", "sampling.batch_size"),
            *("sampling.operator", "sampling.posterior"),
        ),
        "experiments.sample has a use for it",
    ),
    "sampling.steps": "use --steps",
}
# What counts where nothing is trained.
OF_ORACLE = (
    *("run_dir", "data", "seed", "schedule", "fewstep", "sigma_data"),
    *("sampling.solvers", "sampling.grid", "sampling.threshold"),
)
UNTRAINED = "nothing is trained in run_dir, and the exact denoiser has no use for it"
FRAMES = 33  # of the forward animation
PICTURES = 6  # that the reverse process makes
ORACLE_PICTURES = 2048  # that the exact denoiser knows, if the data set has as many


@dataclasses.dataclass(frozen=True)
class Teller:
    """The denoiser, and how the page describes it."""

    schedule: "Schedule"
    schedule_spec: str
    denoise: "DenoiserLike"
    condition: "PyTree"
    sentence: str
    prediction: "Prediction | None" = None
    steer: "Callable[[DenoiserLike, SamplingRun], DenoiserLike] | None" = None
    guidance: str = "none"


def main(config: ConfigDict) -> None:
    """Writes the lesson, and prints where it is."""
    from diffusion_jax.files import check_target, user_path
    from diffusion_jax.reports import lesson

    folder = user_path(OUT.value or "runs/explain")
    check_target(folder / "explain.html")
    print(lesson.write(explain(config), folder))


def explain(config: ConfigDict) -> "Lesson":
    """The lesson that the flags ask for.

    Raises:
        UserError: no such run, arm or picture, or a prompt that the denoiser cannot read.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.example import caption_of, to_unit
    from diffusion_jax.inference.measure import SamplingPlan
    from diffusion_jax.reports import walks
    from diffusion_jax.reports.lesson import Lesson
    from diffusion_jax.runs.run import is_run
    from diffusion_jax.sampling import grids
    from diffusion_jax.sampling.checks import check_start
    from diffusion_jax.sampling.loop import sample_keys
    from diffusion_jax.sampling.thresholds import thresholded

    refuse_unused(UNUSED)
    refuse_several(config)
    plan, data = SamplingPlan.make(config), datasets.make(config.data)
    if not data.has_pictures:
        raise UserError(
            f"A lesson shows pictures, and data set {data.name!r} has {data.form}: "
            "experiments.compare and experiments.sample plot those."
        )
    example = test_picture(data.test)
    picture = jnp.asarray(to_unit(example["image"]))
    teller = _network(config) if is_run(config.run_dir) else _oracle(config, data)
    schedule, solver = teller.schedule, plan.judged_by.solver
    nodes = grids.make(plan.grid, schedule, STEPS.value)
    check_start(nodes, plan.solvers[solver], teller.prediction)
    keys = sample_keys(jax.random.key(config.seed), PICTURES)
    eps = jax.random.normal(jax.random.fold_in(jax.random.key(config.seed), 1), picture.shape)

    def steer(denoise: "DenoiserLike", run: "SamplingRun") -> "DenoiserLike":
        guided = teller.steer(denoise, run) if teller.steer else denoise
        return thresholded(guided, plan.threshold)

    time = jnp.linspace(schedule.t_min, schedule.t_max, 257)
    return Lesson(
        schedule=teller.schedule_spec,
        time=np.linspace(0, 1, 257),
        log_snr=np.asarray(schedule.level(time).log_snr),
        caption=caption_of(example),
        forward=walks.forward(schedule, picture, eps, FRAMES),
        prompt=_prompt(),
        denoiser=teller.sentence,
        sampler=f"Sampled with {solver}, {STEPS.value} steps on the grid {config.sampling.grid}, "
        f"guidance {teller.guidance}",
        reverse=walks.reverse(
            teller.denoise,
            plan.solvers[solver],
            nodes,
            keys,
            picture.shape,
            teller.condition,
            steer,
        ),
        command=shlex.join(["python", "-m", "experiments.explain", *sys.argv[1:]]),
    )


def _prompt() -> str:
    if len(PROMPT.value) > 1:
        raise UserError(f"A lesson has one --prompt, not {len(PROMPT.value)}.")
    return PROMPT.value[0] if PROMPT.value else LABEL.value


def _network(config: ConfigDict) -> Teller:
    """The averaged network of a trained arm, guided as the config says."""
    from diffusion_jax.inference.conditions import asked
    from diffusion_jax.runs.run import Run
    from diffusion_jax.sampling.guidance import guidance
    from diffusion_jax.training.trained import load_arms, load_guides, sound

    run = Run.of(config)
    names = (ARM.value,) if ARM.value else ()
    arms = load_arms(run.folder, names, config.training.steps)
    name, trained = next(iter(sound(arms).items()))
    spec = config.sampling.guidance
    guided_by = guidance.make(spec).guided_by
    other = load_guides(run.folder, {name: trained}, guided_by).get(name)
    weaker = other.denoiser() if other else _without_attention(guidance.make(spec), trained)
    asking = [arm.arm.network for arm in (trained, other) if arm]
    condition = asked(asking, [_prompt()] * PICTURES, LABEL.value)
    if not (_prompt() or weaker):  # nothing to guide towards
        spec = "none"
    guide, null = guidance.make(spec), trained.arm.network.null
    return Teller(
        trained.objective.schedule,
        trained.arm.settings["schedule"],
        trained.denoiser(),
        condition,
        f"The denoiser is the network of the arm {name} in {run.folder}, "
        f"after {trained.step:,} training steps.",
        trained.objective.prediction,
        lambda denoise, run: guide(denoise, null(condition), run, weaker),
        spec,
    )


def _without_attention(guide: "Guidance", trained: "TrainedArm") -> "Denoiser | None":
    """The network without self-attention, for guidance that wants it; else None."""
    from diffusion_jax.inference.generate import check_attention

    if guide.perturbs is None:
        return None
    check_attention(guide, trained.arm.network)
    return dataclasses.replace(trained.network_denoiser, without=guide.perturbs).denoiser()


def _oracle(config: ConfigDict, data: "Dataset") -> Teller:
    """The exact denoiser of some training pictures: of those of the class or caption asked for."""
    import jax.numpy as jnp

    from diffusion_jax.data.example import label_of, take, to_unit, values_of
    from diffusion_jax.training.arms import arm_settings, objectives
    from diffusion_jax.verification.oracles import Empirical

    refuse_unused({field: UNTRAINED for field in overridden() if field not in OF_ORACLE})
    arms = arm_settings(config)
    name = one_of(ARM.value, arms, "arm") if ARM.value else next(iter(arms))
    count = min(len(data.train), ORACLE_PICTURES)
    examples = take(data.train, range(count))
    if LABEL.value:
        label = data.class_names.index(one_of(LABEL.value, data.class_names, "class"))
        examples = [example for example in examples if label_of(example) == label]
    chosen = _with_caption(examples, _prompt() if PROMPT.value else "")
    points = jnp.asarray(to_unit(values_of(chosen)))
    return Teller(
        objectives(config)[name].schedule,
        arms[name]["schedule"],
        Empirical(points).denoise,
        None,
        f"Nothing is trained here: the denoiser is the exact one of {len(chosen):,} training "
        "pictures, so each walk ends at one of them. A trained network paints new ones.",
    )


def _with_caption(examples: Sequence[dict[str, Any]], prompt: str) -> list[dict[str, Any]]:
    from diffusion_jax.data.example import caption_of

    chosen = [e for e in examples if not prompt or caption_of(e) == prompt]
    if not chosen:
        known = {caption_of(example) for example in examples}
        raise UserError(
            f"None of {len(examples):,} training pictures is called {prompt!r}, and nothing else "
            f"is known before anything is trained.{nearest(prompt, known)}"
        )
    return chosen


if __name__ == "__main__":
    cli.run(main)
