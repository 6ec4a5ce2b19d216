"""The command that runs released models beside the original libraries, as far as without them."""

import dataclasses
import json
import math
import random
import subprocess
import sys

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.schedulers import translate
from diffusion_jax.published.schedulers.settings import TAKEN
from experiments.parity import __main__ as parity
from experiments.parity import rounding, schedulers, table
from experiments.parity.kind import PipelineKind
from experiments.parity.kinds import kinds
from experiments.parity.plan import ParityTrial, drawn, from_json, to_json
from experiments.parity.verdict import ComparedTrial, passes

KINDS = kinds()
WITHOUT_THEM = """
import sys
from experiments.parity.plan import drawn
from experiments.parity.schedulers import DRAWN
assert drawn(0)
print([name for name in ("torch", "jax", "diffusers", "diffusion_jax") if name in sys.modules])
"""


def test_either_half_does_without_the_libraries_of_the_other() -> None:
    """The original's environment has not ours: what it imports must not need them."""
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_THEM], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", KINDS)
def test_other_seeds_give_other_models(name: str) -> None:
    few = [drawn(seed, [name], 3) for seed in (0, 0, 1)]
    assert few[0] == few[1]
    assert few[0] != few[2]
    told = [json.dumps(model.options, sort_keys=True) for models in few for model in models]
    assert len(set(told)) > 1, "settings do not vary"
    assert from_json(json.loads(json.dumps(to_json(few[0])))) == few[0]


@pytest.mark.parametrize("name", KINDS)
def test_a_pipeline_is_run_by_some_schedulers_with_each_guidance(name: str) -> None:
    (model,) = drawn(3, [name], 1)
    kind = KINDS[name]
    if not isinstance(kind, PipelineKind):
        assert model.trials[0].dtype == "float32"
        return
    runs = [(str(trial.scheduler), trial.guidance) for trial in model.trials]
    assert len({scheduler for scheduler, _ in runs}) == kind.each >= 3
    assert {guidance for _, guidance in runs} == set(kind.guidance)


@pytest.mark.parametrize("name", schedulers.DRAWN)
def test_every_scheduler_that_is_drawn_is_read(name: str) -> None:
    """A refusal would be reported as a failure of the library."""
    for seed in range(12):
        pick = random.Random(seed)
        settings = schedulers.draw(name, pick)
        dynamic = name.endswith(".dynamic")
        scheduler = translate(settings, even_times=dynamic)
        for steps in schedulers.STEPS:
            nodes, solver = scheduler.nodes(steps, 12 if dynamic else None), scheduler.solver(steps)
            assert len(nodes.time) == steps + 1
            assert solver.evaluations(steps) >= steps
            # Some end at the first label twice, which changes nothing.
            assert bool(nodes.moves.all()) or not settings.get("set_alpha_to_one", True)


def test_every_scheduler_that_is_read_is_run_with_any_seed() -> None:
    both = drawn(5, ["stable_diffusion_schedulers", "stable_diffusion_3_schedulers"])
    run = {trial.scheduler["_class_name"] for model in both for trial in model.trials}
    assert set(TAKEN) <= run


def compared(*differences: float, name: str = "latents", index: int = 0) -> ComparedTrial:
    (model,) = drawn(0, ["ddim_pipeline"], 1)
    return ComparedTrial(model, model.trials[index], {name: differences})


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (compared(1e-6, 9e-5), "same"),
        (compared(1e-6, 2e-4, 1e-6), "OVER"),
        (compared(math.nan), "OVER"),
        (compared(1e-6, math.inf), "OVER"),
        (compared(), "OVER"),
        (compared(9e-7, index=1), "same"),
        (compared(9e-5, index=1), "OVER"),
        (dataclasses.replace(compared(1e-6), error="no such thing"), "FAILED"),
    ],
)
def test_the_verdict_is_of_the_largest_difference(found: ComparedTrial, verdict: str) -> None:
    assert found.verdict == verdict
    assert passes([found]) == (verdict == "same")
    assert not passes([compared(1e-6), dataclasses.replace(found, error="x")])
    assert verdict in table.cells(found)[-1]


