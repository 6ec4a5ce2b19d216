"""Checkpoints: exact, on any number of devices; damage and misfits told in one line."""

import json
import shutil
import sys
import zlib
from collections import namedtuple
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax import files
from diffusion_jax.errors import UserError
from diffusion_jax.parallel.devices import data_mesh, replicate, replicated
from diffusion_jax.runs import first_format, packing
from diffusion_jax.runs.checkpoints import Checkpoint, Checkpoints, _shapes
from diffusion_jax.runs.fingerprints import fingerprint
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.optimizers import Adam

POSITION = {"data": {"examples": 48}, "log": [{"a": {"loss": 0.1}}]}


def make_states(seed: int, devices: int = 2, width: int = 40) -> dict[str, TrainState]:
    w = np.random.default_rng(seed).standard_normal((30, width), np.float32)
    state = TrainState.create({"w": jnp.asarray(w)}, Adam(steps=1).transformation())
    return {"a": replicate(state, data_mesh(jax.devices()[:devices]))}


def template(states: dict[str, TrainState], devices: int = 1) -> Any:
    sharding = replicated(data_mesh(jax.devices()[:devices]))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), states)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with checkpoints of steps 2 and 3."""
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, make_states(step), POSITION)
    return tmp_path


def restore(folder: Path, states: dict[str, TrainState] | None = None) -> Checkpoint | None:
    with Checkpoints(folder, keep=0) as checkpoints:
        return checkpoints.restore(template(states or make_states(0)))


def same(states: dict[str, TrainState], others: dict[str, TrainState]) -> bool:
    equal = jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), states, others)
    return all(jax.tree.leaves(equal))


@pytest.mark.parametrize("devices", [1, 8])
def test_the_newest_comes_back_exactly_on_any_devices(folder: Path, devices: int) -> None:
    with Checkpoints(folder, keep=2) as checkpoints:
        assert checkpoints.steps() == [2, 3]
        found = checkpoints.restore(template(make_states(0), devices))
        assert found is not None and found.step == 3 and found.position == POSITION
        assert same(found.states, make_states(3))
        assert len(found.states["a"].params["w"].sharding.device_set) == devices
        older = checkpoints.restore(template(make_states(0)), step=2)
        assert older is not None and same(older.states, make_states(2))


def test_the_state_may_be_changed_while_it_is_written(tmp_path: Path) -> None:
    overwrite = jax.jit(lambda s: jax.tree.map(lambda x: x * 0 - 1, s), donate_argnums=0)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        states = make_states(5)
        checkpoints.save(1, states, {})
        jax.block_until_ready(overwrite(states))
    found = restore(tmp_path)
    assert found is not None and same(found.states, make_states(5))


def data_file(step_folder: Path) -> Path:
    return max(step_folder.rglob("ocdbt.process_0/d/*"), key=lambda path: path.stat().st_size)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip_a_byte, cut_in_half, Path.unlink])
@pytest.mark.parametrize(
    "find", [data_file, lambda f: f / "loop" / "metadata", lambda f: f / "state" / "manifest.ocdbt"]
)
def test_damage_is_told_with_the_way_out(folder: Path, damage: Any, find: Any) -> None:
    damage(find(folder / "checkpoints" / "3"))
    with pytest.raises(UserError) as caught:
        restore(folder)
    line = str(caught.value)
    assert f"{folder}/checkpoints/3 is damaged" in line and "\n" not in line
    assert line.endswith("Delete it to go on from step 2, which is intact.")
    shutil.rmtree(folder / "checkpoints" / "3")
    found = restore(folder)
    assert found is not None and found.step == 2


def test_altered_digits_in_the_position_are_noticed(folder: Path) -> None:
    path = folder / "checkpoints" / "3" / "loop" / "metadata"
    path.write_text(path.read_text().replace('"examples": 48', '"examples": 49'))
    with pytest.raises(UserError, match="JSON part has been altered"):
        restore(folder)


def test_a_checkpoint_of_another_network_is_refused(folder: Path) -> None:
    message = r"does not fit this config: a/ema/w is float32\[30, 40\] there and float32\[30, 50\]"
    with pytest.raises(UserError, match=message):
        restore(folder, make_states(0, width=50))


def test_a_checkpoint_of_other_arms_is_refused(folder: Path) -> None:
    states = {"b": make_states(0)["a"]}
    with pytest.raises(UserError, match=r"a/ema/w is .* there and missing here"):
        restore(folder, states)


def test_a_step_that_is_not_there_is_named(folder: Path) -> None:
    with Checkpoints(folder, keep=0) as checkpoints:
        with pytest.raises(UserError, match=r"no checkpoint of step 7. It has: 2, 3"):
            checkpoints.restore(template(make_states(0)), step=7)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "weights.pt").write_text("")
    with pytest.raises(UserError, match=r"no checkpoint of this program .*weights.pt"):
        restore(tmp_path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    for keep in (0, 1):
        with pytest.raises(UserError, match="checkpoints is a file"):
            Checkpoints(tmp_path, keep)


def test_a_first_write_that_was_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "6.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    assert restore(tmp_path) is None
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert checkpoints.restore(template(make_states(0))) is None
        checkpoints.save(6, make_states(6), {})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["6"]


def test_a_step_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "100").mkdir(parents=True)
    (tmp_path / "checkpoints" / "100" / "model.bin").write_text("")
    with pytest.raises(UserError, match="100 is damaged"):
        restore(tmp_path)


def test_numbers_that_are_not_finite_are_not_saved(folder: Path) -> None:
    states = make_states(4)
    states["a"] = states["a"].__class__(
        states["a"].step, {"w": states["a"].params["w"].at[3, 3].set(jnp.nan)}, (), {}
    )
    with Checkpoints(folder, keep=2) as checkpoints:
        with pytest.raises(UserError, match=r"'a' .* not finite .*last good .*checkpoints/3"):
            checkpoints.save(4, states, {})
        assert checkpoints.steps() == [2, 3]


def test_no_room_is_noticed_before_writing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with Checkpoints(folder, keep=2) as checkpoints:
        monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage(0, 0, 1000))
        with pytest.raises(UserError, match=r"No room on disk .* are free.*last good .*/3"):
            checkpoints.save(4, make_states(4), {})
        assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["2", "3"]


def test_a_disk_that_fills_up_while_writing_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Checkpoints(folder, keep=2) as checkpoints:
        checkpoints.save(4, make_states(4), {})
        real = checkpoints._manager.wait_until_finished
        real()
        remnant = folder / "checkpoints" / "5.orbax-checkpoint-tmp"
        remnant.mkdir()

        def fail() -> None:
            raise ValueError("RESOURCE_EXHAUSTED: No space left on device [os_error_code='28']")

        monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)
        with pytest.raises(UserError, match="No room on disk"):
            checkpoints.wait()
        monkeypatch.undo()
        assert not remnant.exists() and checkpoints.steps() == [3, 4]


def test_states_of_several_dtypes_are_joined_and_split_again() -> None:
    mesh = data_mesh(jax.devices()[:2])
    params = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3, jnp.bfloat16), "c": jnp.ones(())}
    states = {"x": replicate(TrainState.create(params, Adam(steps=1).transformation()), mesh)}
    whole = packing.join(states)
    assert set(whole["x"]) == {"float32", "bfloat16", "int32"}
    assert all(each.ndim == 1 for each in whole["x"].values())
    assert same(packing.split(whole, template(states, devices=8)), states)
    found = packing.shapes(template(states))["x"]
    assert {dtype: each.shape for dtype, each in found.items()} == {
        dtype: each.shape for dtype, each in whole["x"].items()
    }
    for dtype in whole["x"]:
        altered = {name: each.copy() for name, each in whole["x"].items()}
        altered[dtype].view(np.uint8)[-1] ^= 1
        assert packing.digest(altered) != packing.digest(whole["x"])


def test_a_checkpoint_of_the_first_format_is_read_and_checked(tmp_path: Path) -> None:
    import orbax.checkpoint as ocp

    states = make_states(7)
    document = {
        "format": 1,
        "step": 5,
        "arrays": _shapes(states),
        "fingerprints": {"a": int(fingerprint(states["a"]))},
        "position": POSITION,
    }
    crc = zlib.crc32(json.dumps(document, sort_keys=True).encode())
    for step, own in ((5, states), (6, make_states(8))):
        with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
            parts = ocp.args.Composite(
                state=ocp.args.StandardSave(first_format.as_saved(own)),
                loop=ocp.args.JsonSave({**document, "crc": crc}),
            )
            manager.save(step, args=parts)
    with Checkpoints(tmp_path, keep=0, identity=lambda step: {"settings": "0"}) as checkpoints:
        found = checkpoints.restore(template(states, devices=8), step=5)
        assert found is not None and found.position == POSITION and same(found.states, states)
        with pytest.raises(UserError, match="the numbers of arm 'a' have been altered"):
            checkpoints.restore(template(states))


def test_damage_to_one_of_many_arms_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    states = {f"arm{i}": make_states(i)["a"] for i in range(24)}
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(1, states, {})
    (tmp_path / "checkpoints" / "1" / "state" / "manifest.ocdbt").write_bytes(b"")
    with pytest.raises(UserError, match="checkpoints/1 is damaged"):
        restore(tmp_path, states)
    assert told == [] and sys.unraisablehook == told.append


def test_every_bit_counts_in_a_fingerprint_and_devices_do_not() -> None:
    tree = {"a": jnp.arange(6.0), "b": jnp.int32(3), "c": jnp.ones((2, 3), jnp.bfloat16)}
    whole = int(fingerprint(tree))
    assert int(jax.jit(fingerprint)(replicate(tree, data_mesh()))) == whole
    for place in range(6):
        for bit in (0, 13, 31):
            bits = np.arange(6, dtype=np.float32).view(np.uint32)
            bits[place] ^= np.uint32(1 << bit)
            altered = {**tree, "a": jnp.asarray(bits.view(np.float32))}
            assert int(fingerprint(altered)) != whole
    assert int(fingerprint({**tree, "a": tree["a"][::-1]})) != whole
