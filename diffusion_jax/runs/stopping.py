"""Stopping when asked to: a signal is noted, the step is finished, the state is saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.parallel.devices import data_mesh, split_rows

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """While entered, SIGTERM and SIGINT are noted instead of ending the process.

    A second one of the same kind ends it at once, as usual.

    >>> with StopSignals() as signals:
    ...     signals.agreed()
    """

    def __init__(self) -> None:
        self._noted = 0
        self._vote: jax.Array | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        # Elsewhere Python refuses to set handlers, and signals do not arrive.
        here = threading.current_thread() is threading.main_thread()
        for signum in SIGNALS if here else ():
            self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._noted = signum
        signal.signal(signum, self._previous[signum])

    def agreed(self) -> int | None:
        """The signal to stop for, the same in all processes at the same call; None to go on.

        With several processes, each call starts a vote among them and returns the outcome of the
        one before, so that nobody waits.
        """
        if jax.process_count() == 1:
            return self._noted or None
        before, self._vote = self._vote, self._start_vote()
        return None if before is None else int(before) or None

    def _start_vote(self) -> jax.Array:
        mesh = data_mesh()
        mine = np.full(len(mesh.local_devices), self._noted, np.int32)
        return _largest(split_rows(mine, mesh))


_largest = jax.jit(jnp.max)
