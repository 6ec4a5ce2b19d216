"""Arms in one program: the numbers of arms alone, however they are grouped, split and placed."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.parallel import devices
from diffusion_jax.runs.metrics_log import read_metrics
from diffusion_jax.sealed import unseal
from diffusion_jax.training import execution
from diffusion_jax.training.execution import FILE, bytes_needed
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import TrainedArm, load_arms

ARMS = {
    "cosine": {"schedule": "cosine"},
    "edm": {"schedule": "edm", "time_sampler": "log_normal"},
    "fast": {"optimizer": "adam(learning_rate=3e-2, decay='cosine')"},
    "huber": {"loss": "pseudo_huber(c=0.1)"},
    "robust": {"loss": "pseudo_huber(c=0.3)", "training": {"ema": "decay(decay=0.5)"}},
    "wide": {"network": "mlp(width=16, depth=1)"},
}


def close(one: TrainedArm, two: TrainedArm) -> bool:
    pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(two.params), strict=True)
    return all(np.allclose(a, b, rtol=2e-3, atol=2e-5) for a, b in pairs)


def trained(config: ConfigDict, folder: Path, **changes: object) -> dict[str, TrainedArm]:
    changed = ConfigDict(config.to_dict())
    changed.run_dir = str(folder)
    with changed.unlocked():
        changed.update_from_flattened_dict(changes)
    return load_arms(train(changed).folder)


@pytest.fixture
def arms(config: ConfigDict) -> ConfigDict:
    config.arms = ConfigDict(ARMS)
    config.training.steps = config.training.checkpoint_every = 6
    return config


def test_arms_together_are_the_arms_alone(
    arms: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one device and on eight, all at once and in parts that fit into memory."""
    together = {"training.execution": "together"}
    everywhere = trained(arms, tmp_path / "eight", **together)
    monkeypatch.setattr(devices, "data_mesh", one_device_mesh(devices.data_mesh))
    apart = trained(arms, tmp_path / "apart")
    whole = trained(arms, tmp_path / "whole", **together)
    for name in ARMS:
        assert close(whole[name], apart[name]) and close(everywhere[name], apart[name]), name

    chosen = json.loads((tmp_path / "whole" / FILE).read_text())["execution"]
    # What differs in numbers alone shares a program; another loss or network does not.
    assert [e["arms"] for e in chosen] == [["cosine", "edm", "fast"], ["huber", "robust"], ["wide"]]
    assert [e["at_once"] for e in chosen] == [3, 2, 1]


def one_device_mesh(make: object) -> object:
    return lambda chosen=None: make(chosen or jax.devices()[:1])  # type: ignore[operator]


