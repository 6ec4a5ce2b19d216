"""Checkpoints: everything a run needs to go on, written in the background, whole or not at all.

A checkpoint is a folder named after its step: the states of all arms, joined to a few long arrays
(see `packing`) that orbax writes, and a small JSON file with the position in the data, the metrics
not yet logged, the run that it is of, and checksums by which damage is noticed. A write that is
cut off leaves the earlier checkpoints as they were.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from jaxtyping import PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.files import disk_errors, free_room, no_room
from diffusion_jax.runs import first_format, packing
from diffusion_jax.runs.state import all_finite
from diffusion_jax.runs.stragglers import stragglers_hushed
from diffusion_jax.sealed import Damaged, seal, unseal

FORMAT = 2
FOLDER = "checkpoints"
UNFINISHED = ".orbax-checkpoint-tmp"  # in the names of folders that orbax is writing
States = dict[str, Any]
"""Arm -> its state, any pytree of arrays"""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A restored checkpoint.

    Attributes:
        step: updates made.
        states: arm -> state.
        position: what `save` was given besides.
    """

    step: int
    states: States
    position: dict[str, Any]


class Checkpoints:
    """The checkpoints of a run folder.

    Use as a context manager: leaving it waits for what is still being written.

    Args:
        run_folder: the run folder.
        keep: how many of the newest to keep; 0 to read only, which any process can do alone, also
            while another trains.
        always: steps whose checkpoints are kept besides.
        identity: step -> what its numbers depend on, by name, and a checksum of each; a checkpoint
            with others is refused.

    Raises:
        UserError: no room for the folder, or none to read.
    """

    def __init__(
        self,
        run_folder: Path,
        keep: int,
        always: Iterable[int] = (),
        identity: Callable[[int], Mapping[str, str]] = lambda step: {},
    ):
        import orbax.checkpoint as ocp  # slow to import

        self.folder = Path(run_folder).absolute() / FOLDER
        self._ocp, self._identity = ocp, identity
        if self.folder.is_file():
            raise UserError(f"{self.folder} is a file, where the folder of checkpoints should be.")
        if keep == 0 and not self.folder.is_dir():
            raise UserError(f"{run_folder} has no checkpoint yet: train it first.")
        options = _writing(keep, tuple(always)) if keep else _reading()
        with disk_errors(self.folder):
            self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.wait()
        except UserError:
            if error is None:
                raise
        finally:
            self._manager.close()

    def steps(self) -> list[int]:
        """Steps of which there is a complete checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def save(
        self,
        step: int,
        states: States,
        position: dict[str, Any],
        dropped: frozenset[str] = frozenset(),
    ) -> None:
        """Starts writing a checkpoint; returns once `states` may be changed.

        Args:
            step: updates made.
            states: arm -> state.
            position: JSON-able, what else is needed to go on.
            dropped: arms whose numbers are no longer looked at, finite or not.

        Raises:
            UserError: no room on disk, for this checkpoint or the one before; or a number that is
                not finite. Earlier checkpoints stay.
        """
        arrays = packing.join(states)
        for arm, own in arrays.items():
            if arm not in dropped and not all_finite(own):
                raise UserError(
                    f"Arm {arm!r} has parameters that are not finite after step {step}: "
                    f"not saved. {self.last_good()}"
                )
        self.wait()
        try:
            check_room(self.folder / str(step), states)
        except UserError as error:
            raise UserError(f"{error} {self.last_good()}") from error
        document = {
            "format": FORMAT,
            "step": step,
            "run": dict(self._identity(step)),
            "arrays": _shapes(states),
            "checksums": {arm: packing.digest(own) for arm, own in arrays.items()},
            "position": position,
        }
        parts = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave(arrays),
            loop=self._ocp.args.JsonSave(seal(document)),
        )
        with disk_errors(self.folder / str(step), lambda: self._remnants(step)):
            self._manager.save(step, args=parts)

    def wait(self) -> None:
        """Returns once everything is on disk.

        Raises:
            UserError: no room on disk; what was written of that checkpoint is removed.
        """
        with disk_errors(self.folder, lambda: self._remnants("*")), stragglers_hushed():
            self._manager.wait_until_finished()

    def _remnants(self, step: int | str) -> list[Path]:
        return list(self.folder.glob(f"{step}{UNFINISHED}*"))

    def last_good(self) -> str:
        """One sentence that names the newest checkpoint."""
        steps = self.steps()
        if not steps:
            return "There is no checkpoint yet."
        return f"The last good checkpoint is {self.folder / str(steps[-1])}."

    def restore(
        self, template: States, step: int | None = None, part: bool = False
    ) -> Checkpoint | None:
        """Reads a checkpoint, the newest one unless a step is given.

        Args:
            template: arm -> state, of arrays or `jax.ShapeDtypeStruct` with shardings: what the
                checkpoint must hold, and where its arrays go. The number of devices may differ
                from the one that it was written with. A leaf without a sharding stays as it is.
            step: which one.
            part: whether the checkpoint may hold other arms besides, which are not read then.

        Returns:
            The checkpoint; None if there is none and no step was asked for.

        Raises:
            UserError: damaged, of another format, or not of this config; the message says what
                to do.
        """
        steps = self.steps()
        if step is None and not steps:
            self._refuse_foreign()
            return None
        chosen = steps[-1] if step is None else step
        if chosen not in steps:
            listed = ", ".join(map(str, steps)) or "none"
            raise UserError(f"{self.folder} has no checkpoint of step {chosen}. It has: {listed}.")
        position = self._read(chosen, template, part)
        if isinstance(position, _Damage):
            raise UserError(self._advice(chosen, position.reason, template, part))
        return position

    def _refuse_foreign(self) -> None:
        # Writing was cut off: orbax removes what is unfinished, perhaps at this moment.
        names = sorted(path.name for path in self.folder.iterdir())
        files = [name for name in names if UNFINISHED not in name]
        if files:
            raise UserError(
                f"{self.folder} holds no checkpoint of this program but other files "
                f"({', '.join(files[:3])}): move them away, or choose another run_dir."
            )

    def _read(self, step: int, template: States, part: bool) -> "Checkpoint | _Damage":
        """The checkpoint, or what is wrong with its files; a misfit raises UserError."""
        try:
            document = _checked(self._restore(step, loop=self._ocp.args.JsonRestore()).loop)
        except Exception as error:  # whatever orbax and its libraries make of damaged files
            return _Damage(_first_line(error))
        if part:
            document = _only(document, template)
        self._check_fit(step, template, document)
        try:
            states = self._read_states(step, template, document, part)
        except Exception as error:
            return _Damage(_first_line(error))
        return Checkpoint(step, states, document["position"])

    def _check_fit(self, step: int, template: States, document: dict[str, Any]) -> None:
        """Raises UserError unless a checkpoint is of this program, this run and this config."""
        place = self.folder / str(step)
        if document["format"] not in (1, FORMAT):
            raise UserError(
                f"Checkpoint {place} has format {document['format']}, this program reads "
                f"formats 1 and {FORMAT}."
            )
        known = self._identity(step)
        for what, theirs in document.get("run", {}).items():
            if known.get(what, theirs) != theirs:
                raise UserError(
                    f"Checkpoint {place} was made with other {what} than its folder has: it is "
                    "another run's, or they have changed since. Put back what was there, or "
                    "choose another run_dir."
                )
        difference = _difference(document["arrays"], _shapes(template))
        if difference:
            raise UserError(f"Checkpoint {place} does not fit this config: {difference}")

    def _read_states(
        self, step: int, template: States, document: dict[str, Any], part: bool
    ) -> States:
        wanted: PyTree = packing.shapes(template)
        if document["format"] == 1:
            wanted = first_format.as_saved(template)
        reading = self._ocp.args.StandardRestore(wanted)
        if part:  # a manager that has restored so cannot save any more
            kinds = self._ocp.checkpoint_utils.construct_restore_args(wanted)
            reading = self._ocp.args.PyTreeRestore(wanted, kinds, partial_restore=True)
        found = self._restore(step, state=reading).state
        if document["format"] == 1:
            return first_format.from_saved(found, document)
        for arm, own in found.items():
            if packing.digest(own) != document["checksums"][arm]:
                raise Damaged(f"the numbers of arm {arm!r} have been altered")
        return packing.split(found, template)

    def _restore(self, step: int, **parts: Any) -> Any:
        with stragglers_hushed():
            return self._manager.restore(step, args=self._ocp.args.Composite(**parts))

    def _advice(self, step: int, reason: str, template: States, part: bool) -> str:
        folder = self.folder / str(step)
        others = [other for other in reversed(self.steps()) if other != step]
        found = ((other, self._read(other, template, part)) for other in others)
        intact = next((other for other, read in found if isinstance(read, Checkpoint)), None)
        if intact is None:
            remedy = "No other is intact: delete the run folder to start over."
        else:
            remedy = f"Delete it to go on from step {intact}, which is intact."
        return f"Checkpoint {folder} is damaged ({reason}). {remedy}"


def saved_steps(run_folder: Path) -> list[int]:
    """Steps of which a run folder has a complete checkpoint, oldest first, without opening any."""
    names = [path.name for path in (Path(run_folder) / FOLDER).glob("*")]
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def check_room(path: Path, states: States, count: int = 1) -> None:
    """Raises UserError unless there is room on disk for checkpoints.

    Args:
        path: where they will be.
        states: arm -> state, of arrays or `jax.ShapeDtypeStruct`.
        count: of checkpoints.
    """
    needed = count * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(states))
    if free_room(path) < needed:
        raise UserError(no_room(path, needed))


def _writing(keep: int, always: tuple[int, ...]) -> Any:
    import orbax.checkpoint as ocp
    from orbax.checkpoint.checkpoint_managers import preservation_policy as policy

    kept = policy.AnyPreservationPolicy([policy.LatestN(keep), policy.CustomSteps(always)])
    return ocp.CheckpointManagerOptions(
        preservation_policy=kept, enable_async_checkpointing=True, cleanup_tmp_directories=True
    )


def _reading() -> Any:
    import orbax.checkpoint as ocp

    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"reader_{me}"
    )
    return ocp.CheckpointManagerOptions(read_only=True, create=False, multiprocessing_options=alone)


@dataclasses.dataclass(frozen=True)
class _Damage:
    reason: str


def _checked(document: object) -> dict[str, Any]:
    """What the JSON part says; raises Damaged if that is not what was written."""
    try:
        plain: dict[str, Any] = unseal(document)
        if plain is not document or first_format.intact(document):
            return plain
    except Damaged:
        pass
    raise Damaged("its JSON part has been altered")


def _only(document: dict[str, Any], template: States) -> dict[str, Any]:
    """What a document says of the arms of a template alone; all of it where some are missing."""
    arrays = {
        path: shape for path, shape in document["arrays"].items() if path.split("/")[0] in template
    }
    return document | {"arrays": arrays}


def _first_line(error: Exception) -> str:
    if isinstance(error, Damaged):
        return str(error)
    line = (str(error).strip().splitlines() or [""])[0].rstrip(" .")
    return f"{type(error).__name__}: {line if len(line) <= 120 else f'{line[:120]}…'}"


def _shapes(tree: PyTree[Any]) -> dict[str, str]:
    """Path -> dtype and shape of every array."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        "/".join(str(_name(key)) for key in path): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in leaves
    }


def _name(key: jax.tree_util.KeyEntry) -> str | int:
    names = (getattr(key, kind, None) for kind in ("key", "name", "idx"))
    return next(name for name in names if name is not None)


def _difference(saved: dict[str, str], wanted: dict[str, str]) -> str:
    """The first difference in words; empty if there is none."""
    for path in sorted(saved.keys() | wanted.keys()):
        there, here = saved.get(path, "missing"), wanted.get(path, "missing")
        if there != here:
            return f"{path} is {there} there and {here} here."
    return ""
