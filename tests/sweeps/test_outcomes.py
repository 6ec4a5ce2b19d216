"""Outcomes are read as they were written, with what pairs their samples; so are earlier ones."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.metrics.distance import Distance
from diffusion_jax.metrics.measurement import Measured, mean, of_distance, share
from diffusion_jax.sweeps import outcomes
from diffusion_jax.sweeps.outcomes import Number, Outcome
from tests.annotations import unchecked

SAMPLED = {"solver": "ddim", "steps": 4, "nfe": 4.0}


def outcome(seed: int) -> Outcome:
    rng = np.random.default_rng(seed)
    measured = {
        "exact_match": share(rng.random(9) < 0.5),
        "neighbours": mean(rng.random(9)),
        "kernel": of_distance(Distance(0.25, rng.normal(size=9), rng.normal(size=5)), 9),
        "psnr": Measured(3.0, count=9),
    }
    frames = rng.integers(0, 256, (3, 2, 4, 4, 1), np.uint8)
    return Outcome(
        None,
        tuple(Number(*o.parts, o.pairing, **SAMPLED, metric=n) for n, o in measured.items()),
        (-1.0, 1.0),
        rng.random((6, 1)),
        rng.random(6),
        frames[0],
        (1,),
        {"colour": rng.random(2) < 0.5},
        Trajectory(np.array([-1.0, 0.0, np.inf]), frames, frames),
        {"heun, 2": 3},
        {"frechet": "4 samples are needed"},
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = [outcome(0), outcome(1)]
    for place, each in enumerate(written):
        outcomes.store(each, tmp_path, str(place))
    read = [outcomes.load(tmp_path, str(place)) for place in range(2)]
    for one, other in zip(written, read, strict=True):
        assert other is not None
        np.testing.assert_equal(_plain(one), _plain(other))
    gaps = [
        [
            a.pairing.minus(b.pairing)
            for a, b in zip(*(o.numbers for o in both), strict=True)
            if a.pairing and b.pairing
        ]
        for both in (written, read)  # type: ignore[union-attr]
    ]
    assert gaps[0] == gaps[1] and len(gaps[0]) == 3


def _plain(found: Outcome) -> dict[str, object]:
    film = found.trajectory and vars(found.trajectory)
    return {**vars(found), "trajectory": film, "numbers": list(map(repr, found.numbers))}


def test_outcomes_of_earlier_versions_pair_exact_matches(tmp_path: Path) -> None:
    """They have the arrays of these alone, pictures, and the attributes of those that are shown."""
    made = outcome(0)
    right = np.arange(9) % 2 == 0
    outcomes.store(dataclasses.replace(made, trajectory=None, missing=()), tmp_path, "old")
    numbers, arrays = outcomes.paths(tmp_path, "old")
    with np.load(arrays) as file:
        kept = {n: file[n] for n in file.files if not n.startswith("paired:")}
    content = io.BytesIO()
    shown = {"right:shown, all": right[:2], "right:ddim, 4": right}
    np.savez_compressed(content, **kept, **shown)  # type: ignore[arg-type]
    arrays.write_bytes(content.getvalue())
    document = outcomes.read_sealed(numbers, "")
    for name in ("arrays", "missing", "not_measured"):
        del document[name]
    outcomes.save_sealed(document, numbers)
    found = outcomes.load(tmp_path, "old")
    assert found is not None and set(found.right) == {"colour"} and found.trajectory is None
    known = {number.metric: number.pairing for number in found.numbers}
    assert [name for name, pairing in known.items() if pairing] == ["exact_match"]
    assert known["exact_match"] is not None
    assert known["exact_match"].minus(share(right[::-1]).pairing) is not None


def test_a_pairing_of_ones_own_is_refused(tmp_path: Path) -> None:
    class Own:
        def minus(self, other: object) -> object:
            return other

    with unchecked():
        number = dataclasses.replace(outcome(0).numbers[0], pairing=Own())  # type: ignore[arg-type]
        made = dataclasses.replace(outcome(0), numbers=(number,))
        with pytest.raises(UserError, match="by a Own, which is not written to a file; Rate, Mean"):
            outcomes.store(made, tmp_path, "own")
