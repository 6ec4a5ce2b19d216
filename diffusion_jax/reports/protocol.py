"""How arms of configs were trained and sampled, in words."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.sampling.guidance import Contrast


def protocol(
    configs: Sequence[ConfigDict],
    data: Sequence[Dataset],
    budget: str = "steps",
    nfe: Sequence[int] = (),
) -> dict[str, str]:
    """What -> how, in short lines.

    Args:
        configs: of every arm and seed, the baseline's first.
        data: their data sets.
        budget: what is equal for all arms.
        nfe: evaluations at which arms are compared, whatever their solvers, if they are.
    """
    config = configs[0]
    training, sampling = config.training, config.sampling

    def same(field: str) -> str:
        values = {text(value_of(each, field)) for each in configs}
        return values.pop() if len(values) == 1 else "of each arm its own"

    sets = "; ".join(f"{len(each.train):,} training {each.form}" for each in data)
    held_out = sum(len(each.held_out_captions) for each in data)
    seeds = {each.seed for each in configs}
    steps = "the most that the NFE allows" if nfe else same("sampling.steps")
    return {
        "Data": f"{same('data')}: {sets}",
        "Network": f"{same('network')}, captions read by {same('conditioner')}",
        "Training": f"equal {'wall time' if budget == 'time' else budget}: the baseline takes "
        f"{training.steps:,} steps of {training.batch_size} examples; {same('optimizer')}; average "
        f"of the parameters {same('training.ema')}. Arms with one seed see the same examples, "
        "noise and uniform times, and start alike where their networks are the same",
        "Sampling": "captions of test examples"
        + (f", {held_out} different ones, never seen in training" if held_out else "")
        + f"; solvers {same('sampling.solvers')}; steps {steps}; grid {same('sampling.grid')}, "
        f"guidance {same('sampling.guidance')}, threshold {same('sampling.threshold')}; "
        f"{sampling.count} samples per arm, solver and step count, "
        f"{max(sampling.count, sampling.judged_count)} where arms are judged; sample i of a seed "
        "has the same caption and starts from the same noise in every arm",
        "NFE": "denoiser evaluations per sample, each of "
        + " or ".join(dict.fromkeys(passes(SamplingPlan.make(each)) for each in configs)),
        **_restoration(configs),
        "Held-out examples": "example, noise and levels are the same in every arm",
        **({"Samples shown": f"of training seed {min(seeds)}"} if len(seeds) > 1 else {}),
    }


def value_of(config: ConfigDict, field: str) -> object:
    """The value of a field by its full name, such as "training.ema"."""
    section, _, last = field.rpartition(".")
    return config[section][last] if section else config[last]


def text(value: object) -> str:
    """A value as the page has it.

    >>> text(("ddim", "heun"))
    'ddim, heun'
    """
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def passes(plan: SamplingPlan) -> str:
    """What an evaluation of the guided denoiser costs, in words."""
    guide = plan.guidance
    if guide.passes == 1:
        return "one network pass"
    whose = ", one of them the guide's" if guide.guided_by else ""
    off = " (one where guidance is off)" if isinstance(guide, Contrast) and guide.bounded else ""
    return f"{guide.passes} network passes{whose}{off}"


def _restoration(configs: Sequence[ConfigDict]) -> dict[str, str]:
    """How examples are restored; nothing where samples are drawn freely."""
    asked = {(each.sampling.operator, each.sampling.posterior) for each in configs}
    if asked == {("none", "none")}:
        return {}
    said = sorted(f"{posterior} given {operator}" for operator, posterior in asked)
    return {
        "Restoration": "each sample restores a test example of its own, with its caption: "
        f"{'; '.join(said)}; a posterior may need derivatives of the denoiser too. PSNR and RMSE "
        "are to that example, mean over examples"
    }
