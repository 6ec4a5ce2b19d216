"""The run folder: what was asked for, with what, and what came of it.

config.json        every setting, as given
data.json          shape of the pictures
conditions.json    what conditioners have learnt: words of captions, names of classes
environment.json   versions, git revision and hardware, one entry per start
metrics.jsonl      see `metrics`
execution.json     how arms are trained: in turn or together
tensorboard/       the same for TensorBoard
checkpoints/       see `checkpoints`

All of JSON is sealed, see `sealed`.
"""

import contextlib
import dataclasses
import json
import operator
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.errors import UserError
from diffusion_jax.files import TEMPORARY, save, user_path
from diffusion_jax.networks.conditioners import ClassLabel, Conditioner
from diffusion_jax.networks.conditioners.base import states
from diffusion_jax.networks.tokenizers import Words
from diffusion_jax.parallel.devices import is_primary
from diffusion_jax.renamed import translated
from diffusion_jax.runs import environment
from diffusion_jax.runs.data_spec import memory_advice, same, with_split
from diffusion_jax.runs.fields import check_fields
from diffusion_jax.runs.lock import LOCK
from diffusion_jax.runs.written import as_dict
from diffusion_jax.sealed import Damaged, read_sealed, save_sealed, seal, unseal

CONFIG, CONDITIONS, DATA = "config.json", "conditions.json", "data.json"
TOKENIZER = "tokenizer.json"  # in its place, in older runs
ENVIRONMENT = "environment.json"
FINGERPRINT, PICTURES = "fingerprint", "pictures"
OBJECTS = "python_objects"  # in configs of runs that were made of objects, not of a config
REMEDY = "put a copy of it back, or delete the run folder to start over"

# What training depends on. Other settings (how to sample, how to report) may change at any time.
DECISIVE = (
    *("seed", "data", "flip", "network", "conditioner", "schedule", "prediction", "time_sampler"),
    *("weighting", "sigma_data", "loss", "preconditioning", "arms", "optimizer", "training"),
    *("fewstep", "teacher", "teacher_guidance", "start_from"),
)
# What older runs were trained with, and are sampled with, whose configs do not say it.
BEFORE: dict[str, Any] = {
    "baseline": "",
    "loss": "squared",
    "preconditioning": "edm",
    "fewstep": "none",
    "teacher": "",
    "teacher_guidance": "none",
    "start_from": "",
    "training": {"execution": "apart", "diverged": "stop", "keep_steps": (), "workers": 0},
    "sampling": {
        "judged_count": 64,
        **dict.fromkeys(("threshold", "operator", "posterior"), "none"),
        "metrics": ("exact_match", "frechet", "kernel", "neighbour_ratio", "copies"),
    },
}
# Of these, what a run may be continued with; see `length` for steps.
CHANGEABLE = tuple(
    f"training.{name}"
    for name in (
        *("steps", "log_every", "checkpoint_every", "keep", "keep_steps"),
        *("execution", "microbatches", "diverged", "workers"),
    )
)


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What a trained network must know of its data set, so that sampling needs no data.

    Attributes:
        shape: of a picture, (height, width, channels); (features,) for vectors.
        states: what the arms' conditioners have learnt of it: key of the condition -> plain data.
        fingerprint: of what is trained on, where the source tells one; "" in older runs.
        pictures: whether examples are pictures; None where their rank alone says it, as older
            runs do.
    """

    shape: tuple[int, ...]
    states: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fingerprint: str = ""
    pictures: bool | None = None

    @property
    def has_pictures(self) -> bool:
        """Whether examples are pictures, which are bytes, not vectors or other arrays."""
        return len(self.shape) == 3 if self.pictures is None else self.pictures

    @staticmethod
    def of(data: Dataset, conditioners: Iterable[Conditioner] = ()) -> "DataFacts":
        """The facts of a data set.

        Args:
            data: the data set.
            conditioners: that have been fit to it.
        """
        fingerprint = getattr(data.train, "fingerprint", "")
        return DataFacts(data.shape, states(conditioners), fingerprint, data.has_pictures)

    def fits(self, there: "DataFacts") -> bool:
        """Whether a run with the facts `there` was trained on this data, as far as it says."""
        known = self.states.keys() <= there.states.keys() and self.agrees(there)
        return known and self.shape == there.shape and there.fingerprint in ("", self.fingerprint)

    def agrees(self, there: "DataFacts") -> bool:
        """Whether what both know of a condition is the same."""
        shared = self.states.keys() & there.states.keys()
        return all(self.states[key] == there.states[key] for key in shared)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder and what its files say.

    Attributes:
        folder: the folder.
        config: the settings.
        facts: of the data set.
    """

    folder: Path
    config: ConfigDict
    facts: DataFacts

    @staticmethod
    def create(config: ConfigDict, facts: DataFacts) -> "Run":
        """Makes the folder `config.run_dir`, or opens it to continue the same run.

        Raises:
            UserError: the folder holds something else, or a run with other settings or data; or
                there is no room. Nothing has been changed then.
        """
        check_config(config)
        folder = user_path(config.run_dir)
        plain = as_plain(config)
        if (folder / CONFIG).exists():
            _refuse_other(folder, plain, facts)
            plain = _as_written_first(_read_config(folder), plain)
        else:
            _refuse_foreign(folder)
        if is_primary():
            try:
                _write(folder, plain, facts)
            except UserError:
                if not is_run(folder):
                    _remove(folder)
                raise
        return Run(folder, from_plain(plain), facts)

    @staticmethod
    def of(config: ConfigDict) -> "Run":
        """Opens the run folder of a config, to use what was trained there.

        Raises:
            UserError: there is none, or it holds a run with other settings.
        """
        check_config(config)
        run = Run.load(config.run_dir)
        _refuse_other(run.folder, as_plain(config), run.facts)
        return run

    @staticmethod
    def load(folder: str | Path) -> "Run":
        """Opens a run folder that exists.

        Raises:
            UserError: it does not exist, is no run folder, or its files cannot be read.
        """
        folder = user_path(folder)
        if not folder.is_dir():
            raise UserError(f"No run folder {folder}. Make one with python -m experiments.train.")
        if not (folder / CONFIG).exists():
            raise UserError(f"{folder} is not a run folder: it has no {CONFIG}.")
        plain = _read_config(folder)
        try:
            config = from_plain(plain)
        except ValueError as error:
            raise UserError(f"{folder / CONFIG} is damaged: {REMEDY} ({error}).") from None
        return Run(folder, config, _read_facts(folder))


