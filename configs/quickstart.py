"""Three noise schedules side by side on the built-in captioned shapes: the main job of `make demo`.

Source: cosine (Nichol & Dhariwal 2021), EDM (Karras et al. 2022) with its log-normal times moved
to the noise of small pictures, rectified flow (Liu et al. 2022). One network and one optimiser.
Cost: three arms of 36,000 pictures of 16 × 16, 0.9M parameters.
Expect: more than 80% of the pictures for unseen captions all right in every arm (docs/results.md).
Command: python -m experiments.compare --config=configs/quickstart.py
"""

from ml_collections import ConfigDict

from configs import shapes


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = shapes.get_config()
    config.run_dir = "runs/quickstart"
    config.arms = ConfigDict(
        {
            "cosine": {"schedule": "cosine"},
            "edm": {
                "schedule": "edm",
                "time_sampler": "low_discrepancy(time_sampler=log_normal(mean=-0.3, std=1.3))",
            },
            "flow": {"schedule": "rectified_flow"},
        }
    )

    config.sampling.solvers = ("dpmpp_2m", "ddim", "heun")
    return config
