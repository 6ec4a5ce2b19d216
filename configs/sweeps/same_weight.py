"""Only the density over log-SNR times the weight matters: arms that reach the same must agree.

`edm` and `flow` draw the same log-SNR for the same uniform number, along other paths: log-normal
sigma on EDM's schedule, logit-normal time on the straight path. Level, target and weight of every
picture are the same to rounding, which is all that sets them apart in the end. `dense` looks
elsewhere more often and weighs it down as much: its gradients have the same mean and another
variance. `other` has another effective weight, to show that the comparison can see one.

Source: Kingma & Gao 2023 (understanding diffusion objectives), eq. 9 and section 3.
Cost: twelve trainings of the config it is run over.
Command: python -m experiments.compare --config=configs/shapes.py \\
    --sweep=configs/sweeps/same_weight.py
"""

from diffusion_jax.sweeps import Sweep, axis, choice, listed, product

SIGMOID = "sigmoid(bias=1.0)"


def get_sweep() -> Sweep:
    """See the head of the file."""
    arms = listed(
        choice(
            "edm", schedule="edm", time_sampler="log_normal(mean=-0.3, std=1.6)", weighting=SIGMOID
        ),
        choice(
            "flow",
            schedule="rectified_flow",
            time_sampler="logit_normal(mean=-0.3, std=1.6)",
            weighting=SIGMOID,
        ),
        choice(
            "dense", schedule="edm", time_sampler="log_normal(mean=0.3, std=2.0)", weighting=SIGMOID
        ),
        choice(
            "other",
            schedule="edm",
            time_sampler="log_normal(mean=-0.3, std=1.6)",
            weighting="sigmoid(bias=-3.0)",
        ),
    )
    return Sweep(
        product(arms, axis("seed", 0, 1, 2)),
        title="Does only density times weight matter?",
        question="The first three arms reach the same effective weight by different means; the "
        "fourth has another.",
        judged_by="noise_error",
    )
