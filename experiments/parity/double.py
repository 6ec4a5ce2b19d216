"""Lets PyTorch and diffusers compute in double precision throughout.

The original names single precision in places, whatever a model's dtype: tables of schedulers, sines
of timesteps, rotations, some norms. What is left of a difference in double precision is then one of
the computation, not of rounding.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch

SINGLE, TO_SINGLE = torch.float32, torch.Tensor.float


def everywhere() -> None:
    """Makes double precision what single precision is called; before diffusers is imported."""
    tensor: Any = torch.Tensor
    tensor.float = tensor.double
    libraries: tuple[Any, ...] = torch, np
    for library in libraries:
        library.float32 = library.float64
    torch.set_default_dtype(torch.float64)


@contextlib.contextmanager
def single_sines() -> Iterator[None]:
    """Takes the angles of timesteps in single precision, their sines in double.

    Frequencies are rounded once, from double precision, as the original's are meant to be, whatever
    the processor.
    """
    from diffusers.models import embeddings

    original = embeddings.get_timestep_embedding

    def features(timesteps: Any, embedding_dim: int, **settings: Any) -> Any:
        sin, cos, exp = torch.sin, torch.cos, torch.exp
        with (
            mock.patch.object(torch, "float32", SINGLE),
            mock.patch.object(torch.Tensor, "float", TO_SINGLE),
            mock.patch.object(torch, "exp", lambda x: TO_SINGLE(exp(x.double()))),
            mock.patch.object(torch, "sin", lambda x: sin(x.double())),
            mock.patch.object(torch, "cos", lambda x: cos(x.double())),
        ):
            return original(timesteps, embedding_dim, **settings)

    with mock.patch.object(embeddings, "get_timestep_embedding", features):
        yield
