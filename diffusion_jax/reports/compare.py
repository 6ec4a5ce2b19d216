"""Comparing trained arms from Python: objects in, a result with its table and page out."""

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import jax
import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.inference.measure import SAMPLING, SamplingPlan
from diffusion_jax.inference.preflight import check_measuring, check_memory
from diffusion_jax.metrics import DEFAULT, Metric, metrics
from diffusion_jax.metrics.base import check_metric
from diffusion_jax.metrics.real import Real
from diffusion_jax.registry import Registry
from diffusion_jax.reports import files, study, verdict
from diffusion_jax.reports.compared import Arms, all_trained, by_name, with_test
from diffusion_jax.reports.comparisons import in_percent
from diffusion_jax.reports.content import Report, ReportArm
from diffusion_jax.reports.long_table import Found
from diffusion_jax.reports.provenance import provenance
from diffusion_jax.reports.rows import Comparison, Measurement
from diffusion_jax.reports.shown import restored
from diffusion_jax.runs.progress import Progress
from diffusion_jax.sampling import grids, guidance, solvers, thresholds
from diffusion_jax.sweeps.measured import COMPARED, outcomes
from diffusion_jax.sweeps.outcomes import Curve
from diffusion_jax.training.trained import TrainedArm, sound

T = TypeVar("T")
Members = Sequence[T | str] | Mapping[str, T | str]


@dataclasses.dataclass(frozen=True)
class Result:
    """What a comparison found.

    Attributes:
        report: all that its page says, as plain data.
        notes: sentences on the metrics that could not be measured, and why.
    """

    report: Report
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> tuple[Measurement, ...]:
        """The long table: a row per arm, sampling and metric."""
        return self.report.measurements

    @property
    def differences(self) -> tuple[Comparison, ...]:
        """Every other arm against the baseline, by every metric and sampling."""
        return self.report.comparisons

    @property
    def verdict(self) -> str:
        """The one sentence to remember."""
        return verdict.judge(in_percent(self.report)).lead

    def save(self, folder: str | Path) -> Path:
        """Writes report.html, results.csv and results.json; returns the page's path."""
        return files.write(self.report, Path(folder))


