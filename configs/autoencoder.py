"""A small autoencoder of any pictures, for networks on its latents.

Name others by --config.data="folder(path='…', size=64)", and for larger ones give it more levels.
Its run is an autoencoder then: --config.data="latents(data=…, autoencoder='runs/autoencoder')".
Source: Rombach et al. 2022 (latent diffusion), with the error of pixels and the divergence alone.
Cost: 48,000 pictures of 16 × 16, 0.4M parameters; three minutes on two CPU cores.
Expect: latents of 4 × 4 × 8 that give held-out pictures back with an error of 5.5 of 255, where 128
principal components have 8.3 and the mean picture 53.
Command: python -m experiments.train --config=configs/autoencoder.py
"""

from ml_collections import ConfigDict

from configs import base

LEVELS = 3


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = base.get_config()
    config.run_dir = "runs/autoencoder"
    config.network = (
        "autoencoder_kl(block_out_channels=(16, 32, 64), latent_channels=8, norm_num_groups=8, "
        f"down_block_types={('DownEncoderBlock2D',) * LEVELS}, "
        f"up_block_types={('UpDecoderBlock2D',) * LEVELS}, mid_block_add_attention=False)"
    )
    config.conditioner = "none"
    config.loss = "kl(weight=1e-4)"
    config.optimizer = "adam(learning_rate=2e-3, warmup=100, decay='cosine', clip=1.0)"
    config.training.steps = 1500
    config.training.batch_size = 32
    config.training.caption_dropout = 0.0
    config.training.ema = "decay(decay=0.995)"
    return config
