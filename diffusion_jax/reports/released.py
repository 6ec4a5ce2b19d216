"""Ways of drawing from one released model, held against a run of many steps from the same noise."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from diffusion_jax.data.example import to_bytes
from diffusion_jax.errors import UserError
from diffusion_jax.published.model import ReleasedModel
from diffusion_jax.published.pipelines.base import Size
from diffusion_jax.reports import comparisons, provenance
from diffusion_jax.reports.content import Report, ReportArm, Samples
from diffusion_jax.reports.rows import (
    Comparison,
    Criterion,
    Measurement,
    ReportedSampling,
    ReportMetric,
)
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.heun import Heun
from diffusion_jax.statistics import many_to_one
from diffusion_jax.statistics.estimate import mean_of

SHOWN = 8  # pictures of each way
LATENT, PIXEL = "latent_distance", "pixel_distance"
METRICS = (
    ReportMetric(
        LATENT,
        "Distance to the reference, latents",
        "lower",
        explanation="root mean square over a sample of the difference to the reference's latents, "
        "from the same noise and prompt; mean over samples, with Student's interval",
    ),
    ReportMetric(
        PIXEL,
        "Distance to the reference, pixels",
        "lower",
        explanation="the same of decoded pictures from 0 to 255",
    ),
)


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to draw.

    Attributes:
        name: on the page.
        solver: number of steps -> what takes them.
        nodes: number of steps -> the levels.
        guidance: scale of classifier-free guidance; None is the original's.
        settings: what -> how, of what ways differ in.
    """

    name: str
    solver: Callable[[int], Solver]
    nodes: Callable[[int], Nodes]
    guidance: float | None
    settings: dict[str, str]

    def steps(self, evaluations: int) -> int:
        """The most steps that cost no more than so many evaluations of the network.

        Raises:
            UserError: not even one does.
        """
        for steps in range(evaluations, 0, -1):
            if self.solver(steps).evaluations(len(self.nodes(steps).time) - 1) <= evaluations:
                return steps
        raise UserError(f"{self.name}: {evaluations} evaluations are too few for a single step.")


