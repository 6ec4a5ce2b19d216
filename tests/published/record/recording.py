"""Records what small models of the original libraries give; `transformers` here has some."""

import argparse
import contextlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from diffusers.models import embeddings, normalization
from diffusers.models.transformers import transformer_prx
from torch import nn

Arrays = dict[str, Any]
Made = tuple[nn.Module, dict[str, Any], Arrays, Callable[..., Any]]
KINDS: dict[str, Callable[[random.Random], Made]] = {}


def kind(make: Callable[[random.Random], Made]) -> Callable[[random.Random], Made]:
    """Adds a maker of small models under its name."""
    KINDS[make.__name__] = make
    return make


def normal(*shape: int) -> torch.Tensor:
    """Standard normal numbers, float32."""
    return torch.randn(shape)


def mask(batch: int, length: int) -> torch.Tensor:
    """Which tokens are there: the first few of each row, at least one."""
    counts = torch.randint(1, length + 1, (batch, 1))
    return torch.arange(length)[None] < counts


def randomise(model: nn.Module) -> None:
    """Parameters that float16 holds exactly, none of which leaves a part without effect."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "pos_embed.pos_embed" not in name:
            scale = tensor.shape[-1] ** -0.5 if tensor.ndim > 1 else 0.1
            drawn = normal(*tensor.shape) * scale
            is_scale = name.endswith("weight") and tensor.ndim == 1
            tensor.copy_((drawn + 1 if is_scale else drawn).half())


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Lets the original take in double what it always takes in float32, but for angles."""

    def sines(module: Any) -> Any:
        original = module.get_timestep_embedding

        def wide(timesteps: torch.Tensor, embedding_dim: int, **settings: Any) -> torch.Tensor:
            sin, cos, exp = torch.sin, torch.cos, torch.exp
            with (
                # Rounded to float32 as the original's is meant to be, whatever the processor.
                mock.patch.object(torch, "exp", lambda x: exp(x.double()).float()),
                mock.patch.object(torch, "sin", lambda x: sin(x.double())),
                mock.patch.object(torch, "cos", lambda x: cos(x.double())),
            ):
                return original(timesteps, embedding_dim, **settings)

        return mock.patch.object(module, "get_timestep_embedding", wide)

    def norm(self: Any, x: torch.Tensor) -> torch.Tensor:
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return x if self.weight is None else x * self.weight

    with contextlib.ExitStack() as stack:
        for module in (embeddings, transformer_prx):
            stack.enter_context(sines(module))
        stack.enter_context(mock.patch.object(normalization.RMSNorm, "forward", norm))
        # Rotations, which are taken of `x.float()`.
        stack.enter_context(mock.patch.object(torch.Tensor, "float", _only_whole))
        yield


def _only_whole(tensor: torch.Tensor) -> torch.Tensor:
    """Double for queries and keys, which are rotated, and float32 for all else."""
    return (
        tensor if tensor.dtype == torch.float64 and tensor.ndim == 4 else tensor.to(torch.float32)
    )


def record(name: str, seed: int) -> Arrays:
    """A small model of a kind: its settings, its tensors, what goes in and what comes out."""
    torch.manual_seed(seed)
    model, settings, given, call = KINDS[name](random.Random(seed))
    with torch.no_grad():
        model.eval()
        randomise(model)
        found: Arrays = {f"sd/{key}": value for key, value in model.state_dict().items()}
        found = {key: _smallest(value) for key, value in found.items()}
        found |= {f"in/{key}": value.numpy() for key, value in given.items()}
        found["out_f32"] = call(model, **given).numpy()
        wide = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
        found["out_unpatched"] = call(model.double(), **wide).numpy()
        with in_double():
            found["out_f64"] = call(model, **wide).numpy()
    found["config"] = np.array(json.dumps(settings))
    return found


def _smallest(tensor: torch.Tensor) -> np.ndarray:
    """As float16 where that is exact."""
    half = tensor.half()
    return (half if torch.equal(half.to(tensor.dtype), tensor) else tensor).numpy()


def main(about: str | None) -> None:
    """Writes NAME_SEED.npz for each kind into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, nargs="*", default=[0])
    parser.add_argument("--only", nargs="*", default=sorted(KINDS))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        for seed in given.seed:
            np.savez_compressed(given.folder / f"{name}_{seed}.npz", **record(name, seed))