def check_config(config: ConfigDict) -> None:
    """Raises UserError unless a config has its fields; one of objects was made by the program."""
    if not of_objects(config):
        check_fields(config)


def of_objects(config: ConfigDict) -> bool:
    """Whether a run was made of Python objects, which its config cannot make again."""
    return OBJECTS in config


def _read_config(folder: Path) -> dict[str, Any]:
    plain = read_sealed(folder / CONFIG, REMEDY)
    if not isinstance(plain, dict):
        raise UserError(f"{folder / CONFIG} is damaged: {REMEDY} (it holds no config).")
    try:
        plain = completed(plain)
    except TypeError:
        raise UserError(
            f"{folder / CONFIG} is damaged: {REMEDY} (a section of it is none)."
        ) from None
    saved = read_sealed(folder / DATA, REMEDY)
    if isinstance(saved, dict) and FINGERPRINT not in saved and isinstance(plain.get("data"), str):
        plain["data"] = with_split(plain["data"], "captions")
    return plain


def completed(plain: dict[str, Any]) -> dict[str, Any]:
    """A config with today's names, and the fields that were added since it was written."""
    plain = translated(plain)
    sections = {name: BEFORE[name] | plain.get(name, {}) for name in ("training", "sampling")}
    return {**BEFORE, **plain, **sections}


def _read_facts(folder: Path) -> DataFacts:
    data = read_sealed(folder / DATA, REMEDY)
    try:
        shape = tuple(map(operator.index, data["shape"]))
        fingerprint = str(data.get(FINGERPRINT, ""))
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{folder / DATA} is damaged: {REMEDY} (shape is missing).") from None
    return DataFacts(
        shape, _read_states(folder, data), fingerprint, data.get(PICTURES, len(shape) == 3)
    )


