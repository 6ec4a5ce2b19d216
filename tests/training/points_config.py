"""The smallest training run: an MLP on `points`, two arms."""

from ml_collections import ConfigDict

from configs.base import get_config as get_base


def get_config() -> ConfigDict:
    config = get_base()
    config.data = "points()"
    config.network = "mlp(width=8, depth=1)"
    config.conditioner = "transformer(width=8, layers=1, heads=1)"
    config.optimizer = "adam(learning_rate=1e-2, warmup=3, decay='cosine', clip=1.0)"
    config.arms.cosine = {"schedule": "cosine"}
    config.arms.edm = {"schedule": "edm", "time_sampler": "log_normal"}
    config.training.batch_size = 16
    config.training.steps = 12
    config.training.log_every = 5
    config.training.checkpoint_every = 4
    return config
