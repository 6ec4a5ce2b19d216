"""Blocks that are computed again in the backward pass, so that less is kept of the forward one."""

import inspect

import flax.linen as nn


def rematerialised(block: type[nn.Module]) -> type[nn.Module]:
    """The block with its parameters and numbers, to rounding, and less memory while training.

    Only what goes into a block is kept for the backward pass, and the rest computed once more.

    Args:
        block: a module whose last argument, whether dropout is off, is a plain bool.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost.
    """
    last = len(inspect.signature(block.__call__).parameters) - 1
    return nn.remat(block, static_argnums=(last,))
