"""StableDiffusion3Pipeline with every scheduler of flows that it takes."""

import dataclasses

from experiments.parity.kinds import stable_diffusion_3

KIND = dataclasses.replace(
    stable_diffusion_3.KIND,
    each=len(stable_diffusion_3.SCHEDULERS),
    doubled=True,
    guidance=(2.0,),
)
