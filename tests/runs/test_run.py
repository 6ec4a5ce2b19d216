"""The run folder: what it holds, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from diffusion_jax import files
from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.sets.folder import dataset as folder_set
from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners import ClassLabel, TextTransformer
from diffusion_jax.runs.run import DataFacts, Run, is_run
from experiments.config_files import load_config


@pytest.fixture
def facts() -> DataFacts:
    data = datasets.make("points()")
    return DataFacts.of(data, [TextTransformer().fit(data), ClassLabel().fit(data)])


def test_a_run_folder_holds_all_that_the_run_depended_on(
    config: ConfigDict, facts: DataFacts
) -> None:
    folder = Run.create(config, facts).folder
    (start,) = json.loads((folder / "environment.json").read_text())
    assert {"python", "jax", "flax", "optax", "numpy"} <= start["versions"].keys()
    assert start["hardware"]["devices"] == 8 and start["hardware"]["backend"] == "cpu"
    assert start["git"] is None or len(start["git"]["revision"]) == 40
    loaded = Run.load(folder)
    assert loaded.config.to_dict() == config.to_dict()
    assert loaded.config.sampling.solvers == config.sampling.solvers  # a tuple again
    assert loaded.facts == facts and facts.shape == (6,)


def test_what_does_not_touch_training_may_change(config: ConfigDict, facts: DataFacts) -> None:
    Run.create(config, facts)
    config.training.steps = 99
    config.sampling.count = 7
    folder = Run.create(config, facts).folder
    assert Run.load(folder).config.training.steps == 99
    assert len(json.loads((folder / "environment.json").read_text())) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 1), ("training.batch_size", 64), ("arms.edm.schedule", "ve"), ("flip", True)],
)
def test_another_training_is_refused(
    config: ConfigDict, facts: DataFacts, field: str, value: object
) -> None:
    folder = Run.create(config, facts).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=rf"{field} = .*, not {value!r}. Choose another"):
        Run.create(config, facts)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_same_specs_written_otherwise_are_the_same_run(
    config: ConfigDict, facts: DataFacts
) -> None:
    config.optimizer = "adam(learning_rate=1e-3)"
    Run.create(config, facts)
    config.optimizer = " adam( learning_rate = 0.001 )"
    config.arms.edm.schedule += "()"
    config.training.ema = "decay( decay=0.9990 )"
    again = Run.create(config, facts)
    Run.of(config)
    # As it was written first, by which checkpoints are known.
    assert again.config.optimizer == "adam(learning_rate=1e-3)"
    assert not again.config.arms.edm.schedule.endswith("()")
    assert Run.load(again.folder).config.to_dict() == again.config.to_dict()


def test_changed_data_is_refused(config: ConfigDict, facts: DataFacts) -> None:
    Run.create(config, facts)
    with pytest.raises(UserError, match="the data set has changed"):
        Run.create(config, dataclasses.replace(facts, shape=(7,)))


def test_a_folder_with_other_things_is_left_alone(config: ConfigDict, facts: DataFacts) -> None:
    folder = Path(config.run_dir)
    folder.mkdir()
    (folder / "thesis.tex").write_text("")
    with pytest.raises(UserError, match=r"not empty \(thesis.tex\)"):
        Run.create(config, facts)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_named(config: ConfigDict, facts: DataFacts) -> None:
    Path(config.run_dir).write_text("")
    with pytest.raises(UserError, match="is a file"):
        Run.create(config, facts)


def test_a_start_that_was_cut_off_is_no_obstacle(config: ConfigDict, facts: DataFacts) -> None:
    folder = Run.create(config, facts).folder
    (folder / "config.json").rename(folder / "config.json.tmp")
    assert Run.create(config, facts).folder == folder


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("data.json", "{}", "data.json is damaged"),
        ("data.json", '{"shape": ["a"]}', "data.json is damaged"),
        ("conditions.json", "[]", "conditions.json is damaged"),
        ("config.json", "[]", "config.json is damaged"),
        ("config.json", None, "not a run folder"),
        ("conditions.json", None, "conditions.json is damaged"),
    ],
)
def test_damage_is_named(
    config: ConfigDict, facts: DataFacts, name: str, text: str | None, message: str
) -> None:
    folder = Run.create(config, facts).folder
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(UserError, match=message):
        Run.load(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "data.json", "conditions.json", "environment.json"]
)
def test_no_flipped_bit_changes_what_a_run_folder_says(
    config: ConfigDict, facts: DataFacts, name: str
) -> None:
    path = Run.create(config, facts).folder / name
    run, whole = Run.load(config.run_dir), path.read_bytes()
    random = np.random.default_rng(0)
    refused: list[str] = []
    for place, bit in zip(
        random.integers(0, len(whole), 60), random.integers(0, 8, 60), strict=True
    ):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        try:
            if name == "environment.json":
                Run.create(config, facts)
                assert json.loads(path.read_text())[0] == json.loads(whole)[0]
            else:
                found = Run.load(config.run_dir)
                assert found.facts == run.facts and found.config.to_dict() == run.config.to_dict()
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 30
    assert all(f"{name} is damaged: " in line and "\n" not in line for line in refused)


def test_a_damaged_list_of_starts_is_named(config: ConfigDict, facts: DataFacts) -> None:
    (Run.create(config, facts).folder / "environment.json").write_text("{}")
    with pytest.raises(UserError, match="environment.json is damaged"):
        Run.create(config, facts)


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No run folder"):
        Run.load(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "note"
    files.save("old", path)

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(UserError, match=r"No room on disk for .*note"):
        files.save("new", path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_tilde_in_run_dir_is_the_home_folder(
    config: ConfigDict, facts: DataFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config.run_dir = "~/run"
    assert Run.create(config, facts).folder == Run.of(config).folder == tmp_path / "run"
    assert is_run("~/run") and load_config("~/run").run_dir == str(tmp_path / "run")
    assert not Path("~").exists()


def test_other_training_pictures_are_refused(config: ConfigDict, facts: DataFacts) -> None:
    seen = dataclasses.replace(facts, fingerprint="abc")
    folder = Run.create(config, seen).folder
    assert Run.create(config, seen).facts == Run.load(folder).facts == seen
    with pytest.raises(UserError, match="other training pictures.*the data set has changed"):
        Run.create(config, dataclasses.replace(facts, fingerprint="abd"))


def test_a_folder_that_is_no_longer_kept_in_memory_goes_on_where_the_line_says(
    tmp_path: Path, config: ConfigDict, facts: DataFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, lines = np.random.default_rng(0), []
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(tmp_path / f"{k}.png")
        lines.append(json.dumps({"file_name": f"{k}.png", "text": "noise"}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))

    def opened(data: str) -> tuple[ConfigDict, DataFacts]:
        config.data = data
        made = datasets.make(data)
        own = getattr(made.train, "fingerprint")  # noqa: B009
        return config, dataclasses.replace(facts, fingerprint=own)

    spec = f"folder(path={str(tmp_path)!r}, size=4, held_out=0.4"
    folder = Run.create(*opened(f"{spec})")).folder
    monkeypatch.setattr(folder_set, "KEPT", 0)  # as if there were more than 4 GiB
    with pytest.raises(UserError, match=r"folder keeps .* go on with memory=True") as refused:
        Run.create(*opened(f"{spec})"))
    assert "\n" not in str(refused.value)
    Run.create(*opened(f"{spec}, memory=True)"))
    assert Run.load(folder).config.data == f"{spec})"  # as checkpoints know it
    with pytest.raises(UserError, match="memory=True in config.data: go on with that"):
        Run.create(*opened(f"{spec}, memory=False)"))


def test_runs_that_are_older_than_the_split_by_pictures_keep_theirs(
    config: ConfigDict, facts: DataFacts
) -> None:
    seen = dataclasses.replace(facts, fingerprint="abc")
    before, kept = "folder(path='pictures')", "folder(path='pictures', split='captions')"
    config.data = before
    folder = Run.create(config, seen).folder
    assert Run.load(folder).config.data == before
    told = json.loads((folder / "data.json").read_text())
    older = {name: told[name] for name in ("shape",)}
    (folder / "data.json").write_text(json.dumps(older))
    assert Run.load(folder).config.data == kept
    with pytest.raises(UserError, match=r"data = .*split='captions'.*, not .*\(path='pictures'\)"):
        Run.create(config, seen)
    config.data = kept
    Run.create(config, seen)
    assert Run.load(folder).config.data == kept


def test_folders_in_which_words_had_a_file_of_their_own_are_read(
    config: ConfigDict, facts: DataFacts
) -> None:
    folder = Run.create(config, facts).folder
    words, names = facts.states["tokens"], facts.states["label"]
    (folder / "conditions.json").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(words))
    (folder / "data.json").write_text(json.dumps({"shape": facts.shape, "class_names": names}))
    assert Run.load(folder).facts == facts
    # An arm that reads classes alone goes on there.
    only = dataclasses.replace(facts, states={"label": names})
    assert Run.create(config, only).facts == Run.load(folder).facts == only
    (folder / "conditions.json").unlink()
    (folder / "tokenizer.json").write_text("[]")
    with pytest.raises(UserError, match="tokenizer.json is damaged"):
        Run.load(folder)
