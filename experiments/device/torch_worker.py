"""PyTorch's training step in a process of its own; needs no JAX.

    python -m experiments.device.torch_worker FOLDER

FOLDER has weights.npz, first.npz and problem.json. Answers in lines of JSON: the loss of the first
batch before any update, then for each number on standard input the seconds of so many steps.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.device.inputs import DECAY, LEARNING_RATE, SIGMA_DATA
from experiments.weights import load

if TYPE_CHECKING:
    from torch import Tensor


def main(folder: str) -> None:
    """Answers every line until standard input ends."""
    try:
        first, step = training(Path(folder))
        print(json.dumps({"loss": first}), flush=True)
        for line in sys.stdin:
            print(json.dumps({"seconds": step(int(line))}), flush=True)
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed for {sys.executable}"
        print(json.dumps({"error": missing}), flush=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps({"error": reason}), flush=True)


def training(folder: Path) -> tuple[float, Callable[[int], float]]:
    """The loss of the first batch, and what makes so many steps and tells their seconds."""
    import torch

    from experiments.peers.torch_networks import forward, parameters, positions

    problem = json.loads((folder / "problem.json").read_text())
    cuda = torch.cuda.is_available()
    if not cuda and not problem["small"]:
        raise RuntimeError("this PyTorch sees no CUDA device")
    device = torch.device("cuda" if cuda else "cpu")
    torch.set_float32_matmul_precision("high")  # TF32, as JAX has it
    weights = {name: w.to(device) for name, w in parameters(load(folder / "weights.npz")).items()}
    weights = {name: _channels_last(w).requires_grad_() for name, w in weights.items()}
    leaves = list(weights.values())
    if problem["grid"]:
        weights["positions"] = positions(*problem["grid"], problem["width"]).to(device)
    given = {name: torch.from_numpy(x).to(device) for name, x in load(folder / "first.npz").items()}
    pictures, noise = (
        _channels_last(given[name].permute(0, 3, 1, 2)) for name in ("pictures", "noise")
    )
    classes = {}
    if problem["classes"]:
        label = given["label"].long()
        classes = {"classes": torch.where(label < 0, problem["classes"], label)}
    network = forward(problem["member"], head_width=problem["head_width"])

    def loss_of(x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        wide = t[:, None, None, None]
        scale = (wide**2 + ((1 - wide) * SIGMA_DATA) ** 2).rsqrt()
        x = scale * ((1 - wide) * x0 + wide * eps)
        with torch.autocast(device.type, torch.bfloat16, enabled=problem["dtype"] == "bfloat16"):
            prediction = network(weights, x, (t / (1 - t)).log() / 4, **classes)
        return (prediction.float() - (eps - x0)).square().mean()

    compiled = torch.compile(loss_of, backend="inductor" if cuda else "eager")
    optimizer = torch.optim.Adam(leaves, lr=LEARNING_RATE, fused=True)
    average = [leaf.detach().clone() for leaf in leaves]
    updates = 0

    def step() -> None:
        nonlocal updates
        t = torch.rand(len(pictures), device=device).clamp(1e-4, 1 - 1e-4)
        optimizer.zero_grad()
        compiled(pictures, torch.randn_like(pictures), t).backward()
        optimizer.step()
        updates += 1
        with torch.no_grad():
            torch._foreach_lerp_(average, leaves, (1 - DECAY) / (1 - DECAY**updates))

    def steps(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return float(compiled(pictures, noise, given["time"]).detach()), steps


def _channels_last(x: "Tensor") -> "Tensor":
    """Pictures and their kernels with channels last in memory, as GPUs are fastest with."""
    import torch

    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()


if __name__ == "__main__":
    main(*sys.argv[1:])
