"""Memory that training steps take, as the compiler counts it, before the first is taken."""

import math
from typing import Any

import jax
from jaxtyping import PyTree

from diffusion_jax.data.pipeline import AHEAD
from diffusion_jax.errors import UserError
from diffusion_jax.networks.functions import FunctionNetwork
from diffusion_jax.networks.memory import pass_bytes
from diffusion_jax.parallel import devices
from diffusion_jax.training.program import Program, params_shapes

FLOAT = 4  # bytes
NOTICEABLE = 1000  # pictures' bytes, below which a pass takes no memory to speak of


class TooLarge(UserError):
    """A step does not fit into memory; none has been taken."""


def compiled_bytes(lowered: jax.stages.Lowered) -> int:
    """`program_bytes` of a program; it is not compiled again where it is called."""
    return program_bytes(lowered.compile())


def program_bytes(compiled: jax.stages.Compiled) -> int:
    """Bytes that a program takes on each device: what it is given, what it returns, and between.

    0 where the compiler does not count them.
    """
    counted = compiled.memory_analysis()
    if counted is None:
        return 0
    return int(
        counted.argument_size_in_bytes
        + counted.output_size_in_bytes
        - counted.alias_size_in_bytes
        + counted.temp_size_in_bytes
    )


def array_bytes(tree: PyTree[Any]) -> int:
    """Bytes of all arrays, or of `jax.ShapeDtypeStruct`."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def gigabytes(count: float) -> str:
    """
    >>> gigabytes(2_340_000_000)
    '2.34 GB'
    """
    return f"{count / 1e9:.3g} GB"


def check_sizes(program: Program) -> None:
    """Refuses parameters and batches that certainly do not fit into memory, before any is made.

    Raises:
        TooLarge: batches do not fit into the machine's memory, or the parameters of all arms with
            their averages, or a pass, into a device's.
    """
    shape, batch_size = program.facts.shape, program.options.batch_size
    networks = {name: arm.network for name, arm in program.arms.items()}
    device = devices.free_memory()
    shapes = [params_shapes(each, program.facts, program.example) for each in networks.values()]
    if (held := 2 * sum(map(array_bytes, shapes))) > device:
        raise TooLarge(
            f"The parameters of all arms and their averages take {gigabytes(held)} of memory on "
            f"each device, and {gigabytes(device)} are there: take smaller networks, or fewer arms."
        )
    remedy = "take a smaller training.batch_size"
    picture, room = FLOAT * math.prod(shape), devices.host_memory()
    prepared = (AHEAD + 1) * batch_size * picture // jax.process_count()
    if prepared > room:
        raise TooLarge(
            f"Batches of {batch_size:,} pictures, {AHEAD} of them prepared ahead, take "
            f"{gigabytes(prepared)} of memory, and {gigabytes(room)} are there: {remedy}."
        )
    rows = batch_size // (program.options.microbatches * program.mesh.size)
    if NOTICEABLE * rows * picture < device:  # as nearly always, and tracing takes a second
        return
    for name, network in networks.items():
        if isinstance(network, FunctionNetwork):
            continue
        least = rows * pass_bytes(network, shape, program.nothing())
        if least > device:
            raise TooLarge(
                f"A training step of {name} needs at least {gigabytes(least)} of memory on each "
                f"device, and {gigabytes(device)} are there: {remedy}, or more "
                "training.microbatches."
            )
