"""What both libraries are given: networks and a pipeline in the forms of released ones.

Settings are those of released models, smaller where a pass would take more than some seconds on two
cores. Needs NumPy alone.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from experiments.parity.kind import Arrays, NetworkKind, Options, normal
from experiments.parity.kinds import kinds

TRANSFORMER, U_NET = 1.0, 1.25  # the most that a pass may take, in times of the original's
WORDS, TEXT = 77, 768


@dataclasses.dataclass(frozen=True)
class ForwardProblem:
    """A pass of a network.

    Attributes:
        means: what it is, in words.
        kind: of `experiments.parity.kinds`, which knows how each library calls it.
        options: its settings.
        inputs: what goes in.
        most: the target, in times of what the original takes.
    """

    means: str
    kind: str
    options: Options
    inputs: Callable[[np.random.Generator], Arrays]
    most: float

    @property
    def network(self) -> NetworkKind:
        """How each library builds and calls it."""
        found = kinds()[self.kind]
        assert isinstance(found, NetworkKind)
        return found


def _unet(random: np.random.Generator) -> Arrays:
    tokens, mask = normal(random, 1, WORDS, TEXT), np.ones((1, WORDS), bool)
    return {"x": normal(random, 1, 4, 64, 64), "t": np.full(1, 500.0, "f4")} | {
        "tokens": tokens,
        "mask": mask,
    }


def _unet2d(random: np.random.Generator) -> Arrays:
    return {"x": normal(random, 1, 3, 128, 128), "t": np.full(1, 500.0, "f4")}


def _dit(random: np.random.Generator) -> Arrays:
    x = normal(random, 4, 4, 32, 32)
    return {"x": x, "t": np.full(4, 500), "classes": np.array([1, 207, 999, 1000])}


def _pixart(random: np.random.Generator) -> Arrays:
    return {
        "x": normal(random, 2, 4, 32, 32),
        "t": np.full(2, 500),
        "tokens": normal(random, 2, 120, 4096),
        "mask": np.arange(120)[None] < np.array([[12], [120]]),
    }


def _sd3(random: np.random.Generator) -> Arrays:
    tokens, pooled = normal(random, 1, 154, 4096), normal(random, 1, 2048)
    x = normal(random, 1, 16, 64, 64)
    return {"x": x, "t": np.full(1, 500.0, "f4"), "tokens": tokens, "pooled": pooled}


HALF_WIDTH: Options = {
    "sample_size": 64,
    "block_out_channels": [160, 320, 640, 640],
    "attention_head_dim": 8,
    "cross_attention_dim": TEXT,
}
FORWARD = {
    "unet": ForwardProblem(
        "U-Net of Stable Diffusion 1.5 at half its width, 64×64 latents",
        "unet2d_condition",
        HALF_WIDTH,
        _unet,
        U_NET,
    ),
    "unet2d": ForwardProblem(
        "U-Net of DDPM for 256×256 pictures, at 128×128",
        "unet2d",
        {
            "sample_size": 256,
            "in_channels": 3,
            "out_channels": 3,
            "block_out_channels": [128, 128, 256, 256, 512, 512],
            "down_block_types": [*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4],
            "downsample_padding": 0,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "attention_head_dim": None,
            "norm_eps": 1e-6,
        },
        _unet2d,
        U_NET,
    ),
    "dit": ForwardProblem(
        "DiT-B/2, 4 of 32×32 latents",
        "dit_transformer",
        {"num_attention_heads": 12, "attention_head_dim": 64, "num_layers": 12, "in_channels": 4}
        | {"out_channels": 8, "sample_size": 32, "num_embeds_ada_norm": 1000},
        _dit,
        TRANSFORMER,
    ),
    "pixart": ForwardProblem(
        "PixArt of 10 blocks instead of 28, 2 of 32×32 latents",
        "pixart_transformer",
        {"num_layers": 10, "sample_size": 64, "caption_channels": 4096}
        | {"use_additional_conditions": False},
        _pixart,
        TRANSFORMER,
    ),
    "sd3": ForwardProblem(
        "MM-DiT of Stable Diffusion 3 of depth 12 instead of 24, 64×64 latents",
        "sd3_transformer",
        {
            "sample_size": 64,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 12,
            "num_attention_heads": 12,
            "attention_head_dim": 64,
            "caption_projection_dim": 768,
            "joint_attention_dim": 4096,
            "pooled_projection_dim": 2048,
            "pos_embed_max_size": 96,
        },
        _sd3,
        TRANSFORMER,
    ),
}

PIPELINE_NAME = "pipeline"
STEPS, GUIDANCE, PROMPT = 20, 7.5, "A photograph of a dog!"
HEIGHT, WIDTH = 256, 320
PIPELINE_MEANS = f"Stable Diffusion with that U-Net, {STEPS} steps, {HEIGHT}×{WIDTH} pixels"
PIPELINE: Options = {
    "unet": HALF_WIDTH | {"in_channels": 4, "out_channels": 4},
    "text_encoder": {
        "hidden_size": TEXT,
        "intermediate_size": 4 * TEXT,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "quick_gelu",
    },
    "vae": {
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 512,
    },
}
SCHEDULER = {
    "_class_name": "DPMSolverMultistepScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def start() -> np.ndarray:
    """The noise of the pipeline, channels first."""
    return normal(np.random.default_rng(1), 1, 4, HEIGHT // 8, WIDTH // 8)