def test_what_single_precision_leaves_is_told_by_the_original_s_own_distance() -> None:
    """Lossy runs over the bound count by how far both are from the original in double precision."""
    far = compared(2e-3)
    same = "same but for rounding"
    for distances, verdict in (
        ((1e-3, 9e-4), same),
        ((4e-3, 1e-3), "OVER"),
        ((5e-6, float("nan")), same),
        ((2e-3, float("nan")), "OVER"),
        ((float("nan"), 1e-3), "OVER"),
    ):
        found = dataclasses.replace(far, rounding=distances)
        assert found.verdict == verdict
        assert passes([found]) == (verdict != "OVER")
        assert f"{distances[0]:.0e} from float64" in table.cells(found)[-1]


def test_the_distances_are_of_the_runs_that_were_written(tmp_path) -> None:
    lossy = {"_class_name": "EulerDiscreteScheduler", "beta_schedule": "squaredcos_cap_v2"}
    (model,) = drawn(0, ["ddim_pipeline"], 1)
    trials = tuple(ParityTrial(dtype, lossy, None, 4) for dtype in ("float32", "float64"))
    model = dataclasses.replace(model, trials=trials)
    (tmp_path / model.name).mkdir()
    exact = np.array([[1.0, 2.0], [4.0, 10.0]])
    for file, off in (("0.ours.npz", 0.2), ("0.npz", 0.1), ("1.npz", 0.0)):
        name = "latents" if file.endswith(rounding.OURS) else "out/latents"
        np.savez(tmp_path / model.name / file, **{name: exact + off})
    found = ComparedTrial(model, trials[0], {"latents": [2e-3]})
    assert rounding.judged(tmp_path, found).rounding == pytest.approx((0.1, 0.05))
    within = dataclasses.replace(found, differences={"latents": [2e-5]})
    assert rounding.judged(tmp_path, within) == within


def test_nothing_run_is_nothing_shown() -> None:
    assert not passes([])


def test_differences_are_relative_to_the_largest_value_of_each_step() -> None:
    from experiments.parity.rounding import apart

    wanted = np.array([[1.0, 2.0], [0.0, 10.0]])
    found = wanted + [[0.1, 0.0], [0.0, 0.1]]
    np.testing.assert_allclose(apart(found, wanted, stepwise=True), [0.05, 0.01])
    np.testing.assert_allclose(apart(found, wanted), [0.01])
    assert math.isnan(apart(found * math.nan, wanted)[0])
    with pytest.raises(ValueError, match="shape"):
        apart(found[:1], wanted)


def test_the_page_has_every_run_and_what_was_drawn() -> None:
    page = table.markdown([compared(1e-6), compared(3e-4)], 7, {"torch": "2.13"})
    assert "--seed=7" in page and "torch 2.13" in page
    assert "1 of 2 runs of 1 models" in page
    assert "| ddim_pipeline 0 | DDIM, " in page
    assert "3e-04" in page and "OVER" in page
    assert "- LMSDiscreteScheduler: not by this seed" in page
    assert "- VQDiffusionScheduler: is not read: it draws discrete tokens" in page
    assert "- DDIMScheduler:" not in page
    assert "block_out_channels=" in page and "beta_schedule=" in page


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("--peers=false", "false is no Python that has torch, diffusers, transformers, peft"),
        ("--only=unet3d", "Did you mean 'unet2d'"),
        ("--dtype=float16", "Unknown dtype 'float16'"),
        ("--models=-1", "--models must be from"),
        ("--seeds=1", "Unrecognized arguments: --seeds=1"),
    ],
)
def test_a_mistake_is_answered_in_one_line(word: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        parity.main(["--peers=false", word])
