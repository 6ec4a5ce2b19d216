"""Three noise schedules side by side on the built-in captioned shapes.

Source: the schedules are those of simple diffusion (cosine), EDM and rectified flow.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The main job of `make demo`."""
    config = base.get_config()
    config.run_dir = "runs/quickstart"
    config.arms = ConfigDict(
        {
            "cosine": {"schedule": "cosine"},
            "edm": {"schedule": "edm", "times": "log_normal(mean=-0.3, std=1.3)"},
            "flow": {"schedule": "rectified_flow"},
        }
    )
    config.sampling.solvers = ("dpmpp_2m", "ddim", "heun")
    config.sampling.steps = (4, 8, 16)
    return config
