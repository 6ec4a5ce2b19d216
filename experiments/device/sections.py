"""All that is measured, in order of importance."""

import functools

from diffusion_jax.errors import UserError, nearest
from experiments.device import (
    arms,
    beside_torch,
    checks,
    facts,
    limits,
    sampling,
    start,
    train,
)
from experiments.device.problems import PROBLEMS
from experiments.device.section import Section

DEVICE = Section("device", "device and versions", 20, facts.measure)
CACHE = Section("cache", "first start against second", 60, functools.partial(start.measure, "unet"))
DTYPES = {"bf16": "bfloat16", "f32": "float32"}
SETTINGS = {"fused": "attention_implementation='cudnn'", "remat": "remat=True"}


def sections(peers: str) -> list[Section]:
    """The sections.

    Args:
        peers: a Python that has PyTorch.
    """
    beside = functools.partial(_beside, peers)
    return [
        DEVICE,
        Section("limits", "matrix products and copies", 30, limits.measure),
        # What the targets are about.
        _train("dit_b2", "bf16", 50),
        _train("dit_b2", "bf16", 50, "fused"),
        beside("dit_b2", "bf16", 150),
        _arms("mlp", "f32", 30),
        # The same of other networks.
        _train("dit_s2", "bf16", 40, "fused"),
        _train("unet", "bf16", 50),
        _train("dit_xl2", "bf16", 90, "fused"),
        _arms("dit_s2", "bf16", 70),
        _arms("unet", "bf16", 90),
        beside("unet", "bf16", 120),
        _sampling("dit_s2", "bf16", 60),
        _sampling("unet", "bf16", 90),
        CACHE,
        beside("dit_s2", "bf16", 90),
        beside("dit_xl2", "bf16", 200),
        # The same networks with other settings.
        _train("dit_b2", "bf16", 50, "remat"),
        _train("dit_b2", "bf16", 50, "fused", "remat"),
        _train("dit_b2", "f32", 50),
        _train("dit_xl2", "bf16", 90),
        _train("dit_xl2", "bf16", 90, "fused", "remat"),
        _train("unet", "bf16", 50, "remat"),
        _train("unet", "bf16", 50, "fused"),
        _train("unet", "f32", 50),
        Section("contracts", "tests of the library", 90, checks.contracts),
        Section("golden", "recorded cases of other libraries", 240, checks.golden),
        beside("dit_b2", "f32", 110),
        beside("unet", "f32", 120),
        _train("dit_s2", "bf16", 40),
        _train("dit_s2", "bf16", 40, "remat"),
        _train("dit_s2", "f32", 40),
        _train("dit_xl2", "f32", 90),
        _train("dit_xl2", "bf16", 90, "remat"),
        _train("dit_b2", "f32", 50, "remat"),
        _train("dit_s2", "f32", 40, "remat"),
        _train("dit_xl2", "f32", 90, "remat"),
        _train("unet", "f32", 50, "remat"),
        beside("dit_s2", "f32", 90),
    ]


def choose(found: list[Section], words: str) -> list[Section]:
    """The sections that a user names: each word a name, or else what names begin with.

    Args:
        found: all sections.
        words: separated by commas; "" for all.

    Raises:
        UserError: a word fits none.

    >>> [section.name for section in choose([DEVICE], "device")]
    ['device']
    """
    if not words:
        return found
    names, chosen = [section.name for section in found], set()
    for word in words.split(","):
        own = {word} & set(names) or {name for name in names if name.startswith(f"{word}_")}
        if not own:
            hint = nearest(word, names)
            raise UserError(f"No section is called {word!r}.{hint} --list shows all.")
        chosen |= own
    return [section for section in found if section.name in chosen]


def _train(name: str, dtype: str, seconds: float, *variants: str) -> Section:
    title = f"training step of {PROBLEMS[name].means}, {DTYPES[dtype]}"
    measure = functools.partial(
        train.measure, name, DTYPES[dtype], tuple(SETTINGS[variant] for variant in variants)
    )
    full = "_".join(["train", name, dtype, *variants])
    return Section(full, ", ".join([title, *variants]), seconds, measure)


def _beside(peers: str, name: str, dtype: str, seconds: float) -> Section:
    title = f"training step of {PROBLEMS[name].means} beside torch.compile, {DTYPES[dtype]}"
    measure = functools.partial(beside_torch.measure, name, DTYPES[dtype], peers)
    return Section(f"torch_{name}_{dtype}", title, seconds, measure)


def _arms(name: str, dtype: str, seconds: float) -> Section:
    title = f"{arms.ARMS} arms of {PROBLEMS[name].means} together and in turn, {DTYPES[dtype]}"
    measure = functools.partial(arms.measure, name, DTYPES[dtype])
    return Section(f"arms_{name}", title, seconds, measure)


def _sampling(name: str, dtype: str, seconds: float) -> Section:
    title = f"samples of {PROBLEMS[name].means} by solver, {DTYPES[dtype]}"
    measure = functools.partial(sampling.measure, name, DTYPES[dtype])
    return Section(f"sampling_{name}", title, seconds, measure)
