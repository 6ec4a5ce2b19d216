"""Samples of every arm, solver and step count of a config, on the same captions and noise."""

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values, caption_of, to_values, values_of
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.inference.conditions import on_device
from diffusion_jax.inference.generate import (
    Path,
    Sampler,
    check_attention,
    finite_rows,
    generate,
)
from diffusion_jax.inference.restoration import Restoration
from diffusion_jax.metrics import Metric, metrics
from diffusion_jax.metrics.real import captioned_pictures
from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.runs.fields import check_fields
from diffusion_jax.runs.kept import kept_steps
from diffusion_jax.runs.progress import Progress
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.sampling.checks import check_solver, check_start, check_variance
from diffusion_jax.sampling.grids import Grid, Nodes, grids, make, rises
from diffusion_jax.sampling.guidance import Guidance, guidance
from diffusion_jax.sampling.inverse import Posterior
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.thresholds import Threshold, thresholds
from diffusion_jax.training.arms import arm_settings
from diffusion_jax.training.autoencoding import check_samples
from diffusion_jax.training.own_data import shown
from diffusion_jax.training.trained import TrainedArm, sound

# Offset of the sampling seed, so that no sample starts from a noise that training has used.
SAMPLING = 1_000_003
LARGEST = 1_000_000  # samples, or steps, that fit into memory
# Metrics that search all training pictures, so they are taken only where arms are judged.
COSTLY = ("neighbour_ratio", "copies")
TRACED_VECTORS = 500
TRACED = 6  # samples of each arm and sampling that are followed from noise to picture


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How samples are drawn: a solver's spec and a number of steps.

    Attributes:
        solver: its spec.
        steps: of the grid.
    """

    solver: str
    steps: int


@dataclasses.dataclass(frozen=True)
class SamplingPlan:
    """All that sampling depends on, made from a config and checked before anything is trained.

    Attributes:
        solvers: spec -> solver.
        steps: step counts, rising.
        grid: where the steps are.
        guidance: towards the caption.
        threshold: of the guided estimates.
        count: samples per arm and sampling.
        judged_count: samples per arm with the sampling that arms are judged by, at least `count`.
        batch_size: samples drawn at once.
        seed: of the noise.
        metrics: spec -> a measure of the quality of the samples that arms are judged by.
        restoration: what samples are to agree with, or None.
    """

    solvers: Mapping[str, Solver]
    steps: tuple[int, ...]
    grid: Grid
    guidance: Guidance
    threshold: Threshold
    count: int
    judged_count: int
    batch_size: int
    seed: int
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)
    restoration: Restoration | None = None

    @staticmethod
    def make(config: ConfigDict, shape: tuple[int, ...] | None = None) -> "SamplingPlan":
        """Reads `config.sampling`.

        Args:
            config: of the run.
            shape: of a picture; without it, samples are drawn freely.

        Raises:
            UserError: a spec is wrong, a number too small, a list empty, a guide that the run
                will not have, or a posterior that does not go with a solver.
        """
        check_fields(config)
        options = config.sampling
        for field in ("solvers", "steps"):
            if not options[field]:
                raise UserError(f"sampling.{field} is empty: name at least one.")
        for field in ("count", "judged_count", "batch_size"):
            _check_number(field, options[field])
        for steps in options.steps:
            _check_number("steps", steps)
        guide = guidance.make(options.guidance)
        _check_guide(guide, config)
        takers = {spec: solvers.make(spec) for spec in options.solvers}
        _check_memory(guide, takers)
        restoration = Restoration.make(config, shape) if shape else None
        if restoration:
            restoration.check(takers.values())
        return SamplingPlan(
            takers,
            tuple(sorted(set(options.steps))),
            grids.make(options.grid),
            guide,
            thresholds.make(options.threshold),
            options.count,
            max(options.count, options.judged_count),
            options.batch_size,
            config.seed + SAMPLING,
            {spec: metrics.make(spec) for spec in options.metrics},
            restoration,
        )

    @property
    def samplings(self) -> tuple[Sampling, ...]:
        """Every solver with every step count."""
        return tuple(Sampling(solver, steps) for solver in self.solvers for steps in self.steps)

    @property
    def judged_by(self) -> Sampling:
        """The sampling that arms are judged by: the first solver with the most steps."""
        return Sampling(next(iter(self.solvers)), self.steps[-1])

    def evaluations(self, sampling: Sampling) -> int:
        """Denoiser evaluations per sample (NFE), each of `guidance.passes` network passes.

        The most that there may be, if the solver is adaptive.
        """
        steps = sampling.steps - rises(self.grid)
        if self.restoration:  # a posterior may go back, which costs nothing, and come again
            steps = self.restoration.steps(steps)
        return self.solvers[sampling.solver].evaluations(steps)

    def samples(self, sampling: Sampling) -> int:
        """Number of samples that are drawn so."""
        return self.judged_count if sampling == self.judged_by else self.count

    def metrics_of(self, sampling: Sampling) -> dict[str, Metric]:
        """What its samples are measured by: spec -> metric."""
        judged = sampling == self.judged_by
        return {n: m for n, m in self.metrics.items() if judged or n.split("(")[0] not in COSTLY}

    def nodes(self, schedule: Schedule, steps: int) -> Nodes:
        """The grid, padded to the longest of all, so that all share a compiled program."""
        return make(self.grid, schedule, steps).pad(self.steps[-1])

    def check(self, objectives: Mapping[str, Objective]) -> None:
        """Raises UserError if the grid, a solver or an arm's prediction cannot serve the others."""
        for name, objective in objectives.items():
            check_samples(name, objective)
        for solver in self.solvers.values():
            check_solver(solver)
        guide = objectives.get(self.guidance.guided_by[0]) if self.guidance.guided_by else None
        for objective in objectives.values():
            # The fewest steps may be too few for a grid, the most too many.
            self.nodes(objective.schedule, self.steps[0])
            nodes = self.nodes(objective.schedule, self.steps[-1])
            for solver in self.solvers.values():
                check_variance(solver, objective.loss_function.variance)
                for each in (objective, guide or objective):
                    check_start(nodes, solver, each.prediction)

    def check_networks(self, networks: Mapping[str, AnyNetwork], facts: DataFacts) -> None:
        """Raises UserError if guidance needs what the network of an arm does not have."""
        for network in networks.values():
            check_attention(self.guidance, network)

    def sampler(
        self,
        arm: TrainedArm,
        sampling: Sampling,
        shape: tuple[int, ...],
        guide: TrainedArm | None = None,
        given: Posterior | None = None,
    ) -> Sampler:
        """What draws samples of an arm, maybe with a guide, maybe given an observation."""
        return Sampler(
            arm.arm.network,
            self.solvers[sampling.solver],
            self.guidance,
            shape,
            arm.objective.sigma_data,
            self.threshold,
            guide.network_denoiser if guide else None,
            given,
            arm.objective.preconditioning,
        )


