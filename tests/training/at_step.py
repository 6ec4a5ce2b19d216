"""Something that happens to a training at a certain step."""

import contextlib
from collections.abc import Callable, Iterator

from diffusion_jax.runs.progress import Advance, Progress


class AtStep(Progress):
    """Does something after the first `step` steps of a call."""

    def __init__(self, step: int, action: Callable[[], None]):
        super().__init__(quiet=True)
        self._left, self._action = step, action

    @contextlib.contextmanager
    def phase(
        self, title: str, total: int, done: int = 0, unit: str = "steps"
    ) -> Iterator[Advance]:
        yield self._advance

    def _advance(self, note: str) -> None:
        self._left -= 1
        if self._left == 0:
            self._action()
