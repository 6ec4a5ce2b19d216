"""What to predict, and how much each noise level counts: three predictions × three weightings.

Source: epsilon and simple (Ho et al. 2020), v (Salimans & Ho 2022), EDM's F (Karras et al. 2022),
min-SNR (Hang et al. 2023), sigmoid (Kingma & Gao 2023).
Cost: 27 trainings of the config it is run over.
Command: python -m experiments.compare --config=configs/fashion_mnist_small.py \\
    --sweep=configs/sweeps/weightings.py
"""

from diffusion_jax.sweeps import Sweep, axis, product


def get_sweep() -> Sweep:
    """See the head of the file."""
    return Sweep(
        product(
            axis("prediction", "epsilon", "v", "edm"),
            axis("weighting", "simple", min_snr="min_snr(gamma=5.0)", sigmoid="sigmoid(bias=1.0)"),
            axis("seed", 0, 1, 2),
        ),
        title="What should the network predict, and which noise levels should count?",
        question="The arms differ in prediction and weighting.",
        judged_by="noise_error",
    )
