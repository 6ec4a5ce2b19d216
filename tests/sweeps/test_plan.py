"""From a sweep to units: what is trained together, for how long, and what is new."""

from pathlib import Path

import pytest
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.runs.run import BEFORE
from diffusion_jax.sealed import read_sealed, save_sealed
from diffusion_jax.sweeps import Sweep, axis, choice, listed, outcomes, product, trials
from diffusion_jax.sweeps.plan import SweepPlan, execution_of, make_plan
from diffusion_jax.sweeps.trials import make_trials, training_settings
from tests.sweeps import tiny

pytestmark = pytest.mark.usefixtures("one_device")


@pytest.fixture
def config(tmp_path: Path) -> ConfigDict:
    config = tiny.get_config()
    config.run_dir = str(tmp_path / "sweep")
    return config


def arms_of(plan: SweepPlan) -> list[tuple[int, list[str]]]:
    return sorted((unit.config.seed, sorted(unit.keys.values())) for unit in plan.units)


def test_arms_that_share_a_step_and_a_seed_are_one_unit(config: ConfigDict) -> None:
    sweep = tiny.get_sweep()
    plan = make_plan(config, sweep)
    assert len(plan.trials) == 10
    # "again" and "free" are trained as "cosine" is.
    assert arms_of(plan) == [(seed, ["boom", "cosine", "flow"]) for seed in (0, 1)]
    assert "10 trials, 6 trainings in 2 groups" in plan.describe()[0]
    assert all(unit.config.training.diverged == "drop" for unit in plan.units)

    wide = product(
        choice("wide", network="dit(width=16, depth=1, heads=1, patch=6)"), axis("seed", 0)
    )
    slow = product(choice("slow", {"training.steps": 24}), axis("seed", 0))
    other = Sweep(listed(product(choice("base"), axis("seed", 0)), wide, slow), budget="steps")
    config.run_dir += "_other"
    assert arms_of(make_plan(config, other)) == [(0, ["base"]), (0, ["slow"]), (0, ["wide"])]


def test_what_is_added_later_makes_new_units_and_leaves_the_old(config: ConfigDict) -> None:
    first = make_plan(config, Sweep(product(axis("schedule", "cosine", "ve"), axis("seed", 0))))
    more = product(axis("schedule", "ve", "cosine", "edm"), axis("seed", 0, 1))
    second = make_plan(config, Sweep(more))
    old = {unit.folder for unit in first.units}
    assert old < {unit.folder for unit in second.units}
    assert arms_of(second) == [(0, ["cosine", "ve"]), (0, ["edm"]), (1, ["cosine", "edm", "ve"])]
    # Asked for less, it does less.
    assert arms_of(make_plan(config, Sweep(choice("only", schedule="edm")))) == [(0, ["edm"])]


def test_specs_written_otherwise_are_trained_once(config: ConfigDict) -> None:
    first = make_plan(config, Sweep(product(axis("schedule", "cosine"), axis("seed", 0))))
    config.optimizer = config.optimizer.replace("1e-3", "0.001").replace("(", "( ")
    config.data = config.data.replace("=", " = ")
    config.sampling.guidance = config.sampling.guidance.replace("2.0", "2")
    second = make_plan(config, Sweep(product(axis("schedule", "cosine()"), axis("seed", 0))))
    assert second.units[0].folder == first.units[0].folder and len(second.units) == 1
    assert second.trials[0].key == first.trials[0].key
    assert second.data[second.units[0].config.data] is second.data[config.data]
    assert second.costs == first.costs
    other = make_plan(config, Sweep(choice("a", schedule="cosine(log_snr_min=-9)")))
    assert other.units[0].folder != first.units[0].folder


