"""The benchmark of accelerators measures what it says; its figures are not tested."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from diffusion_jax.errors import UserError
from diffusion_jax.networks.score_network import build
from experiments import benchmark_device
from experiments.device import arms, flops, isolated, memory, record, tables, timing, train
from experiments.device.child import measured
from experiments.device.peaks import peak, peak_of
from experiments.device.problems import PROBLEMS, SMALL, Problem
from experiments.device.runner import run
from experiments.device.section import Done, Failed, NotReached, Section
from experiments.device.sections import DEVICE, choose, sections
from experiments.device.verdict import targets

HERE = {
    "backend": "gpu",
    "device_kind": "NVIDIA H100 80GB HBM3",
    "devices": 1,
    "processor": "16 x some",
    "versions": {"python": "3.12.3", "jax": "0.11.2"},
}


def a_section(name: str, seconds: float) -> Section:
    return Section(name, "made up", seconds, lambda small: {})


class Clock:
    """Stands still but where something is measured."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run_made_up(found: dict[str, Any], seconds: float, outcomes: dict[str, Any], again=False):
    """Runs sections that each take what they are expected to."""
    clock, measured_now, stored = Clock(), [], []

    def measure(section: Section, left: float) -> Any:
        clock.now += section.seconds
        measured_now.append((section.name, left))
        return outcomes.get(section.name, Done({"of": section.name}))

    chosen = [a_section("long", 50), a_section("longer", 100), a_section("short", 20)]
    left = run(
        chosen,
        found,
        seconds,
        measure,
        lambda found: stored.append(json.dumps(found)),
        lambda line: None,
        again,
        clock,
    )
    return left, measured_now, stored


def test_what_does_not_fit_is_passed_over_and_every_section_is_kept_at_once() -> None:
    found = record.go_on(None, HERE, Path("f"))
    left, measured_now, stored = run_made_up(found, 120, {})
    assert left == ["longer"]
    assert measured_now == [("long", 120), ("short", 70)]
    assert [len(json.loads(each)["sections"]) for each in stored] == [1, 2]
    # Started again, it measures what is missing.
    left, measured_now, _ = run_made_up(found, 120, {})
    assert (left, measured_now) == ([], [("longer", 120)])
    assert run_made_up(found, 120, {})[:2] == ([], [])


def test_a_failure_is_kept_and_ends_nothing_and_is_tried_again_if_asked() -> None:
    found = record.go_on(None, HERE, Path("f"))
    outcomes = {"long": Failed("out of memory: too much"), "longer": NotReached()}
    left, measured_now, _ = run_made_up(found, 200, outcomes)
    assert left == ["longer"]
    assert [name for name, _ in measured_now] == ["long", "longer", "short"]
    assert found["sections"]["long"]["reason"] == "out of memory: too much"
    assert "longer" not in found["sections"]
    assert [name for name, _ in run_made_up(found, 200, {})[1]] == ["longer"]
    assert [name for name, _ in run_made_up(found, 200, {}, again=True)[1]] == ["long"]
    assert found["sections"]["long"]["status"] == "done"


