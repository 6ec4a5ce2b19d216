"""Draws pictures from a trained run for captions of your own.

    python -m experiments.sample --config=runs/quickstart --prompt="a large green triangle"
    python -m experiments.sample --config=runs/quickstart --arm=edm --count=4 \\
        --prompt="a small red circle at the centre" --prompt="a large blue square at the centre" \\
        --config.sampling.solvers="('heun',)" --config.sampling.steps="(32,)"
    python -m experiments.sample --config=runs/quickstart --picture=3 --mask=left_half.png
    python -m experiments.sample --config=runs/quickstart --picture=3 \\
        --config.sampling.operator="downsample(factor=4)" --config.sampling.posterior=mmps
    python -m experiments.sample --config=runs/classes --label="ankle boot"

With --model=FOLDER it draws from a model that others have released; see
`python -m experiments.sample --model= --help`.

Writes one sheet of pictures, a row per prompt and arm. The first solver and the largest number of
steps of the run's config are used; without a prompt, captions and classes of test pictures. Arms
that read classes take a class's name as a prompt, or the one of --label. Sample i of a
seed is the same picture however many are drawn. With an operator, they are restorations of test
picture --picture from what the operator shows of it. With a mask, what is white there is painted
anew and what is black is kept, as is usual for inpainting; the posterior is then diffpir, if the
config names none. Arms that diverged are left out.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments import cli, options, plain, sample_released
from experiments.command_line import overridden
from experiments.options import ARM, LABEL, OUT, PROMPT, test_picture
from experiments.unused import COMPARING, TRAINING, is_given, refuse_several, refuse_unused

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from jaxtyping import Float

    from diffusion_jax.data.example import Example, Source, Values
    from diffusion_jax.inference.measure import SamplingPlan
    from diffusion_jax.inference.restoration import Restoration
    from diffusion_jax.networks.conditioners.base import Condition
    from diffusion_jax.networks.functions import AnyNetwork
    from diffusion_jax.runs.run import DataFacts
    from diffusion_jax.training.trained import TrainedArm

flags.adopt_module_key_flags(options)
COUNT = flags.DEFINE_integer(
    "count", 8, "pictures per prompt and arm", lower_bound=1, upper_bound=1000
)
MASK = flags.DEFINE_string(
    "mask", "", "a picture, white where the test picture is painted anew, black where it is kept"
)
UNUSED = {
    **TRAINING,
    **COMPARING,
    **dict.fromkeys(("sampling.count", "sampling.judged_count"), "use --count"),
}
ROWS, SEARCHED = 4, 64  # test pictures whose captions are asked for, of so many
T = TypeVar("T")
SEED = flags.DEFINE_integer("seed", 0, "of the noise", lower_bound=0, upper_bound=2**31 - 1)


def main(config: ConfigDict) -> None:
    """Draws the sheet; the last line printed is its path."""
    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.example import to_values
    from diffusion_jax.data.sets.latents import codec_of
    from diffusion_jax.files import check_target
    from diffusion_jax.inference.measure import SamplingPlan
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.runs.run import Run
    from diffusion_jax.training.trained import load_arms, load_guides, sound

    refuse_unused(UNUSED)
    refuse_several(config)
    _refuse_two_masks(config)
    run = Run.of(config)
    path = check_target(OUT.value or run.folder / "samples.png")
    plan = SamplingPlan.make(config)
    example = picture = None
    codec = codec_of(config.data, run.facts.fingerprint)
    restoration = _restoration(config, run.facts.shape)
    if restoration and codec:
        raise UserError(
            "--mask and sampling.operator say what is seen of a picture, and this run has latents."
        )
    if restoration:
        restoration.check([plan.solvers[plan.judged_by.solver]])
        plan = dataclasses.replace(plan, restoration=restoration)
        example = test_picture(datasets.make(config.data).test)
        picture = example["image"]
    elif is_given("picture"):
        raise UserError(
            "--picture would change nothing here: it is restored from what --mask or "
            "--config.sampling.operator shows of it."
        )
    found = load_arms(run.folder, (ARM.value,) if ARM.value else (), config.training.steps)
    arms = sound(found)
    guides = load_guides(run.folder, arms, plan.guidance.guided_by)
    asking = [arm.arm.network for arm in (*arms.values(), *guides.values())]
    prompts, condition = _wanted(config, asking, example)
    plan.check({name: arm.objective for name, arm in arms.items()})

    rows = []
    with Progress().phase("Sampling", len(arms), unit="arms") as advance:
        for name, arm in arms.items():
            given = condition, len(prompts) * COUNT.value
            drawn = _draw(plan, arm, run.facts, given, guides.get(name), picture)
            values = codec.decode(drawn) if codec else drawn
            rows.append(to_values(values, codec is not None or run.facts.has_pictures))
            advance(name)
    for name, arm in found.items():
        if name not in arms:
            print(f"{name}: left out, it diverged at step {arm.diverged} of its training")
    _write_sheet(path, rows, tuple(arms), prompts)
    _say_what_is_right(config, rows, tuple(arms), prompts)
    print(path)


def _refuse_two_masks(config: ConfigDict) -> None:
    if MASK.value and "sampling.operator" in overridden() and config.sampling.operator != "none":
        raise UserError("--mask and --config.sampling.operator both say what is seen: name one.")


def _wanted(
    config: ConfigDict, networks: "Sequence[AnyNetwork]", example: "Example | None"
) -> "tuple[Sequence[str], Condition]":
    """What is asked for, in words, and the condition of all pictures, prompt by prompt."""
    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.example import caption_of, label_of
    from diffusion_jax.data.sets.latents import pictures_of
    from diffusion_jax.inference.conditions import asked, encode

    if PROMPT.value or LABEL.value:
        prompts = PROMPT.value or [LABEL.value]
        return prompts, asked(networks, _each(prompts), LABEL.value)
    data = datasets.make(pictures_of(config.data))
    examples = [example] if example else _examples(data.test)
    # Where there are no captions, one picture of each class is taken.
    names = (*data.class_names, "")
    prompts = [caption_of(example) or names[label_of(example)] for example in examples]
    return prompts, encode(networks, _each(examples))


def _each(wanted: Sequence[T]) -> list[T]:
    return [one for one in wanted for _ in range(COUNT.value)]


def _examples(test: "Source") -> "list[Example]":
    """The first test examples that differ in their captions, or classes."""
    from diffusion_jax.data.example import caption_of, label_of, take

    seen = take(test, range(min(SEARCHED, len(test))))
    first = {caption_of(each) or label_of(each): each for each in seen[::-1]}
    return list(first.values())[: -ROWS - 1 : -1]


def _restoration(config: ConfigDict, shape: tuple[int, ...]) -> "Restoration | None":
    """What of a test picture is seen, and how that is followed; None for samples of anything."""
    import jax.numpy as jnp

    from diffusion_jax.files import user_path
    from diffusion_jax.inference.masks import load_mask
    from diffusion_jax.inference.restoration import Restoration
    from diffusion_jax.sampling.inverse import Mask

    if not MASK.value:
        return Restoration.make(config, shape)
    kept = load_mask(user_path(MASK.value), shape)
    asked = config.copy_and_resolve_references()
    if asked.sampling.posterior == "none":
        asked.sampling.posterior = "diffpir"
    return Restoration.make(asked, shape, Mask(jnp.asarray(kept, jnp.float32)))


def _draw(
    plan: "SamplingPlan",
    arm: "TrainedArm",
    facts: "DataFacts",
    wanted: "tuple[Condition, int]",
    guide: "TrainedArm | None",
    picture: "np.ndarray | None",
) -> "Float[np.ndarray, 'n ...']":
    """Of one arm: what its network makes; restorations of `picture`, if there is one."""
    import jax.numpy as jnp

    from diffusion_jax.inference.generate import check_finite, generate

    (condition, count), sampling, given = wanted, plan.judged_by, None
    if plan.restoration and picture is not None:
        given = plan.restoration.given(picture[None], SEED.value).of(jnp.zeros(count, jnp.int32))
    samples, _ = generate(
        plan.sampler(arm, sampling, facts.shape, guide, given),
        arm.params,
        arm.objective.prediction,
        plan.nodes(arm.objective.schedule, sampling.steps),
        condition,
        count,
        SEED.value,
        min(plan.batch_size, count),
    )
    check_finite(samples, f" of arm {arm.arm.name!r}")
    return samples


def _write_sheet(
    path: "Path", rows: "Sequence[Values]", arms: Sequence[str], prompts: Sequence[str]
) -> None:
    """Rows prompt by prompt, arm under arm, so that what is to be compared stands together.

    Of vectors, one plot of all in the place of each row.
    """
    import numpy as np

    from diffusion_jax.files import save
    from diffusion_jax.reports import pictures
    from diffusion_jax.reports.scatter import scatter

    if rows[0].dtype != np.uint8:
        parts = [np.split(row, len(prompts)) for row in rows]
        plots = [scatter(part[index]) for index in range(len(prompts)) for part in parts]
        captions = [f"{arm}: {prompt}".rstrip(": ") for prompt in prompts for arm in arms]
        save(pictures.png(pictures.grid(np.stack(plots), captions, len(arms))), path)
        return
    drawn = np.stack(rows).reshape(len(arms), len(prompts), COUNT.value, *rows[0].shape[1:])
    ordered = drawn.swapaxes(0, 1).reshape(-1, *rows[0].shape[1:])
    captions = [
        (f"{arm}: {prompt}" if len(arms) > 1 else prompt) if column == 0 else ""
        for prompt in prompts
        for arm in arms
        for column in range(COUNT.value)
    ]
    save(pictures.png(pictures.grid(ordered, captions, COUNT.value)), path)


def _say_what_is_right(
    config: ConfigDict, rows: "Sequence[Values]", arms: Sequence[str], prompts: Sequence[str]
) -> None:
    """Prints how many pictures show what was asked for, where the data set can tell."""
    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.sets.latents import pictures_of

    asked = [prompt for prompt in prompts for _ in range(COUNT.value)]
    try:
        check = datasets.make(pictures_of(config.data)).check
        right = [check(row, asked) for row in rows] if check else []
    except UserError:  # the data is not on this machine, or a prompt is outside its grammar
        return
    for arm, attributes in zip(arms, right, strict=False):
        parts = ", ".join(f"{name} {ok.mean():.0%}" for name, ok in attributes.items())
        print(f"{arm}: {parts} right of {len(asked)}")


if __name__ == "__main__":
    if sample_released.is_asked(sys.argv[1:]):
        plain.run(sample_released.main)
    else:
        cli.run(main, default="runs/quickstart")
