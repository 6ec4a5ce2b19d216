"""What a comparison from Python is given, as trained arms and a data set with test examples."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.runs.progress import Progress
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.load import TrainedRun
from diffusion_jax.training.own_data import as_dataset
from diffusion_jax.training.train import train
from diffusion_jax.training.trained import TrainedArm

Arms = Mapping[str, TrainedArm] | TrainedRun | Arm | TrainedArm | Iterable[Arm | TrainedArm]


def by_name(arms: Arms) -> dict[str, Arm | TrainedArm]:
    """The arms that users gave, by their names.

    Raises:
        UserError: none, two of one name, or something else.
    """
    if isinstance(arms, TrainedRun):
        arms = arms.arms
    if isinstance(arms, Mapping):
        found = list(arms.items())
    else:
        if isinstance(arms, Arm | TrainedArm) or not isinstance(arms, Iterable):
            arms = [arms]
        found = [(_name(each), each) for each in arms]
    if not all(isinstance(arm, Arm | TrainedArm) for _, arm in found):
        raise UserError(
            "dj.compare takes arms: what dj.train(…) or dj.load_run(…) returned, or dj.Arm(…), one "
            "or several."
        )
    if not found:
        raise UserError("There are no arms to compare.")
    if len(dict(found)) < len(found):
        names = ", ".join(str(name) for name, _ in found)
        raise UserError(f"Two arms have one name ({names}): give a dict, name -> trained arm.")
    return dict(found)


def _name(arm: Any) -> str:
    return str(getattr(arm.arm if isinstance(arm, TrainedArm) else arm, "name", ""))


def untrained(arms: Mapping[str, Arm | TrainedArm]) -> list[Arm]:
    """Those that are not trained."""
    return [arm for arm in arms.values() if isinstance(arm, Arm)]


def all_trained(
    arms: Mapping[str, Arm | TrainedArm],
    data: Dataset,
    training: Mapping[str, Any] | None,
    progress: Progress,
) -> dict[str, TrainedArm]:
    """Trains the arms that are not, side by side.

    Args:
        arms: by name.
        data: the data set.
        training: options of `train`; None where all arms are trained.
        progress: where to show it.

    Raises:
        UserError: an arm is not trained and there are no options, or there are and all are; and
            as `train` does.
    """
    wanted = untrained(arms)
    if training is None:
        if wanted:
            raise UserError(
                f"Arm {wanted[0].name!r} is not trained: train it with dj.train first, or say how "
                "with training={'steps': 1000, 'batch_size': 64}."
            )
        made: dict[str, TrainedArm] = {}
    else:
        if not isinstance(training, Mapping):
            raise UserError(f"training must be a dict of dj.train's options, got {training!r}.")
        if not wanted:
            raise UserError("All arms are trained already: leave training out.")
        made = train(wanted, data, **checked(training), progress=progress)
    return {name: made[arm.name] if isinstance(arm, Arm) else arm for name, arm in arms.items()}


def checked(training: Mapping[str, Any]) -> dict[str, Any]:
    """The options, if `train` has them.

    Raises:
        UserError: one that it has not, or one that is missing.
    """
    known = inspect.signature(train).parameters.keys() - {"arms", "data", "progress"}
    for name in training:
        one_of(name, known, "option of dj.train")
    for name in ("steps", "batch_size"):
        if name not in training:
            raise UserError(f"training needs {name!r}, as dj.train does.")
    return dict(training)


def with_test(data: Any, arms: Mapping[str, Arm | TrainedArm]) -> Dataset:
    """A data set whose test examples samples can be held against.

    Args:
        data: a `Dataset`; or, where no arm has seen any of it, an array, or an array and its
            condition, of which a tenth is held out.
        arms: that are compared.

    Raises:
        UserError: it is none of these, or has no test examples.
    """
    if not isinstance(data, Dataset):
        fresh = len(untrained(arms)) == len(arms)
        if not fresh or not (hasattr(data, "dtype") or isinstance(data, tuple)):
            raise UserError(
                "dj.compare needs a Dataset, whose test examples samples are held against, not a "
                f"{type(data).__name__}: see dj.data.arrays. (Of an array x0, or a pair (x0, "
                "condition), it holds a tenth out itself where no arm is trained yet.)"
            )
        as_dataset(data)  # refuses what is neither
        x0, condition = data if isinstance(data, tuple) else (data, {})
        data = arrays(x0, **condition)
    if not len(data.test):
        raise UserError(
            f"Data set {data.name!r} has no test examples, which samples are held against: make it "
            "with dj.data.arrays(…, held_out=0.1), or give it a test split."
        )
    return data
