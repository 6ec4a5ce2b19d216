"""One, two and four steps: networks trained for few, beside an ordinary one.

Source: rectified flow (Liu et al. 2022), which `jump` samples by Euler's method; shortcut models
(Frans et al. 2024) and MeanFlow (Geng et al. 2025) on the same path, whose networks know where a
step ends. Data, network and recipe are `quickstart`'s.
Cost: three arms of 36,000 pictures of 16 × 16; a step of the others takes up to twice as long as
one of the first.
Expect: no gain of shortcuts that are trained for as short as this. After 900 steps the share all
right at 1, 2 and 4 evaluations was 47, 72 and 68% for flow and 41, 51 and 56% for shortcut (120
samples each, seed 0): a caption all but determines these pictures, so that one step of DDIM goes
far, and flow predicts EDM's F where the others predict velocities, which learn more slowly.
Command: python -m experiments.compare --config=configs/few_steps.py
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = quickstart.get_config()
    config.run_dir = "runs/few_steps"
    config.arms = ConfigDict(
        {
            "flow": {"schedule": "rectified_flow"},
            "shortcut": {"fewstep": "shortcut(finest=8, share=0.5)"},
            "mean_flow": {"fewstep": "mean_flow(share=0.5)"},
        }
    )
    config.sampling.solvers = ("jump",)
    config.sampling.steps = (1, 2, 4)
    config.sampling.grid = "uniform"
    return config
