"""Diffusion models in JAX: noise schedules, score networks, training, sampling, comparison."""
