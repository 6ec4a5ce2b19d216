"""A sweep with made-up numbers in it: plausible to look at, any number of arms."""

import itertools

import numpy as np

from diffusion_jax.reports.comparisons import compare
from diffusion_jax.reports.content import (
    BinLoss,
    LearningCurve,
    Provenance,
    RealPictures,
    Report,
    ReportArm,
    Samples,
    ScheduleCurve,
)
from diffusion_jax.reports.rows import Criterion, Measurement, ReportedSampling, ReportMetric
from tests.reports import made_up

SCHEDULES = ("cosine", "edm", "rectified_flow(shift=0.5)", "sigmoid", "laplace", "vp_linear")
WEIGHTINGS = ("elbo", "min_snr(gamma=5.0)", "simple", "sigmoid(bias=-2.0)", "edm")
RATES = ("0.0003", "0.001")
SAMPLINGS = tuple(
    ReportedSampling(solver, steps, steps * cost - cost + 1)
    for solver, cost in (("ddim", 1), ("heun", 2), ("dpmpp_2m", 1))
    for steps in (4, 8, 16)
)
METRICS = (
    ReportMetric(
        "distance", "Kernel distance", "lower", "", "512 samples, 512 test pictures, pixels."
    ),
    ReportMetric("rate", "Exact match", "higher", "%", "512 captions, the checker of shapes."),
    ReportMetric("bits", "Bits per dimension", "lower", "bits", "ELBO on 1,024 test pictures."),
)
CRITERION = Criterion("distance", SAMPLINGS[-1])
LEVELS = np.linspace(-12.0, 12.0, 241)
EDGES = np.linspace(-10.0, 10.0, 11)
STEPS = np.arange(0, 3001, 100)[1:]


def settings(arms: int) -> list[dict[str, str]]:
    """Of the first so many arms; a few differ in their schedule alone."""
    if arms <= len(SCHEDULES):
        return [{"schedule": schedule} for schedule in SCHEDULES[:arms]]
    every = itertools.product(RATES, WEIGHTINGS, SCHEDULES)
    named = [{"schedule": s, "weighting": w, "learning_rate": r} for r, w, s in every]
    return named[:arms]


def report(arms: int = 3, seeds: int = 3, pictures: bool = True) -> Report:
    """A whole report. Of many arms the last diverges in every seed, and the one before is lost."""
    rng = np.random.default_rng(0)
    made = [_arm(i, found, rng) for i, found in enumerate(settings(arms))]
    if arms > 6:
        made[-1] = _with_status(made[-1], "diverged at step 312")
        made[-2] = _with_status(made[-2], "failed: out of memory")
    measurements = tuple(_measurements(made, seeds, rng))
    names = [arm.name for arm in made]
    return Report(
        title="Which schedule, at the same compute?",
        question=f"Arms differ in their {' and '.join(made[0].settings)}. Data: shapes, 16×16.",
        arms=tuple(made),
        baseline=names[0],
        seeds=tuple(range(seeds)),
        budget="images",
        metrics=METRICS,
        judged_by=CRITERION,
        measurements=measurements,
        comparisons=compare(measurements, METRICS, names[0]),
        protocol={
            "Data": "shapes, one object, 16×16, 30 of 150 captions held out",
            "Network": "unet(channels=(32, 64), blocks=2), 0.84 M parameters",
            "Budget": "96,000 pictures each, 3,000 steps of 32",
            "Seeds": f"{seeds}, the same for every arm: pictures, noise and uniform times",
            "Samples": "of training seed 0",
        },
        plan=(f"Group A: {arms} arms together, one program, 61 s a seed.", "Device: 2 CPU cores."),
        provenance=Provenance(
            "python -m experiments.compare --config=configs/quickstart.py --sweep=x.py",
            "seed: 0\n",
            {"Revision": "5e8b086", "Hardware": "2 CPU cores (x86_64)", "Duration": "7 min 11 s"},
        ),
        log_snr_axis=LEVELS,
        bin_edges=EDGES,
        bin_losses=tuple(_bin_losses(made, seeds, rng)),
        curves=tuple(_curves(made, seeds, rng)),
        curve_label="held-out loss (v, unweighted)",
        samples=_samples(names, rng) if pictures else None,
        real=RealPictures(made_up.drawings(3, rng), made_up.CAPTIONS) if pictures else None,
    )


