"""How training ends when it was asked to stop. Imports nothing, so that commands start fast."""


class Stopped(Exception):
    """Training was asked to stop, and has saved its state.

    Attributes:
        signal: the number of the signal that asked.
    """

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.signal = signum

    @property
    def exit_code(self) -> int:
        """128 + signal, by which shells and schedulers know the cause."""
        return 128 + self.signal
