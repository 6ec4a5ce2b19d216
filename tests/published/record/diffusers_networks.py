"""Records tiny random networks of diffusers, with settings drawn from a seed.

    python -m tests.published.record.diffusers_networks OUT --kind=unet2d --seed=0 --count=9
    python -m tests.published.record.diffusers_networks OUT --case=unet2d:1 --case=autoencoder_kl:4

Needs torch and diffusers, and nothing of this library; the result has the format of
tests/golden/README.md, so that `python -m tests.golden OUT` holds the library against it. All
arithmetic is in double precision, also where diffusers names single precision, and the parameters
are whole in half precision.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

torch.Tensor.float = torch.Tensor.double  # before diffusers writes it into its defaults
torch.float32 = torch.float64
torch.set_default_dtype(torch.float64)

import diffusers  # noqa: E402

from tests.published.record.diffusers_settings import DRAWN  # noqa: E402


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1, help="of each kind")
    parser.add_argument("--kind", action="append", choices=sorted(DRAWN), help="all if none")
    parser.add_argument("--case", action="append", help="KIND:SEED, in place of all these")
    options = parser.parse_args()
    folder = options.out / "diffusers"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(options.seed, options.seed + options.count)
    chosen = [(kind, seed) for kind in options.kind or sorted(DRAWN) for seed in seeds]
    if options.case:
        chosen = [(kind, int(seed)) for kind, seed in (each.split(":") for each in options.case)]
    cases = [record(folder, kind, seed) for kind, seed in chosen]
    about = {
        "repo": "huggingface/diffusers",
        "commit": f"PyPI diffusers=={diffusers.__version__}",
        "families": {case["family"]: {} for case in cases},
    }
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases)
    text = json.dumps(about | {"cases": []}, indent=1).removesuffix("[]\n}")
    (folder / "index.json").write_text(f"{text}[\n{lines}\n ]\n}}\n")


def record(folder: Path, kind: str, seed: int) -> dict:
    """Writes one case; returns its entry of the index."""
    generator = np.random.default_rng([seed, *kind.encode()])
    family, cls, kwargs, run = DRAWN[kind](generator)
    torch.manual_seed(seed)
    network = getattr(diffusers, cls)(**kwargs).double().eval()
    randomise(network, generator)
    arrays = {f"sd/{name}": value.numpy() for name, value in network.state_dict().items()}
    with torch.no_grad():
        arrays |= run(network, generator)
    arrays = {
        name: half(value) if name.startswith("sd/") else value for name, value in arrays.items()
    }
    name = f"{kind}_{seed}"
    np.savez_compressed(folder / f"{family}__{name}.npz", **arrays)
    return {
        "id": name,
        "family": family,
        "file": f"{family}__{name}.npz",
        "prefix": "",
        "kwargs": kwargs,
        "arrays": {key: [list(value.shape), str(value.dtype)] for key, value in arrays.items()},
    }


def randomise(network: torch.nn.Module, generator: np.random.Generator) -> None:
    """Draws all parameters anew, so that none is zero: exact in half precision."""
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        drawn = generator.standard_normal(value.shape)
        if name.endswith("running_var"):
            drawn = 1 + drawn**2
        elif value.ndim >= 2:
            drawn /= np.sqrt(max(np.prod(value.shape[1:]), 1))
        else:
            drawn = drawn * 0.1 + (name.endswith("weight") and value.ndim == 1)
        value.copy_(torch.from_numpy(drawn.astype(np.float16).astype(np.float64)))


def half(value: np.ndarray) -> np.ndarray:
    """The same numbers in half precision."""
    small = value.astype(np.float16)
    assert np.array_equal(small, value)
    return small


if __name__ == "__main__":
    main()