def _read_states(folder: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """What conditioners had learnt."""
    if (folder / CONDITIONS).exists() or not (folder / TOKENIZER).exists():
        found = read_sealed(folder / CONDITIONS, REMEDY)
        if not isinstance(found, dict):
            raise UserError(f"{folder / CONDITIONS} is damaged: {REMEDY}.")
        return found
    try:
        words = Words().restored(read_sealed(folder / TOKENIZER, REMEDY))
        labels = ClassLabel().restored({"label": data["class_names"]})
    except UserError as error:
        raise UserError(f"{folder / TOKENIZER} is damaged: {error}") from error
    except (KeyError, TypeError):
        raise UserError(f"{folder / DATA} is damaged: {REMEDY} (class_names is missing).") from None
    return {"tokens": words.state()} | labels.state()


def is_run(folder: str | Path) -> bool:
    """Whether a folder is a run folder."""
    return (user_path(folder) / CONFIG).exists()


def as_plain(config: ConfigDict) -> dict[str, Any]:
    """A config as JSON would give it back, in the order in which it was written."""
    plain: dict[str, Any] = json.loads(json.dumps(as_dict(config)))
    return plain


def from_plain(plain: dict[str, Any]) -> ConfigDict:
    """The inverse of `as_plain`; lists become tuples again.

    Raises:
        ValueError: it is nested more deeply than any config.
    """
    try:
        return ConfigDict(_tuples(plain))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _write(folder: Path, plain: dict[str, Any], facts: DataFacts) -> None:
    starts = [*_read_starts(folder / ENVIRONMENT), environment.describe()]
    save(json.dumps([seal(start) for start in starts], indent=2) + "\n", folder / ENVIRONMENT)
    save_sealed(dict(facts.states), folder / CONDITIONS)
    known = {"shape": facts.shape, FINGERPRINT: facts.fingerprint, PICTURES: facts.has_pictures}
    save_sealed(known, folder / DATA)
    # Last, as it makes the folder a run folder.
    save_sealed(plain, folder / CONFIG)


def _read_starts(path: Path) -> list[dict[str, Any]]:
    """What was said of each start so far; none if there is no such file."""
    if not path.exists():
        return []
    remedy = "delete it to go on, without what it says of earlier starts"
    starts = read_sealed(path, remedy)
    if not isinstance(starts, list):
        raise UserError(f"{path} is damaged: {remedy} (it holds no list of starts).")
    try:
        return [unseal(start) for start in starts]
    except Damaged as error:
        raise UserError(f"{path} is damaged: {remedy} ({error}).") from None


def _remove(folder: Path) -> None:
    """Removes what a start that failed has written."""
    for name in (ENVIRONMENT, CONDITIONS, DATA):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds a lock, which will remove it
        folder.rmdir()


def clear(folder: Path) -> None:
    """Removes a run of which nothing has been trained, so that the folder serves another."""
    for path in folder.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _refuse_foreign(folder: Path) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"run_dir {folder} is a file: choose a new folder.")
        return
    ours = (CONDITIONS, TOKENIZER, DATA, ENVIRONMENT, LOCK)  # of a start that was cut off
    names = [path.name for path in sorted(folder.iterdir())]
    foreign = [n for n in names if n not in ours and not n.endswith(TEMPORARY)]
    if foreign:
        raise UserError(
            f"run_dir {folder} is not empty ({', '.join(foreign[:3])}) and no run folder: "
            "choose an empty or new folder."
        )


def _refuse_other(folder: Path, plain: dict[str, Any], facts: DataFacts) -> None:
    there, here = (
        {key: value for key, value in decisive(each) if key not in CHANGEABLE}
        for each in (_read_config(folder), completed(plain))
    )
    advice = "Choose another --config.run_dir, or delete the folder to start over."
    for key in sorted(there.keys() | here.keys()):
        old, new = there.get(key), here.get(key)
        if not same(key, old, new):
            raise UserError(f"{folder} holds a run with {key} = {old!r}, not {new!r}. {advice}")
    if not facts.fits(Run.load(folder).facts):
        raise UserError(
            f"{folder} holds a run on other training pictures, or captions or classes with other "
            f"words: the data set has changed.{memory_advice(plain['data'])} {advice}"
        )


def _as_written_first(there: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """The config `here`, with what decides training written as `there` where it is the same.

    Checkpoints are known by how it is written.
    """

    def kept(field: str, old: Any, new: Any) -> Any:
        if isinstance(old, dict) and isinstance(new, dict):
            return {key: kept(key, old.get(key), value) for key, value in new.items()}
        return old if same(field, old, new) else new

    return {k: kept(k, there.get(k), v) if k in DECISIVE else v for k, v in here.items()}


def decisive(plain: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Full names and values of the fields that training depends on, and how long it takes."""
    for key, value in flat(plain):
        if key.split(".")[0] in DECISIVE:
            yield key, value


def flat(plain: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Full names, such as "training.steps", and values of the fields of a config."""
    for key, value in plain.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
