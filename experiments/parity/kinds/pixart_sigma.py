"""PixArtSigmaPipeline: as alpha's, with longer prompts and no size told."""

import random
from typing import Any

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import pixart_alpha, stable_diffusion


def draw(pick: random.Random) -> Options:
    """As of alpha."""
    found = pixart_alpha.draw(pick)
    return found | {"transformer": found["transformer"] | {"use_additional_conditions": False}}


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import PixArtSigmaPipeline

    return PixArtSigmaPipeline(scheduler=scheduler, **pixart_alpha.parts(options))


KIND = PipelineKind(
    draw,
    build,
    pixart_alpha.call,
    encoders.odd_captions,
    stable_diffusion.SCHEDULERS,
    guidance=(1.0, 2.0),
    texts=pixart_alpha.texts,
    gain=0.6,
    single_sines=True,
)
