"""StableDiffusionPipeline with every scheduler that it takes."""

import dataclasses

from experiments.parity.kinds import stable_diffusion

KIND = dataclasses.replace(
    stable_diffusion.KIND,
    each=len(stable_diffusion.SCHEDULERS),
    doubled=True,
    guidance=(2.0,),
)