def test_a_file_is_of_one_device_and_one_set_of_versions(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert record.read(path) is None
    new = record.go_on(None, HERE | {"git": "one"}, path)
    record.note(new, "limits", Done({}), 1.0)
    record.write(new, path)
    old = record.read(path)
    assert old == new
    # The source may change, and each section says of which it is.
    later = record.go_on(old, HERE | {"git": "another"}, path)
    record.note(later, "cache", Done({}), 1.0)
    assert [own["git"] for own in later["sections"].values()] == ["one", "another"]
    for change, named in (
        ({"device_kind": "NVIDIA A100"}, "NVIDIA H100 80GB HBM3, and here it is NVIDIA A100"),
        ({"versions": {"jax": "0.12.0"}}, "jax 0.11.2, and here it is jax 0.12.0"),
    ):
        with pytest.raises(UserError) as refusal:
            record.go_on(old, HERE | change, path)
        assert named in str(refusal.value) and "another file with --out" in str(refusal.value)
    for content in ("", "[1]", "{}", '{"kind": "x"}', path.read_text()[:-9], "[" * 10**5, "\xff"):
        path.write_text(content, encoding="latin-1")
        with pytest.raises(UserError, match="not a file of figures, or damaged"):
            record.read(path)


def test_whatever_a_section_raises_is_one_line() -> None:
    def raises(error: BaseException) -> str:
        def measure(small: bool) -> Any:
            raise error

        outcome = measured(Section("x", "x", 1, measure), True)
        assert isinstance(outcome, Failed) and "\n" not in outcome.reason
        return outcome.reason

    assert raises(UserError("no\nway")) == "no"
    assert raises(ModuleNotFoundError("m", name="torch")) == "torch is not installed"
    assert raises(RuntimeError("RESOURCE_EXHAUSTED: much")).startswith("out of memory: ")
    assert raises(RuntimeError("\n deep\nmore")) == "RuntimeError: deep"
    assert raises(ValueError()) == "ValueError: nothing said"


def test_a_process_that_crashes_or_hangs_ends_no_other() -> None:
    unknown = isolated.measure(a_section("unknown", 20), True, "", 60)
    assert isinstance(unknown, Failed) and "ended with status 1: " in unknown.reason
    assert isolated.measure(DEVICE, True, "", 0.01) == NotReached()
    hangs = Section("device", "hangs", 0.002, DEVICE.measure)
    assert isolated.measure(hangs, True, "", 60) == Failed("still at work after 0 s, and stopped")


def test_batches_are_halved_until_they_fit() -> None:
    tried = []

    def work(batch: int) -> dict[str, Any]:
        tried.append(batch)
        if batch > 4:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return {"batch": batch, "bytes_peak": 7}

    # The device's peak is then of what did not fit.
    assert memory.fitting(16, work) == {"batch": 4, "bytes_peak": None} and tried == [16, 8, 4]
    assert memory.fitting(4, work) == {"batch": 4, "bytes_peak": 7}
    with pytest.raises(ValueError, match="another"):
        memory.fitting(16, lambda batch: (_ for _ in ()).throw(ValueError("another")))
    with pytest.raises(memory.BatchTooLarge):
        memory.fitting(2, lambda batch: (_ for _ in ()).throw(memory.BatchTooLarge("always")))


def test_rounds_are_in_turn_and_as_long_for_all() -> None:
    calls = []

    def way(name: str, seconds: float) -> Any:
        def work(count: int) -> float:
            calls.append((name, count))
            return count * seconds

        return work

    fast, slow = timing.in_turn([way("fast", 0.01), way("slow", 0.1)])
    assert calls[4:8] == [("fast", 4), ("slow", 4)] * 2
    assert len(calls) == 4 + 2 * timing.ROUNDS
    assert (fast.median, slow.median) == pytest.approx((0.01, 0.1))
    assert timing.ratio(slow, fast)["ratio"] == pytest.approx(10)


def products(jaxpr: Any) -> float:
    """Operations of all matrix products and convolutions that a program is written with."""
    total = 0.0
    for equation in jaxpr.eqns:
        sizes = [math.prod(each.aval.shape) for each in equation.outvars]
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * sizes[0] * math.prod(left[i] for i in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            total += 2 * sizes[0] * math.prod(equation.invars[1].aval.shape[:-1])
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            times = equation.params["length"] if equation.primitive.name == "scan" else 1
            total += times * products(inner) if hasattr(inner, "eqns") else 0
    return total


@pytest.mark.parametrize(
    "problem", [PROBLEMS["dit_s2"], PROBLEMS["unet"], SMALL["unet"], SMALL["mlp"]]
)
def test_operations_by_formula_are_those_of_the_program(problem: Problem) -> None:
    network = build(problem.spec())
    x, label = jnp.zeros((1, *problem.shape)), jnp.zeros(1)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, label, {})
    program = jax.make_jaxpr(lambda params: network.apply(params, x, label, {}, False))(shapes)
    counted = products(program.jaxpr)
    assert flops.forward(network.backbone, problem.shape) == pytest.approx(counted, rel=1e-6)


def test_limits_are_those_of_the_maker_where_they_are_known() -> None:
    assert peak_of("NVIDIA H100 80GB HBM3", "bfloat16") == 989.5e12
    assert peak_of("NVIDIA H100 PCIe", "float32") == 378e12
    assert peak_of("TPU v5 lite", "bfloat16") == 197e12
    assert peak_of("TPU v5p", "float32") == 459e12
    assert peak("cpu") is None and peak("NVIDIA H100 80GB HBM3 MIG 1g.10gb") is None


def a_record() -> dict[str, Any]:
    found = record.go_on(None, HERE, Path("f"))
    seconds = {"seconds": 0.1, "least": 0.09, "most": 0.12, "first": 9.0, "times": 4}
    product = seconds | {"flops_per_second": 8e14}
    limits = {
        "side": 8192,
        "products": dict.fromkeys(("bfloat16", "tf32", "float32"), product),
        "copy": seconds | {"bytes_per_second": 3e12},
        "maker": {"bfloat16": 989.5e12, "float32": 494.75e12, "bandwidth": 3.35e12},
    }
    step = seconds | {
        "batch": 256,
        "dtype": "bfloat16",
        "images_per_second": 2560.0,
        "flops_per_second": 4e14,
        "mfu": 0.4,
        "bytes_peak": 4 * 10**10,
        "bytes_counted": None,
    }
    ratio = {"ratio": 1.2, "least": 1.1, "most": 1.3}
    beside = {
        "batch": 128,
        "variants": {"torch.compile": seconds, "diffusion_jax": seconds},
        "times_faster": {"diffusion_jax": ratio},
        "left_out": {"fused": "no such kernel"},
    }
    solver = seconds | {
        "steps": 10,
        "evaluations": 19,
        "samples_per_second": 321.5,
        "evaluations_per_second": 6108.5,
        "mfu": None,
    }
    eight = {"arms": 8, "means": "an MLP", "dtype": "float32", "batch": 256}
    outcomes = {
        "limits": limits,
        "train_dit_b2_bf16": step,
        "train_dit_b2_bf16_fused": step | {"mfu": 0.55},
        "torch_dit_b2_bf16": beside,
        "arms_mlp": eight | {"in_turn": seconds, "together": seconds, "times_faster": ratio},
        "sampling_unet": {"batch": 512, "solvers": {"heun": solver}},
        "contracts": {"passed": 30, "failed": 1, "failures": ["FAILED test_x"]},
        "golden": {"agree": 900, "differ": 0},
        "cache": {"problem": "unet", "first": 20.0, "second": 5.0, "share": 0.25},
    }
    for name, figures in outcomes.items():
        record.note(found, name, Done(figures), 1.0)
    record.note(found, "train_dit_xl2_f32", Failed("out of memory: [much]"), 1.0)
    return found


def shown(found: dict[str, Any]) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    tables.show(found, ["golden"], console)
    return console.export_text()


def test_tables_show_figures_ratios_failures_and_the_verdict() -> None:
    text = shown(a_record())
    for part in (
        "989.5 TFLOP/s",  # the maker's
        "80.8%",  # of it, in the product
        "89.6%",  # of the bandwidth
        "55.0%",  # MFU
        "50.0%",  # of the product
        "100 (90–120)",
        "1.20 (1.10–1.30)",
        "no such kernel",
        "321.5",
        "30 passed, 1 failed; FAILED test_x",
        "second 5.0 s, 25.0%",
        "train_dit_xl2_f32 failed: out of memory: [much]",
        "Not reached: golden.",
    ):
        assert part in text, part
    verdicts = {target.means: target.verdict(False) for target in targets(a_record())}
    assert verdicts["MFU of DiT-B/2 at 256-pixel latents in bfloat16"] == "met"
    assert verdicts["training step beside torch.compile: DiT-B/2, bfloat16"] == "met"
    assert verdicts["training step beside torch.compile: U-Net, bfloat16"] == "not measured"
    assert verdicts["eight small arms together over in turn: MLP"] == "missed (0.30 of it)"


def test_a_small_form_is_never_taken_for_a_device() -> None:
    found = record.go_on(None, HERE | {"backend": "cpu"}, Path("f"))
    found["sections"] = a_record()["sections"]
    text = shown(found)
    assert found["small"] and found["form"] in text and "say nothing of any device" in text
    assert text.count("(small form)") == 7
    assert "met" not in text.split("Verdict")[1] and "not judged" in text


def test_sections_are_chosen_by_name_or_how_they_begin() -> None:
    found = sections(sys.executable)
    names = [section.name for section in found]
    assert len(set(names)) == len(names) and names[:3] == ["device", "limits", "train_dit_b2_bf16"]
    assert [s.name for s in choose(found, "arms,limits")] == [
        "limits",
        "arms_mlp",
        "arms_dit_s2",
        "arms_unet",
    ]
    assert [s.name for s in choose(found, "train_dit_b2_bf16")] == ["train_dit_b2_bf16"]


def test_a_tiny_training_step_and_tiny_arms_are_measured() -> None:
    found = train.measure("mlp", "float32", (), True)
    assert found["seconds"] > 0 and found["batch"] == 8 and found["mfu"] is None
    assert found["images_per_second"] == pytest.approx(8 / found["seconds"])
    assert found["flops_per_second"] == pytest.approx(
        3 * flops.forward(build(SMALL["mlp"].spec()).backbone, (2,)) * found["images_per_second"]
    )
    both = arms.measure("mlp", "float32", True)
    assert both["in_turn"]["seconds"] > 0 and both["together"]["seconds"] > 0


def test_a_section_is_measured_end_to_end_and_not_again(tmp_path: Path, capsys: Any) -> None:
    words = ["--sections=limits", f"--out={tmp_path / 'figures.json'}", "--minutes=1"]
    outputs = []
    for _ in range(2):
        benchmark_device.main(words)
        outputs.append(capsys.readouterr().out)
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["small"] and found["sections"].keys() == {"device", "limits"}
    assert found["sections"]["limits"]["figures"]["products"]["bfloat16"]["flops_per_second"] > 0
    assert "Limits of the device (small form)" in outputs[0]
    assert "limits: there already" in outputs[1]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--minutes=0", "--out=f"], "--minutes must be more than 0, got 0"),
        (["--minutes=nan", "--out=f"], "--minutes must be more than 0, got nan"),
        (["--minutes=soon", "--out=f"], "invalid float value: 'soon'"),
        ([], "--out=FILE.json says where the figures go"),
        (["--sections=limit", "--out=f"], "Did you mean 'limits'?"),
        (["--out=."], "it is a folder; name a file in it"),
    ],
)
def test_mistakes_are_named(words: list[str], part: str) -> None:
    with pytest.raises(UserError) as refusal:
        benchmark_device.main(words)
    assert part in str(refusal.value)
