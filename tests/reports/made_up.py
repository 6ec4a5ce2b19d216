"""A report of one training seed with made-up data in it: plausible, with any number of arms."""

import numpy as np

from diffusion_jax.data.example import to_bytes
from diffusion_jax.inference.trajectory import Trajectory, visible
from diffusion_jax.reports.comparisons import adjusted, compare
from diffusion_jax.reports.content import (
    BinLoss,
    Provenance,
    RealPictures,
    Report,
    ReportArm,
    Samples,
    ScheduleCurve,
)
from diffusion_jax.reports.rows import (
    Comparison,
    Criterion,
    Measurement,
    ReportedSampling,
    ReportMetric,
)
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.many_to_one import OPEN
from diffusion_jax.sweeps.outcomes import Curve

COLOURS = {"red": (230, 60, 50), "green": (50, 180, 90), "blue": (60, 110, 230)}
CAPTIONS = tuple(
    f"a {size} {colour} circle at the {place}"
    for size in ("small", "large")
    for colour in COLOURS
    for place in ("top left", "centre")
)
SETTINGS = tuple(
    ReportedSampling(solver, steps, steps * per_step)
    for solver, per_step in (("ddim", 1), ("heun", 2), ("dpm++2m", 1))
    for steps in (4, 8, 16, 32)
)
JUDGED = ReportedSampling("heun", 16, 32)
EDGES = np.linspace(-4.0, 4.0, 5)
RATE = ReportMetric(
    "exact_match", "Exact match", "higher", "%", "500 captions.", Estimate(0.972, 0.955, 0.984)
)
DISTANCE = ReportMetric(
    "kernel", "Kernel distance", "lower", "", "Pixels.", Estimate(0.0041, 0.0032, 0.005)
)
LEVELS = np.linspace(-12.0, 12.0, 121)
NAMES = ("linear", "cosine", "flow", "edm", "sigmoid", "ve", "shift-1", "shift-2", "vp", "wide")


def report(arms: int = 3, channels: int = 3, checker: bool = True, real: bool = True) -> Report:
    """A whole report; without checker there are no rates, only distances."""
    rng = np.random.default_rng(0)
    names = NAMES[:arms]
    metrics = (RATE, DISTANCE) if checker else (DISTANCE,)
    rows = tuple(
        _row(i, name, setting, metric.name)
        for i, name in enumerate(names)
        for setting in SETTINGS
        for metric in metrics
    )
    return Report(
        title="Which noise schedule paints better?",
        question="Arms differ in their noise schedule alone. Data: coloured shapes, 16×16.",
        protocol={
            "Data": "shapes, one object, 16×16, 30 of 150 captions held out",
            "Network": "unet(channels=(32, 64), blocks=2), 0.84 M parameters",
            "Training": "2,000 steps of 32 pictures, Adam 1e-3, EMA 0.999, seed 0",
            "Sampling": "500 held-out captions, guidance 2, same noise in every arm",
        },
        arms=tuple(_arm(i, name, channels, rng) for i, name in enumerate(names)),
        baseline=names[0],
        seeds=(0,),
        budget="steps",
        metrics=metrics,
        judged_by=Criterion(metrics[0].name, JUDGED),
        measurements=rows,
        comparisons=compare(rows, metrics, names[0]),
        plan=(),
        log_snr_axis=LEVELS,
        bin_edges=EDGES,
        bin_losses=tuple(
            BinLoss(name, 0, np.full(4, 0.5 + i / 20), np.full(4, 0.02))
            for i, name in enumerate(names)
        ),
        samples=_samples(names, channels, checker, rng),
        real=RealPictures(drawings(channels, rng), CAPTIONS) if real else None,
        tests=adjusted(
            [
                _test(i, names, setting, metrics[0].name, checker)
                for setting in SETTINGS
                if setting.steps >= 16
                for i in range(1, arms)
            ],
            metrics,
        ),
        judged_sampling=JUDGED,
        provenance=Provenance(
            "python -m experiments.compare --config=configs/quickstart.py",
            "seed: 0\ndata: shapes(level='one', size=16)\n",
            {"Revision": "5e8b086", "Hardware": "2 CPU cores (x86_64)", "Duration": "7 min 11 s"},
        ),
    )


