"""Pictures of one arm for prompts of training pictures and of held-out ones, apart."""

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import NO_LABEL, Example, caption_of, label_of, take
from diffusion_jax.inference.conditions import on_device
from diffusion_jax.inference.generate import check_finite, generate
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.metrics.copying import Generated
from diffusion_jax.networks.score_network import Condition
from diffusion_jax.runs.progress import Progress
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
    progress: Progress | None = None,
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
        progress: shows how far it is; None for nothing.

    Raises:
        UserError: a sample is not finite.
    """
    rng = np.random.default_rng(plan.seed)
    networks = [each.arm.network for each in (arm, guide) if each]
    asked: dict[str, tuple[Condition, tuple[str, ...]]] = {}
    for name, source in {TRAINING: data.train, HELD_OUT: data.test}.items():
        examples = take(source, rng.integers(0, len(source), count).tolist())
        captions = tuple(_said(data, example) for example in examples)
        asked[name] = (on_device(shown(networks, data, examples)), captions)
    if not asked[TRAINING][0]:
        asked = {FREE: ({}, ())}
    found, progress = [], progress or Progress(quiet=True)
    with progress.phase("Sampling", len(asked), unit="kinds of prompts") as advance:
        for number, (name, (condition, captions)) in enumerate(asked.items()):
            pictures = _draw(plan, arm, data, condition, count, number, guide)
            found.append(Generated(name, pictures, captions, as_trained=name != HELD_OUT))
            advance(name)
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
