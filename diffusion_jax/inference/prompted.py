"""Pictures of one arm for prompts of training pictures and of held-out ones, apart."""

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import NO_LABEL, Example, caption_of, label_of, take
from diffusion_jax.inference.conditions import on_device
from diffusion_jax.inference.generate import check_finite, generate
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.metrics.copying import Generated
from diffusion_jax.networks.score_network import Condition
from diffusion_jax.training.own_data import shown
from diffusion_jax.training.trained import TrainedArm

TRAINING, HELD_OUT = "prompts of training pictures", "prompts of held-out pictures"
FREE = "no prompt"


def prompted(
    plan: SamplingPlan,
    arm: TrainedArm,
    data: Dataset,
    count: int,
    guide: TrainedArm | None = None,
) -> list[Generated]:
    """Draws pictures as the plan judges arms, with the captions or classes that examples have.

    Training examples are chosen as training chooses them: what is there often is asked for often.
    An arm that reads no prompt draws once, freely. Latents are decoded.

    Args:
        plan: how to draw.
        arm: that draws.
        data: whose examples are asked for.
        count: of pictures for each kind of prompts.
        guide: the network that guides it, for guidance that needs one.

    Raises:
        UserError: a sample is not finite.
    """
    rng = np.random.default_rng(plan.seed)
    sides = {TRAINING: data.train, HELD_OUT: data.test}
    found = []
    for number, (name, source) in enumerate(sides.items()):
        rows = rng.integers(0, len(source), count).tolist()
        examples = take(source, rows)
        networks = [each.arm.network for each in (arm, guide) if each]
        condition = shown(networks, data, examples)
        captions = tuple(_said(data, example) for example in examples) if condition else ()
        pictures = _draw(plan, arm, data, on_device(condition), count, number, guide)
        if not condition:
            return [Generated(FREE, pictures)]
        found.append(Generated(name, pictures, captions, as_trained=name == TRAINING))
    return found


def _draw(
    plan: SamplingPlan,
    arm: TrainedArm,
    data: Dataset,
    condition: Condition,
    count: int,
    number: int,
    guide: TrainedArm | None,
) -> np.ndarray:
    sampling = plan.judged_by
    samples, _ = generate(
        plan.sampler(arm, sampling, data.shape, guide),
        arm.params,
        arm.objective.prediction,
        plan.nodes(arm.objective.schedule, sampling.steps),
        condition,
        count,
        plan.seed + number,
        min(plan.batch_size, count),
    )
    check_finite(samples, f" of arm {arm.arm.name!r}")
    return data.seen(samples)


def _said(data: Dataset, example: Example) -> str:
    """What an example shows, by its caption or else its class."""
    label = label_of(example)
    named = data.class_names[label] if label != NO_LABEL and data.class_names else ""
    return caption_of(example) or named