def _check_guide(guide: Guidance, config: ConfigDict) -> None:
    """Raises UserError if guidance names a guide that this run will not have."""
    if guide.guided_by is None:
        return
    arm, step = guide.guided_by
    if not arm and step is None:
        raise UserError(
            f"sampling.guidance {config.sampling.guidance!r} needs a guide: another arm "
            "(arm=NAME), or an earlier checkpoint (step=NUMBER)."
        )
    if arm:
        one_of(arm, arm_settings(config), "arm of sampling.guidance")
    kept_steps(config)


def _check_memory(guide: Guidance, takers: Mapping[str, Solver]) -> None:
    """Raises UserError if guidance remembers evaluations, and a solver may reject some."""
    for spec, solver in takers.items():
        if guide.remembers and solver.adaptive:
            raise UserError(
                f"guidance {type(guide).__name__} remembers earlier evaluations, of which solver "
                f"{spec!r} rejects some: use another solver, or momentum=0.0."
            )


def _check_number(field: str, value: int) -> None:
    if not 1 <= value <= LARGEST:
        raise UserError(f"sampling.{field} must be at least 1, at most {LARGEST:,}, got {value}.")


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Samples of one arm with one solver and step count, and what the data's checker finds right.

    Attributes:
        arm: its name.
        sampling: solver and step count.
        captions: what was asked for, n.
        pictures: as data sets keep them; grey, or zero, in the place of one that is not finite.
        finite: (n,) which samples are. Unless all are, nothing may be measured of them.
        right: attribute -> (n,) whether it is as the caption says, with "all"; empty where the
            data set has no checker, or some samples are not finite.
        path: from noise to the first samples, see `traced`.
        evaluations: of the denoiser per sample; of an adaptive solver, their mean.
        truth: the pictures that samples restore, or None where they are drawn freely.
    """

    arm: str
    sampling: Sampling
    captions: tuple[str, ...]
    pictures: Values
    finite: Bool[np.ndarray, " n"]
    right: Mapping[str, Bool[np.ndarray, " n"]]
    path: Path
    evaluations: float
    truth: Values | None = None

    @property
    def lost(self) -> int:
        """How many samples are not finite."""
        return int((~self.finite).sum())


def traced(shape: tuple[int, ...], count: int) -> int:
    """How many of the samples are followed: few pictures, or more vectors, of one plot."""
    return TRACED if len(shape) == 3 else min(count, TRACED_VECTORS)


def measure(
    plan: SamplingPlan,
    arms: Mapping[str, TrainedArm],
    data: Dataset,
    progress: Progress,
    guides: Mapping[str, TrainedArm] = MappingProxyType({}),
) -> Iterator[Drawn]:
    """Draws every sampling of every arm: sample i has the same caption and noise in all of them.

    Arms that diverged are left out.

    Args:
        plan: what to draw.
        arms: by name.
        data: gives captions (see `captioned_pictures`), maybe a checker, and maybe a decoder.
        progress: shows how far it is.
        guides: arm -> the network that guides it, for guidance that needs one.
    """
    arms = sound(arms)
    examples = captioned_pictures(data, plan.judged_count)
    condition = on_device(shown([arm.arm.network for arm in arms.values()], data, examples))
    asked = [caption_of(example) for example in examples]
    truth = values_of(examples)
    given = plan.restoration.given(truth, plan.seed) if plan.restoration else None
    work = [(sampling, name) for sampling in plan.samplings for name in arms]
    with progress.phase(
        "Sampling", sum(_work(plan, sampling) for sampling, _ in work), unit="nfe"
    ) as done:
        for sampling, name in work:
            count, arm = plan.samples(sampling), arms[name]
            captions = tuple(asked[:count])
            samples, path = generate(
                plan.sampler(arm, sampling, truth.shape[1:], guides.get(name), given),
                arm.params,
                arm.objective.prediction,
                plan.nodes(arm.objective.schedule, sampling.steps),
                {key: rows[:count] for key, rows in condition.items()},
                count,
                plan.seed,
                min(plan.batch_size, plan.count),
                traced(data.shape, count),
            )
            finite = finite_rows(samples)
            pictures = _with_gaps(samples, finite, data)
            right = data.check(pictures, captions) if data.check and finite.all() else {}
            done(f"{name}, {sampling.solver}, {sampling.steps} steps", _work(plan, sampling))
            counted = path.evaluations
            spent = plan.evaluations(sampling) if counted is None else counted.mean()
            restored = truth[:count] if given is not None else None
            yield Drawn(
                name, sampling, captions, pictures, finite, right, path, float(spent), restored
            )


def _with_gaps(
    samples: Float[np.ndarray, "n *shape"], finite: Bool[np.ndarray, " n"], data: Dataset
) -> Values:
    """Samples as they are seen, grey, or zero, in the place of those that are not finite."""
    gap = to_values(np.zeros((1, *data.visible.shape), np.float32), data.visible.has_pictures)
    found = np.repeat(gap, len(samples), axis=0)
    if finite.any():
        found[finite] = data.seen(samples[finite])
    return found


def _work(plan: SamplingPlan, sampling: Sampling) -> int:
    return plan.samples(sampling) * plan.evaluations(sampling)
