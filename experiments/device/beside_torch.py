"""The training step beside PyTorch's with torch.compile: same network, same weights, in turn.

Each is a process of its own, and only one works at a time. Their first losses must agree, or
nothing is timed. Both draw noise and times anew in each step, on pictures that stay the same.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError
from experiments.device import inputs, memory
from experiments.device.problems import Problem, problem
from experiments.device.section import Figures
from experiments.device.timing import in_turn, ratio
from experiments.weights import save

ROOT = Path(__file__).parents[2]
TORCH, OURS = "torch.compile", "diffusion_jax"
BATCHES = {"dit_b2": 128, "dit_s2": 256, "dit_xl2": 32, "unet": 256}  # all variants fit at once
TOLERANCE = {"float32": 1e-2, "bfloat16": 3e-2}  # of the loss; TF32 has three digits
FUSED = "attention_implementation='cudnn'"


def measure(name: str, dtype: str, peers: str, small: bool) -> Figures:
    """Times all variants in turn.

    Args:
        name: of the problem.
        dtype: of the computation.
        peers: a Python that has PyTorch.
        small: the small form.

    Raises:
        UserError: PyTorch cannot be run there, or the losses differ.
    """
    import jax

    jax.config.update("jax_platforms", "cpu")  # the device is the workers'
    chosen = problem(name, small)
    batch = chosen.batch if small else BATCHES[name]
    return memory.fitting(
        batch, lambda batch: _with_batch(name, chosen, dtype, batch, peers, small)
    )


def _with_batch(
    name: str, chosen: Problem, dtype: str, batch: int, peers: str, small: bool
) -> Figures:
    variants = {
        TORCH: [peers, "-m", "experiments.device.torch_worker"],
        OURS: [sys.executable, "-m", "experiments.device.our_worker"],
    }
    settings: dict[str, list[str]] = {TORCH: [], OURS: []}
    if dtype == "bfloat16" and chosen.member == "dit" and not small:
        fused = f"{OURS}, fused attention"
        variants[fused], settings[fused] = variants[OURS], [FUSED]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        _prepare(Path(folder), name, chosen, dtype, batch, small)
        steps, losses, first, left_out = {}, {}, {}, {}
        for variant, words in variants.items():  # in turn: kernels are chosen by their time
            worker = stack.enter_context(_worker([*words, folder, *settings[variant]]))
            try:
                losses[variant] = float(_answer(variant, worker)["loss"])
                step = _steps(variant, worker)
                first[variant], steps[variant] = step(1), step
            except UserError as error:
                if variant in (TORCH, OURS) or memory.is_out_of_memory(error):
                    raise
                left_out[variant] = str(error)
        _check_losses(losses, TOLERANCE[dtype])
        timings = in_turn(list(steps.values()), small)
    found = dict(zip(steps, timings, strict=True))
    return {
        "means": chosen.means,
        "dtype": dtype,
        "batch": batch,
        "losses": losses,
        "variants": {
            variant: timing.figures() | {"first": first[variant]}
            for variant, timing in found.items()
        },
        "left_out": left_out,
        "times_faster": {
            variant: ratio(found[TORCH], timing)
            for variant, timing in found.items()
            if variant != TORCH
        },
    }


def _prepare(folder: Path, name: str, chosen: Problem, dtype: str, batch: int, small: bool) -> None:
    from diffusion_jax.networks import DiT
    from diffusion_jax.networks.score_network import build
    from experiments.device import library
    from experiments.device.problems import CLASSES

    network = build(chosen.spec(), chosen.text, num_classes=CLASSES)
    backbone: Any = network.backbone
    transformer = isinstance(backbone, DiT)
    facts = {
        "name": name,
        "small": small,
        "member": chosen.member,
        "shape": chosen.shape,
        "classes": chosen.classes,
        "dtype": dtype,
        "head_width": backbone.width // backbone.heads if transformer else backbone.head_width,
        "grid": [side // backbone.patch for side in chosen.shape[:2]] if transformer else None,
        "width": backbone.width if transformer else None,
    }
    (folder / "problem.json").write_text(json.dumps(facts))
    save(library.first_weights(network, chosen.shape), folder / "weights.npz")
    save(inputs.first_batch(chosen.shape, batch, chosen.classes), folder / "first.npz")


@contextlib.contextmanager
def _worker(words: list[str]) -> Iterator["subprocess.Popen[str]"]:
    grow = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # several share the device's memory
    worker = subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ | grow,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def _steps(variant: str, worker: "subprocess.Popen[str]") -> Callable[[int], float]:
    def work(count: int) -> float:
        assert worker.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(f"{count}\n")
            worker.stdin.flush()
        return float(_answer(variant, worker)["seconds"])

    return work


def _answer(variant: str, worker: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next answer of a worker."""
    assert worker.stdout is not None
    for line in worker.stdout:
        if not line.startswith("{"):
            continue
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(f"{variant}: {answer['error']}")
        return answer
    raise UserError(f"{variant} ended without an answer, with status {worker.wait()}.")


def _check_losses(losses: dict[str, float], tolerance: float) -> None:
    expected = losses[TORCH]
    for variant, loss in losses.items():
        if not abs(loss - expected) <= tolerance * abs(expected):
            both = f"{variant} has the loss {loss:.5g}, {TORCH} {expected:.5g}"
            raise UserError(f"{both}: no comparison.")