def drawings(channels: int, rng: np.random.Generator) -> np.ndarray:
    """A circle for each caption, uint8 (N, 16, 16, C)."""
    rows, columns = np.mgrid[:16, :16]
    out = np.full((len(CAPTIONS), 16, 16, 3), 245, np.uint8)
    for picture, caption in zip(out, CAPTIONS, strict=True):
        radius = 5 if "large" in caption else 3
        centre = 5 if "top left" in caption else 8
        inside = (rows - centre) ** 2 + (columns - centre) ** 2 <= radius**2
        picture[inside] = COLOURS[caption.split()[2]]
    noisy = np.clip(out + rng.normal(0, 6, out.shape), 0, 255).astype(np.uint8)
    return noisy if channels == 3 else noisy.mean(-1, keepdims=True).astype(np.uint8)


def _arm(index: int, name: str, channels: int, rng: np.random.Generator) -> ReportArm:
    time = np.linspace(0, 1, 101)
    log_snr = 2 * np.log(1 / np.tan(np.pi / 2 * np.clip(time, 1e-4, 1 - 1e-4))) - index / 2
    log_snr[0] = np.inf
    density = np.exp(-(((LEVELS - index / 2 + 1) / (3 + index / 3)) ** 2) / 2) / 8
    step = np.arange(0, 2000, 10)
    loss = (1 + index / 5) * (0.05 + 1 / (1 + step / 60)) * np.exp(rng.normal(0, 0.15, len(step)))
    return ReportArm(
        name,
        {"schedule": name, "prediction": "v" if index % 2 else "epsilon"},
        schedule=ScheduleCurve(time, log_snr, density, density / (1 + np.exp(LEVELS / 2))),
        steps=2000,
        losses=Curve(step, loss),
        trajectory=_trajectory(channels, rng),
    )


def _trajectory(channels: int, rng: np.random.Generator) -> Trajectory:
    x0 = drawings(channels, rng)[:6] / 127.5 - 1
    log_snr = np.linspace(-8, 8, 17)
    eps = rng.normal(size=x0.shape)
    alpha, sigma = (np.sqrt(1 / (1 + np.exp(s * log_snr))) for s in (-1, 1))
    noisy = [to_bytes(visible(a * x0 + s * eps, a, s)) for a, s in zip(alpha, sigma, strict=True)]
    mean = x0.mean(0)
    denoised = [to_bytes(a * x0 + (1 - a) * mean) for a in alpha]
    return Trajectory(log_snr, np.stack(noisy), np.stack(denoised))


def _row(index: int, name: str, sampling: ReportedSampling, metric: str) -> Measurement:
    rate = 0.86 - 0.04 * abs(index - 1.2) - 1.2 / sampling.nfe
    distance = 0.008 + 0.003 * abs(index - 1.3) + 0.2 / sampling.nfe**1.5
    found = {
        "exact_match": Estimate(rate, rate - 0.033, rate + 0.029, 500, 0.016),
        "kernel": Estimate(distance, distance * 0.9, distance * 1.12, 500, distance / 20),
    }[metric]
    gap = (found.error or 0) / 2 if index else None
    where = {"arm": name, "seed": 0, "sampling": sampling, "metric": metric}
    return Measurement(*found.parts, **where, difference_error=gap)


def _test(
    index: int, names: tuple[str, ...], setting: ReportedSampling, metric: str, checker: bool
) -> Comparison:
    by = {True: 0.05 - 0.052 * (index - 1), False: -0.003 + 0.003 * (index - 1)}[checker]
    half = 0.03 if checker else 0.002
    return Comparison(
        arm=names[index],
        against=names[0],
        sampling=setting,
        metric=metric,
        mean=Estimate(0.8 + by),
        baseline=Estimate(0.8),
        difference=Estimate(by, by - half, by + half, 500),
        p_value=0.001 if abs(by) > half else 0.4,
        p_adjusted=None,
        verdict=OPEN,
    )


def _samples(
    names: tuple[str, ...], channels: int, checker: bool, rng: np.random.Generator
) -> Samples:
    shown = {name: drawings(channels, rng) for name in names}
    right = {
        name: {
            attribute: rng.random(len(CAPTIONS)) < rate
            for attribute, rate in (("colour", 0.97), ("shape", 0.8), ("place", 0.95))
        }
        for name in names
    }
    return Samples(JUDGED, CAPTIONS, shown, right if checker else {})
