"""Parameters for tests, every one of them random, none of them zero; and a quick compiler."""

import functools

import jax
import numpy as np

# These tests run each program a few times, so that time spent on optimising it is lost.
quick_jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


def random_parameters(module, *inputs, std=0.3):
    """Variables of `module` drawn from N(0, std²); scales, variances and gains are around 1."""
    shapes = jax.eval_shape(lambda key: module.init(key, *inputs), jax.random.key(0))
    generator = np.random.default_rng(0)

    def draw(path, leaf):
        mean = 1.0 if path[-1].key in ("scale", "running_var") or leaf.ndim == 0 else 0.0
        return (mean + std * generator.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)