def test_a_field_at_its_default_changes_no_key(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a version before the field `loss` and the threshold had planned the sweep."""
    (trial,) = make_trials(config, Sweep(choice("a")))[1]
    keys = trial.training_key, trial.key
    for field in ("loss", "sampling.threshold"):
        other = ConfigDict(config.to_dict())
        value = {"loss": "uncertainty()", "sampling.threshold": "clip()"}[field]
        other.update_from_flattened_dict({field: value})
        (changed,) = make_trials(other, Sweep(choice("a")))[1]
        assert changed.key != trial.key
        assert (changed.training_key == trial.training_key) == (field != "loss")
    monkeypatch.setattr(trials, "BEFORE", {**BEFORE, "flip": config.flip})
    assert (trial.training_key, trial.key) != keys  # so a default is left out
    monkeypatch.setattr(trials, "BEFORE", {**BEFORE, "flip": not config.flip})
    assert (trial.training_key, trial.key) == keys


def test_sweeps_of_the_first_version_are_read(config: ConfigDict) -> None:
    """Units and outcomes were filed under other keys, of specs letter by letter."""
    sweep = Sweep(product(axis("schedule", "cosine", flow="rectified_flow"), axis("seed", 0)))
    (unit,) = make_plan(config, sweep).units
    path = unit.folder / "unit.json"
    document = read_sealed(path, "")
    document["keys"] = {"bb717420fd07": "cosine", "d440a45183b9": "flow"}
    save_sealed(document, path)
    outcomes.store(outcomes.Outcome(diverged=3), unit.folder, "ad3a1b89d2c0")
    plan = make_plan(config, sweep)
    assert [each.folder for each in plan.units] == [unit.folder]
    assert set(plan.units[0].keys.values()) == {"cosine", "flow"}
    found = {t.arm: outcomes.load(plan.unit_of(t).folder, t.key) for t in plan.trials}
    assert found["cosine"] is not None and found["cosine"].diverged == 3
    assert found["flow"] is None


def test_budgets_give_each_arm_its_steps(config: ConfigDict) -> None:
    wide = "dit(width=32, depth=2, heads=1, patch=6)"
    arms = listed(
        choice("base"), choice("wide", network=wide), choice("large", {"training.batch_size": 24})
    )
    steps = {}
    for budget in ("images", "steps", "flops", "time"):
        plan = make_plan(config, Sweep(arms, budget=budget))
        steps[budget] = {t.arm: t.config.training.steps for t in plan.trials}
        cost = {t.arm: c for t, c in zip(plan.trials, plan.costs, strict=True)}
    assert steps["images"] == {"base": 12, "wide": 12, "large": 4}
    assert steps["steps"] == {"base": 12, "wide": 12, "large": 12}
    for name in ("wide", "large"):
        flops = cost[name].flops / cost["base"].flops
        assert steps["flops"][name] == max(1, round(12 / flops)) < 12
        seconds = cost[name].seconds / cost["base"].seconds
        assert steps["time"][name] == max(1, round(12 / seconds))
    # A batch three times as large costs three times as much but for what does not see it.
    assert 2.5 < cost["large"].flops / cost["base"].flops <= 3


def test_equal_evaluations_give_each_solver_its_steps(config: ConfigDict) -> None:
    solvers = axis("sampling.solvers", "ddim", "heun", "dpmpp_sde")
    plan = make_plan(config, Sweep(solvers, nfe=(4, 7)))
    assert {t.arm: t.config.sampling.steps for t in plan.trials} == {
        "ddim": (4, 7),
        "heun": (2, 4),  # two a step but for the last
        "dpmpp_sde": (2, 4),
    }
    assert len({trial.training_key for trial in plan.trials}) == 1


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (Sweep(axis("shedule", "edm")), "Did you mean 'schedule'"),
        (Sweep(axis("training.stesp", 3)), "Did you mean 'training.steps'"),
        (Sweep(choice("x", run_dir="/x")), "cannot replace 'run_dir'"),
        (Sweep(choice("x", schedule="edmm")), "Arm 'x' of the sweep: Unknown schedule 'edmm'"),
        (Sweep(choice("x", {"sampling.solvers": "hoin"})), "Arm 'x' of the sweep: Unknown solver"),
        (Sweep(choice("x", {"training.steps": 3})), "use budget='steps'"),
        (Sweep(choice("x", {"training.steps": "many"})), "steps to 'many', which is not of type"),
        (Sweep(choice("x", {"sampling.steps": 3}), nfe=(4,)), "steps of its own"),
        (Sweep(choice("x", {"sampling.solvers": ("ddim", "heun")}), nfe=(4,)), "several solvers"),
        (Sweep(choice("x", {"sampling.solvers": "predictor_corrector"}), nfe=(1,)), "more than 1"),
        (
            Sweep(
                choice(
                    "x",
                    {"sampling.guidance": "perturbed_attention()"},
                    network="unet(channels=(8,), blocks=1, attention=())",
                )
            ),
            "Arm 'x' of the sweep: .*attention",
        ),
        (Sweep(choice("x", schedule="edm", fewstep="shortcut()")), "has a schedule of its own"),
        (Sweep(choice("x"), judged_by="fid"), "Unknown metric of the verdict 'fid'"),
        (Sweep(choice("x", {"sampling.metrics": "kernal"})), "Did you mean 'kernel'"),
        (Sweep(choice("x", {"sampling.posterior": "dps()"})), "Arm 'x' of the sweep: .*operator"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    config: ConfigDict, sweep: Sweep, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_plan(config, sweep)
    assert not Path(config.run_dir).exists()


def test_a_folder_that_holds_something_else_is_left_alone(config: ConfigDict) -> None:
    folder = Path(config.run_dir)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a run, not a sweep"):
        make_plan(config, tiny.get_sweep())
    (folder / "config.json").unlink()
    plan = make_plan(config, tiny.get_sweep())
    (plan.units[0].folder / "unit.json").write_text("{")
    with pytest.raises(UserError, match=r"unit.json is damaged: delete the folder"):
        make_plan(config, tiny.get_sweep())
    (folder / "costs.json").write_text("[1]")
    with pytest.raises(UserError, match=r"costs.json is damaged: delete it"):
        make_plan(config, tiny.get_sweep())


def test_few_step_arms_are_planned_like_others(config: ConfigDict) -> None:
    config.sampling.solvers = ("jump",)
    fine = product(axis("fewstep", "none", short="shortcut(finest=4)"), axis("seed", 0))
    assert arms_of(make_plan(config, Sweep(fine))) == [(0, ["none"]), (0, ["short"])]


def test_what_was_measured_on_another_split_of_a_folder_is_not_taken_for_this() -> None:
    keys = []
    for data in ("folder(path='a')", "folder(path='a', split='pictures')", "shapes()"):
        config = base.get_config()
        config.data = data
        keys.append(training_settings(config))
    assert keys[0] == keys[1]
    assert keys[0]["data"] != "folder(path='a')" and keys[2]["data"] == "shapes()"


@pytest.mark.parametrize(
    ("asked", "own", "written", "chosen"),
    [
        ("", "apart", False, "apart"),
        ("", "auto", False, "auto"),
        ("together", "apart", False, "together"),
        ("together", "together", True, "together"),
        ("together", "apart", True, None),
        ("apart", "auto", False, None),
    ],
)
def test_both_config_and_sweep_say_how_arms_are_trained(
    config: ConfigDict, asked: str, own: str, written: bool, chosen: str | None
) -> None:
    sweep = Sweep(choice("a"), execution=asked)
    config.training.execution = own
    if chosen is None:
        with pytest.raises(UserError, match=f"execution='{asked}' .*execution='{own}'"):
            execution_of(config, sweep, written)
    else:
        assert execution_of(config, sweep, written) == chosen


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("seed", "gives every arm its own"),
        ("prediction", "gives every arm its own"),
        ("sampling.steps", r"compares at equal NFE, \(4,\)"),
        ("training.diverged", "goes on without arms that diverge"),
    ],
)
def test_a_field_that_the_sweep_replaces_is_not_taken_in_silence(
    config: ConfigDict, field: str, said: str
) -> None:
    arms = product(axis("prediction", "v", "x0"), axis("seed", 0))
    with pytest.raises(UserError, match=f"{field} would change nothing, since the sweep {said}"):
        make_plan(config, Sweep(arms, nfe=(4,)), (field,))
    assert not Path(config.run_dir).exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("training.log_every", 3, "cannot replace 'training.log_every', which all its arms share"),
        ("training.execution", "auto", "cannot replace 'training.execution'"),
        ("baseline", "a", "cannot replace 'baseline'"),
        ("training", 3, "is not of type ConfigDict"),
        ("training", {"steps": 3}, "is missing"),
        ("sampling.steps", ("a",), "sampling.steps must be a tuple"),
        ("sampling.solvers", 3, "sampling.solvers must be a tuple"),
        ("sigma_data", 10**400, "is not of type float"),
        ("sigma_data", float("nan"), "sigma_data must be finite"),
        ("training.steps", -1, "training.steps must be at least 1"),
        ("arms.a.schedule", "edm", "which no config has"),
        ("", 3, "which no config has"),
    ],
)
def test_what_an_arm_cannot_have_is_named(
    config: ConfigDict, field: str, value: object, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        make_plan(config, Sweep(choice("a", {field: value})))
    assert not Path(config.run_dir).exists()
