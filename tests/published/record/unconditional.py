"""Records a tiny unconditional pipeline of diffusers and what it draws.

    python tests/published/record/unconditional.py tests/published/data/unconditional

Needs torch 2.13 and diffusers 0.42, in an environment of their own; the tests need neither.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UNet2DModel,
)

STEPS = 5
SCHEDULERS = {
    "ddim": DDIMScheduler(clip_sample=True),
    "euler": EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1),
    "dpm": DPMSolverMultistepScheduler(use_karras_sigmas=True),
    "v": DDIMScheduler(
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    ),
}


def network() -> UNet2DModel:
    """A U-Net whose every parameter is random, so that none of them can be left out unseen."""
    made = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        layers_per_block=1,
        attention_head_dim=8,
    )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.half().float().eval()  # as it is stored


def main(folder: Path) -> None:
    """Writes the folder of the model, and beside it configs of schedulers and what they draw."""
    torch.manual_seed(0)
    unet = network()
    noise = torch.randn(2, 3, 8, 8)
    drawn = {"noise": noise.numpy()}
    with torch.no_grad():
        for name, scheduler in SCHEDULERS.items():
            scheduler.set_timesteps(STEPS)
            x = noise * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                output = unet(scheduler.scale_model_input(x, t), t).sample
                x = scheduler.step(output, t, x).prev_sample
            drawn[name] = x.numpy()
    DDIMPipeline(unet.half(), SCHEDULERS["ddim"]).save_pretrained(folder)
    configs = {name: dict(each.config) for name, each in SCHEDULERS.items()}
    for name, config in configs.items():
        config["_class_name"] = type(SCHEDULERS[name]).__name__
    (folder / "schedulers.json").write_text(json.dumps(configs, indent=1, default=str))
    np.savez_compressed(folder / "drawn.npz", **drawn)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
