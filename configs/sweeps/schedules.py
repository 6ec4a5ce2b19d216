"""Which noise schedule, at the same number of pictures? Five schedules × three seeds.

Source: cosine (Nichol & Dhariwal 2021), linear beta (Ho et al. 2020), rectified flow (Liu et al.
2022), EDM (Karras et al. 2022), and Laplace (Hang & Gu 2024), whose density is its schedule.
Cost: fifteen trainings of the config it is run over.
Command: python -m experiments.compare --config=configs/shapes.py \\
    --sweep=configs/sweeps/schedules.py
"""

from diffusion_jax.sweeps import Sweep, axis, choice, listed, product


def get_sweep() -> Sweep:
    """See the head of the file."""
    schedules = listed(
        axis("schedule", "cosine", linear="vp_linear", flow="rectified_flow", laplace="laplace"),
        choice(
            "edm",
            schedule="edm",
            time_sampler="low_discrepancy(time_sampler=log_normal(mean=-0.3, std=1.3))",
        ),
    )
    return Sweep(
        product(schedules, axis("seed", 0, 1, 2)),
        title="Which noise schedule paints better?",
        question="The arms differ in their noise schedule, and EDM in where it looks.",
    )