def compare_ways(
    model: ReleasedModel,
    ways: Sequence[Way],
    prompts: Sequence[str],
    *,
    evaluations: Sequence[int] = (10, 20),
    reference_steps: int = 200,
    negative: str | None = None,
    size: Size | None = None,
    seed: int = 0,
    batch_size: int = 4,
) -> Report:
    """Compares ways to draw from a model at equal cost.

    Sample i starts from the same noise and has the same prompt in all ways, so that differences
    are paired. The reference of each guidance scale is Heun's method with many steps, which is
    where every deterministic way leads as its steps grow.

    Args:
        model: a released model.
        ways: the first is the baseline.
        prompts: one for each sample, two at least.
        evaluations: of the network for each sample, guidance apart, at which ways are compared.
        reference_steps: of the reference.
        negative: what guidance leads away from.
        size: height and width in pixels.
        seed: of the noise.
        batch_size: samples at once.

    Raises:
        UserError: fewer than two ways or prompts, two ways of one name, a way that draws noise on
            its way, or one that cannot take so few steps.
    """
    _check(ways, prompts)
    start = time.monotonic()
    drawing = _Drawing(
        model, tuple(prompts), negative, size or model.default_size, seed, batch_size
    )
    references = {way.guidance: drawing.reference(way, reference_steps) for way in ways}
    rows: list[Measurement] = []
    shown: dict[str, np.ndarray] = {}
    settings = [ReportedSampling("equal cost", 0, cost) for cost in evaluations]
    for sampling in settings:
        distances: dict[str, tuple[np.ndarray, ...]] = {}
        for way in ways:
            latents = drawing.drawn(way, way.steps(sampling.nfe))
            pictures = drawing.pictures(latents)
            target = references[way.guidance]
            distances[way.name] = (
                _distance(latents, target),
                _distance(pictures, drawing.pictures(target)),
            )
            shown[way.name] = pictures[:SHOWN]
        rows += _rows(distances, ways[0].name, sampling)
    judged = settings[-1]
    labels = tuple(prompts[:SHOWN])
    return Report(
        title="Which way of sampling comes closest at the same cost?",
        question=f"Ways to draw from {model.folder.name} ({model.kind}), held against "
        f"{reference_steps} steps of Heun's method from the same noise.",
        arms=tuple(ReportArm(way.name, way.settings) for way in ways),
        baseline=ways[0].name,
        seeds=(),
        budget="evaluations",
        metrics=METRICS,
        judged_by=Criterion(LATENT, judged),
        measurements=tuple(rows),
        comparisons=tuple(_over_samples(rows, ways[0].name)),
        protocol=_protocol(model, prompts, negative, evaluations, reference_steps, drawing.size),
        plan=(),
        provenance=provenance.provenance(time.monotonic() - start, seed),
        samples=Samples(judged, labels, shown),
        judged_sampling=judged,
    )


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """The same noise and prompts for all ways."""

    model: ReleasedModel
    prompts: tuple[str, ...]
    negative: str | None
    size: Size
    seed: int
    batch_size: int

    def drawn(self, way: Way, steps: int) -> np.ndarray:
        """Latents, (samples, height, width, channels)."""
        return self._all(way.solver(steps), way.nodes(steps), way.guidance)

    def reference(self, way: Way, steps: int) -> np.ndarray:
        """Latents of Heun's method on the way's own grid, with many steps."""
        return self._all(Heun(), way.nodes(steps), way.guidance)

    def _all(self, solver: Solver, nodes: Nodes, guidance: float | None) -> np.ndarray:
        parts = [
            self.model.sample(
                prompts,
                jax.random.fold_in(jax.random.key(self.seed), first),
                negative=self.negative,
                guidance=guidance,
                solver=solver,
                nodes=nodes,
                size=self.size,
                latents=True,
            )
            for first, prompts in self._batches()
        ]
        return np.concatenate([np.asarray(part) for part in parts])

    def pictures(self, latents: np.ndarray) -> np.ndarray:
        """What latents stand for, uint8."""
        parts = [
            np.asarray(self.model.decode(jnp.asarray(latents[i : i + self.batch_size])), np.float32)
            for i in range(0, len(latents), self.batch_size)
        ]
        return to_bytes(np.concatenate(parts))

    def _batches(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        for first in range(0, len(self.prompts), self.batch_size):
            yield first, self.prompts[first : first + self.batch_size]


def _distance(x: np.ndarray, target: np.ndarray) -> Float[np.ndarray, "samples"]:
    """Root mean square of the difference over each sample."""
    difference = x.astype(np.float64) - target.astype(np.float64)
    return np.sqrt(np.mean(difference.reshape(len(x), -1) ** 2, axis=1))


def _rows(
    distances: dict[str, tuple[np.ndarray, ...]], baseline: str, sampling: ReportedSampling
) -> Iterator[Measurement]:
    for name, found in distances.items():
        for metric, values, base in zip(METRICS, found, distances[baseline], strict=True):
            yield Measurement(
                *mean_of(values).parts,
                arm=name,
                seed=0,
                sampling=sampling,
                metric=metric.name,
                difference_error=None if name == baseline else mean_of(values - base).error,
            )


def _over_samples(rows: Sequence[Measurement], baseline: str) -> Iterator[Comparison]:
    """The comparisons, where samples of one model are all that there is to judge by."""
    for pair in comparisons.compare(rows, METRICS, baseline):
        if pair.verdict != many_to_one.ONE_SEED:
            yield pair
        elif not pair.difference.excludes_zero:
            yield dataclasses.replace(pair, verdict=many_to_one.OPEN)
        else:
            verdict = many_to_one.direction(pair.difference.value, "lower")
            yield dataclasses.replace(pair, verdict=verdict)


def _check(ways: Sequence[Way], prompts: Sequence[str]) -> None:
    names = [way.name for way in ways]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(f"Name two ways to compare, or more, each once, not {', '.join(names)}.")
    if len(prompts) < 2:
        raise UserError("Intervals need two prompts or more.")
    for way in ways:
        if way.solver(10).stochastic:
            raise UserError(
                f"{way.name} draws noise on its way, so that it has no reference to come close "
                "to: compare deterministic solvers."
            )


def _protocol(
    model: ReleasedModel,
    prompts: Sequence[str],
    negative: str | None,
    evaluations: Sequence[int],
    reference_steps: int,
    size: Size,
) -> dict[str, str]:
    height, width = size
    guided = model.pipeline.guidance != 1
    return {
        "Model": f"{model.folder.name}, {model.kind}, scheduler {model.scheduler.name}",
        "Samples": f"{len(prompts)} of {width}×{height}, one for each prompt; sample i starts from "
        "the same noise in every way",
        "Cost": f"{', '.join(map(str, evaluations))} evaluations of the denoiser for each sample"
        + ("; guidance asks the network twice for each" if guided else ""),
        "Reference": f"Heun's method, {reference_steps} steps on the way's own grid, for each "
        "guidance scale",
        **({"Negative prompt": negative} if negative else {}),
    }