def _arm(index: int, found: dict[str, str], rng: np.random.Generator) -> ReportArm:
    time = np.linspace(0, 1, 101)
    shift = index % 6 - 2.5
    log_snr = 2 * np.log(1 / np.tan(np.pi / 2 * np.clip(time, 1e-4, 1 - 1e-4))) - shift
    log_snr[0] = np.inf
    density = np.exp(-(((LEVELS - shift) / (2.5 + shift / 3)) ** 2) / 2) / 8
    weight = density / (1 + np.exp(LEVELS * (index // 6 % 5) / 6))
    return ReportArm(
        " ".join(value.split("(")[0] for value in found.values()),
        found,
        parameters=840_000,
        flops_per_step=4.1e9 * (1 + index % 3),
        seconds_per_step=0.02 * (1 + index % 3) * rng.uniform(0.95, 1.05),
        images=96_000,
        steps=3000,
        group="A",
        execution="together",
        schedule=ScheduleCurve(time, log_snr, density, weight),
    )


def _with_status(arm: ReportArm, status: str) -> ReportArm:
    return ReportArm(arm.name, arm.settings, status, group="A", execution="together")


def _measurements(arms: list[ReportArm], seeds: int, rng: np.random.Generator) -> list[Measurement]:
    found = []
    of_seed = rng.normal(size=seeds)
    for index, arm in enumerate(arms):
        if arm.status.startswith("failed"):
            continue
        quality = 1 + 0.06 * abs(index % 6 - 1.3) + 0.015 * (index // 6 % 5)
        for metric in METRICS:
            for sampling in (None,) if metric.name == "bits" else SAMPLINGS:
                cost = 1.0 if sampling is None else 1 + 3 / sampling.nfe**1.3
                for seed in range(seeds):
                    value = 0.03 * quality * cost * np.exp(0.1 * of_seed[seed])
                    value *= np.exp(rng.normal(0, 0.012))
                    value = {"distance": value, "rate": 1 - 3 * value, "bits": 3 + value}[
                        metric.name
                    ]
                    value = np.nan if arm.status.startswith("diverged") else float(value)
                    error = 0.0002 if metric.name != "bits" else None
                    found.append(
                        Measurement(
                            value,
                            count=512,
                            error=error,
                            arm=arm.name,
                            seed=seed,
                            sampling=sampling,
                            metric=metric.name,
                            difference_error=error if index else None,
                        )
                    )
    return found


def _bin_losses(arms: list[ReportArm], seeds: int, rng: np.random.Generator) -> list[BinLoss]:
    centres = (EDGES[:-1] + EDGES[1:]) / 2
    return [
        BinLoss(
            arm.name,
            seed,
            (0.03 + 1 / (1 + np.exp(-(centres - index % 6 + 2) / 2)))
            * np.exp(rng.normal(0, 0.02, len(centres))),
        )
        for index, arm in enumerate(arms)
        if arm.status == "done"
        for seed in range(seeds)
    ]


def _curves(arms: list[ReportArm], seeds: int, rng: np.random.Generator) -> list[LearningCurve]:
    found = []
    for index, arm in enumerate(arms):
        for seed in range(seeds if arm.status != "failed: out of memory" else 0):
            loss = (0.04 + 0.002 * (index % 7)) * (1 + 300 / STEPS)
            loss = loss * np.exp(rng.normal(0, 0.02, len(STEPS)))
            if arm.status != "done":
                loss = np.where(STEPS > 312, np.nan, loss * 4)
            flops = STEPS * (arm.flops_per_step or 4.1e9)
            seconds = STEPS * (arm.seconds_per_step or 0.02)
            found.append(LearningCurve(arm.name, seed, STEPS, STEPS * 32, flops, seconds, loss))
    return found


def _samples(names: list[str], rng: np.random.Generator) -> Samples:
    shown = {name: made_up.drawings(3, rng) for name in names}
    right = {
        name: {"colour": rng.random(12) < 0.97, "shape": rng.random(12) < 0.8} for name in names
    }
    setting = CRITERION.sampling
    assert setting is not None
    return Samples(setting, made_up.CAPTIONS, shown, right)
