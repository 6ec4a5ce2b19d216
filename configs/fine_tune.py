"""A released network trained further on pictures of one's own, all of it and by low-rank terms.

Name a model by --config.network="released(path='…')" and pictures of its size by --config.data;
what the network was trained with comes with it ("released"). Here it is a tiny random model.
Source: Hu et al. 2021 (LoRA) for the second arm; Ho et al. 2020 (DDPM) for the loss.
Cost: two arms of 32,000 pictures of 16 × 16, 0.05M parameters.
Expect: the arm that trains all learns more of these pictures; the released network knew none.
Command: python -m experiments.compare --config=configs/fine_tune.py
"""

from ml_collections import ConfigDict

from configs import base

MODEL = "tests/published/data/unconditional"


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = base.get_config()
    config.run_dir = "runs/fine_tune"
    config.network = f"released(path='{MODEL}')"
    config.conditioner = "none"
    config.schedule = config.prediction = config.preconditioning = "released"
    config.sigma_data = 1.0
    config.optimizer = "adam(learning_rate=1e-3)"
    config.training.caption_dropout = 0.0
    config.arms = ConfigDict(
        {"all": {}, "lora": {"network": f"released(path='{MODEL}', train=lora(rank=4))"}}
    )
    config.sampling.guidance = "none"
    config.sampling.metrics = ("frechet", "kernel", "copies")
    return config