def compare(
    arms: Arms,
    data: Any,
    *,
    training: Mapping[str, Any] | None = None,
    steps: int | Sequence[int] = 16,
    solvers: Members[solvers.Solver] = ("dpmpp_2m",),
    grid: grids.Grid | str = "trailing",
    guidance: guidance.Guidance | str = "none",
    threshold: thresholds.Threshold | str = "none",
    metrics: Members[Metric] = DEFAULT,
    count: int = 256,
    judged_count: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    baseline: str = "",
    protocol: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Samples arms, measures them, and compares them with a baseline; trains them before if asked.

    Sample i has the same caption and starts from the same noise in every arm, so that differences
    are paired. The arms are of one training seed: intervals are about other samples of the same
    networks.

    Args:
        arms: name -> trained arm, as `train` returns them; what `load_run` returns; or arms as
            `train` takes them, trained or not.
        data: the data set, or what `train` takes: captions and real examples are those of its test
            split. Of an array, or an array and its condition, a tenth is held out.
        training: options of `train` (`{"steps": 1000, "batch_size": 64}`) for arms that are not
            trained yet, side by side; None where all are.
        steps: of the solvers, one number or several.
        solvers: solvers or their specs, or name -> solver. Arms are judged by samples of the first
            one with the most steps.
        grid: where the steps are, or its spec.
        guidance: towards the condition, or its spec; one that needs no other network.
        threshold: of the estimates, or its spec.
        metrics: metrics or their specs, or name -> metric. The first that says anything judges;
            those that the samples or the data do not allow are named in `Result.notes`.
        count: samples of each arm with each solver and step count.
        judged_count: samples where arms are judged, at least `count`; None is as many.
        batch_size: samples drawn at once.
        seed: of the training; that of the samples follows from it.
        baseline: the arm that others are compared with; "" for the first.
        protocol: what -> how, lines that the page says first.
        progress: where to show it; None for nowhere.

    Raises:
        UserError: no arm, one that is not trained though `training` is None, a baseline that is
            none of them, a wrong spec, what is no solver or no metric, a solver that cannot serve
            an arm, no test examples, or samples that do not fit into memory.
    """
    start, progress = time.monotonic(), progress or Progress(quiet=True)
    given = by_name(arms)
    if baseline:
        one_of(baseline, given, "baseline")
    data = with_test(data, given)
    plan = SamplingPlan(
        solvers=_named(solvers, REGISTRIES["solvers"]),
        steps=(steps,) if isinstance(steps, int) else tuple(sorted(set(steps))),
        grid=_made(grid, REGISTRIES["grid"]),
        guidance=_made(guidance, REGISTRIES["guidance"]),
        threshold=_made(threshold, REGISTRIES["threshold"]),
        count=count,
        judged_count=max(count, judged_count or count),
        batch_size=batch_size,
        seed=seed + SAMPLING,
        metrics=_named(metrics, REGISTRIES["metrics"]),
    )
    for metric in plan.metrics.values():
        check_metric(metric)
    plan.check({name: arm.objective for name, arm in given.items()})
    trained = all_trained(given, data, training, progress)
    check_memory(plan, {name: arm.arm.network for name, arm in trained.items()}, data.shape)
    notes = check_measuring(plan, data)
    asked = {
        "Sampling": f"{', '.join(plan.solvers)}; steps {', '.join(map(str, plan.steps))}; {count} "
        f"samples per arm and sampling, {plan.judged_count} where arms are judged; sample i starts "
        "from the same noise in every arm",
        **({"Not measured": " ".join(notes)} if notes else {}),
    }
    found = of_trained(
        plan,
        trained,
        data,
        progress,
        seed=seed,
        baseline=baseline,
        guidance=guidance if isinstance(guidance, str) else type(plan.guidance).__name__,
        protocol={**(protocol or {}), **asked},
    )
    made = provenance(time.monotonic() - start, seed)
    return Result(dataclasses.replace(found, provenance=made), notes)


def of_trained(
    plan: SamplingPlan,
    arms: Mapping[str, TrainedArm],
    data: Dataset,
    progress: Progress,
    guides: Mapping[str, TrainedArm] = MappingProxyType({}),
    *,
    seed: int,
    baseline: str,
    guidance: str,
    protocol: Mapping[str, str],
    data_name: str = "",
    training_batch: int = 0,
) -> Report:
    """Samples, measures and compares trained arms of one seed: a sweep of one seed.

    Args:
        plan: how samples are drawn and measured.
        arms: name -> trained arm, those that diverged too.
        data: captions, and what samples are held against.
        progress: where to show it.
        guides: arm -> the network that guides it.
        seed: of the training.
        baseline: the arm that others are held against; "" for the first.
        guidance: what the page calls it.
        protocol: what -> how.
        data_name: what the page calls the data; "" for the data set's own name.
        training_batch: examples of a training step; 0 if unknown.

    Returns:
        The report, without its provenance.
    """
    real = Real(data, plan.judged_count)
    found = outcomes(plan, arms, data, real, progress, guides, COMPARED, plan.seed)
    verb = "paint" if data.visible.has_pictures else "sample"
    settings = {name: arm.arm.settings for name, arm in arms.items()}
    fields = dict.fromkeys(field for own in settings.values() for field in own)
    differ = [f for f in fields if len({str(own.get(f, "")) for own in settings.values()}) > 1]
    what = f"The arms differ in their {' and '.join(sorted(differ))} alone. " if differ else ""
    steps = {n: arm.step if arm.diverged is None else arm.diverged for n, arm in arms.items()}
    return study.report(
        [Found(n, seed, one, tuple(plan.solvers), plan.steps) for n, one in found.items()],
        title=f"Which arm {verb}s better?" if len(arms) > 1 else f"How well does it {verb}?",
        question=f"{what}Data: {data_name or data.name}.",
        arms=[
            ReportArm(
                name,
                {f: str(value) for f, value in settings[name].items() if f in differ},
                parameters=sum(leaf.size for leaf in jax.tree.leaves(arm.params)),
                images=max(steps.values()) * training_batch,
                steps=steps[name],
                guidance=guidance,
                losses=Curve(np.array(arm.curve["step"]), np.array(arm.curve["loss"]))
                if arm.curve
                else None,
            )
            for name, arm in arms.items()
        ],
        objectives={name: arm.objective for name, arm in sound(arms).items()},
        baseline=baseline,
        metrics=plan.metrics,
        judged_by=tuple(plan.metrics),
        real=real,
        protocol=protocol,
        beside=restored(plan, data),
    )


REGISTRIES: dict[str, Registry] = {
    "solvers": solvers.solvers,
    "grid": grids.grids,
    "guidance": guidance.guidance,
    "threshold": thresholds.thresholds,
    "metrics": metrics,
}


def _made(member: T | str, registry: Registry[T]) -> T:
    return registry.make(member) if isinstance(member, str) else member


def _named(members: Members[T], registry: Registry[T]) -> dict[str, T]:
    """Name -> member; a spec is its name, and an object without one is called by its class."""
    if isinstance(members, Mapping):
        found = [(name, _made(each, registry)) for name, each in members.items()]
    elif isinstance(members, str) or not isinstance(members, Iterable):
        raise UserError(
            f"{members!r} is no list of {registry.family}s: give a tuple, or a dict, name -> "
            f"{registry.family}."
        )
    else:
        found = [
            (each if isinstance(each, str) else type(each).__name__, _made(each, registry))
            for each in members
        ]
    if not found:
        raise UserError(f"Name at least one {registry.family}.")
    if len(dict(found)) < len(found):
        raise UserError(
            f"Two of the {registry.family}s have one name: give a dict, name -> {registry.family}."
        )
    return dict(found)
