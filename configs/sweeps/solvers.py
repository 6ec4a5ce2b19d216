"""Which solver, at equal NFE, on the same trained networks? Seven solvers, three trainings.

Source: DDIM (Song et al. 2020), Heun (Karras et al. 2022), DPM-Solver++ (Lu et al. 2022), UniPC
(Zhao et al. 2023), DEIS (Zhang & Chen 2023), and two stochastic ones.
Cost: three trainings of the config it is run over; sampling takes about as long.
Command: python -m experiments.compare --config=configs/shapes.py \\
    --sweep=configs/sweeps/solvers.py
"""

from diffusion_jax.sweeps import Sweep, axis, product


def get_sweep() -> Sweep:
    """See the head of the file."""
    solvers = axis(
        "sampling.solvers",
        *("dpmpp_2m", "ddim", "heun", "unipc", "deis", "ancestral", "dpmpp_2m_sde"),
    )
    return Sweep(
        product(solvers, axis("seed", 0, 1, 2)),
        title="Which solver paints better at equal cost?",
        question="All solvers sample the same trained networks with as many evaluations.",
        nfe=(4, 8, 16),
    )
