"""What solvers are proven by: exact oracles, exact moments, measured orders."""

from diffusion_jax.verification.oracles import Empirical, Gaussian, GaussianMixture

__all__ = ["Empirical", "Gaussian", "GaussianMixture"]
