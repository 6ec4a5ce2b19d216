"""DDIMPipeline: a U-Net on pixels that is asked for nothing, by DDIM alone."""

from typing import Any

from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import ddpm_pipeline, unet2d


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import DDIMPipeline

    return DDIMPipeline(unet2d.build(options["unet"]), scheduler)


KIND = PipelineKind(
    ddpm_pipeline.draw,
    build,
    ddpm_pipeline.call,
    ddpm_pipeline.prompts,
    ("DDIMScheduler",) * 3,  # three of its settings
)