@pytest.mark.usefixtures("one_device")
def test_arms_that_do_not_fit_into_memory_are_split(
    arms: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms.arms = ConfigDict({f"a{i}": {"sigma_data": 0.3 + 0.1 * i} for i in range(5)})
    apart = trained(arms, tmp_path / "apart")
    needed: list[int] = []

    def counted(*arguments: object) -> int:
        needed.append(bytes_needed(*arguments))  # type: ignore[arg-type]
        return needed[-1]

    monkeypatch.setattr(execution, "bytes_needed", counted)
    trained(arms, tmp_path / "whole", **{"training.execution": "together"})
    monkeypatch.setattr(devices, "free_memory", lambda: int(needed[0] * 0.9))
    split = trained(arms, tmp_path / "split", **{"training.execution": "together"})
    (chosen,) = json.loads((tmp_path / "split" / FILE).read_text())["execution"]
    assert chosen["at_once"] == 3 and "fit into memory" in chosen["why"]
    assert needed == sorted(needed[:2], reverse=True) + needed[2:] and needed[-1] < needed[0]
    assert all(close(split[name], apart[name]) for name in apart)


@pytest.mark.usefixtures("one_device")
def test_a_measured_choice_is_kept(arms: ConfigDict, tmp_path: Path) -> None:
    del arms.arms["wide"], arms.arms["fast"]
    arms.optimizer = "adam(learning_rate=1e-2)"  # which lets it go on
    auto = {"training.execution": "auto", "training.steps": 4}
    trained(arms, tmp_path / "auto", **auto)
    kept = (tmp_path / "auto" / FILE).read_text()
    assert re.search(r"takes \S+ s together, \S+ s in turn", kept)
    # Turned round, it is what a run that goes on takes: the choice is not made again.
    document = unseal(json.loads(kept))
    for each in document["execution"]:
        each["at_once"] = len(each["arms"]) if each["at_once"] == 1 else 1
    (tmp_path / "auto" / FILE).write_text(json.dumps(document))
    trained(arms, tmp_path / "auto", **auto | {"training.steps": 6})
    assert unseal(json.loads((tmp_path / "auto" / FILE).read_text())) == document
    # Asked for another way, it takes that.
    trained(arms, tmp_path / "auto", **{"training.execution": "apart", "training.steps": 7})
    apart = json.loads((tmp_path / "auto" / FILE).read_text())["execution"]
    assert {each["at_once"] for each in apart} == {1}
    (tmp_path / "auto" / FILE).write_text("{")
    with pytest.raises(UserError, match=r"execution.json is damaged: delete it"):
        trained(arms, tmp_path / "auto", **auto | {"training.steps": 8})


@pytest.mark.usefixtures("one_device")
@pytest.mark.parametrize("execution", ["apart", "together"])
def test_an_arm_that_diverges_is_dropped_and_the_others_go_on(
    config: ConfigDict, tmp_path: Path, execution: str
) -> None:
    config.arms = ConfigDict(
        {
            "good": {"optimizer": "sgd(learning_rate=1e-3, momentum=0.0)"},
            "bad": {"optimizer": "sgd(learning_rate=1e9, momentum=0.0)"},
            "also": {"optimizer": "sgd(learning_rate=2e-3, momentum=0.0)"},
        }
    )
    config.training.execution = execution
    dropping = {"training.diverged": "drop"}
    found = trained(config, tmp_path / "three", **dropping)
    assert found["bad"].diverged is not None and 1 < found["bad"].diverged <= 12
    assert found["good"].diverged is None and found["also"].diverged is None
    rows = read_metrics(tmp_path / "three")
    assert rows["good"]["step"] == [5, 10, 12]
    assert all(np.isfinite(rows[arm]["loss"]).all() for arm in rows)

    del config.arms["bad"]
    alone = trained(config, tmp_path / "two", **dropping)
    assert all(close(found[name], alone[name]) for name in alone)

    # Cut off and started again, it ends with the same numbers and knows what became of the arm.
    config.arms.bad = {"optimizer": "sgd(learning_rate=1e9, momentum=0.0)"}
    cut = ConfigDict({name: config.arms[name].to_dict() for name in ("good", "bad", "also")})
    config.arms = cut
    trained(config, tmp_path / "cut", **dropping, **{"training.steps": 8})
    again = trained(config, tmp_path / "cut", **dropping)
    assert again["bad"].diverged == found["bad"].diverged
    for name in ("good", "also"):
        leaves = zip(
            jax.tree.leaves(again[name].params), jax.tree.leaves(found[name].params), strict=True
        )
        assert all(np.array_equal(a, b) for a, b in leaves)


@pytest.mark.usefixtures("one_device")
def test_where_every_arm_diverges_training_stops(config: ConfigDict, tmp_path: Path) -> None:
    bad = {"optimizer": "sgd(learning_rate=1e9, momentum=0.0)"}
    config.arms = ConfigDict({"one": bad, "two": dict(bad, schedule="edm")})
    with pytest.raises(UserError, match=r"Arm '(one|two)': .* not finite|is (nan|inf)"):
        trained(config, tmp_path / "run", **{"training.diverged": "drop"})


@pytest.mark.parametrize("field", ["execution", "diverged"])
def test_an_unknown_word_is_told_with_those_there_are(config: ConfigDict, field: str) -> None:
    config.training[field] = "aprat"
    with pytest.raises(UserError, match=rf"training.{field} 'aprat'.*apart|.*stop"):
        train(config)
