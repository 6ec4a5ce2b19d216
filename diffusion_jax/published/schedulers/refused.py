"""Schedulers of diffusers that are known and not taken, each with the reason."""

from collections.abc import Mapping

BACKWARDS = "it leads from data to noise: draw with the scheduler that it inverts, or use `invert`"
TOKENS = "it draws discrete tokens, and a process here is x = alpha x_0 + sigma eps"
VIDEO = "its pipelines draw videos, of which none is read"
OWN = "it belongs to a model with a sampler of its own, of which none is read"
SOUND = "its pipeline draws sound, and is not read"
REASONS: Mapping[str, str] = {
    "DDIMInverseScheduler": BACKWARDS,
    "DPMSolverMultistepInverseScheduler": BACKWARDS,
    "CosineDPMSolverMultistepScheduler": SOUND,
    "KarrasVeScheduler": OWN,
    "ScoreSdeVpScheduler": OWN,
    "IPNDMScheduler": (
        "its levels are those of an angle, by no table of betas, and no pipeline asks for it"
    ),
    "CMStochasticIterativeScheduler": (
        "its networks are consistency functions on EDM's levels, whose pipeline is not read"
    ),
    "SCMScheduler": "its networks take angles on TrigFlow's path, and their pipelines are not read",
    "RePaintScheduler": "it goes back and forth to fill holes: use the inverse method repaint",
    "UnCLIPScheduler": "its pipelines turn embeddings into pictures, and are not read",
    "ConsistencyDecoderScheduler": "it is of a decoder, and of no pipeline",
    "ScoreSdeVeScheduler": (
        "it corrects by Langevin steps as long as the scores it meets, over a pipeline of its own; "
        "use the solver predictor_corrector"
    ),
    "VQDiffusionScheduler": TOKENS,
    "AmusedScheduler": TOKENS,
    "BlockRefinementScheduler": TOKENS,
    "DiscreteDDIMScheduler": TOKENS,
    "EntropyBoundScheduler": TOKENS,
    "CogVideoXDDIMScheduler": VIDEO,
    "CogVideoXDPMScheduler": VIDEO,
    "LTXEulerAncestralRFScheduler": VIDEO,
    "HeliosScheduler": VIDEO,
    "HeliosDMDScheduler": VIDEO,
    "MiniMaxH3Scheduler": OWN,
    "DDPMWuerstchenScheduler": OWN,
    "FlowMapEulerDiscreteScheduler": OWN,
    "PiflowScheduler": OWN,
    "RFD4ProteinaScheduler": OWN,
}
