"""A handful of child processes that live and end together."""

import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

Child = subprocess.Popen[bytes]

FORWARDED = (signal.SIGINT, signal.SIGTERM)
POLL_SECONDS = 0.05
SETTLE_SECONDS = 1.0  # in which processes that made the same mistake end by themselves
PR_SET_PDEATHSIG = 1  # prctl(2)


def start(command: Sequence[str], environment: dict[str, str], log: Path | None) -> Child:
    """Starts one child, with our own environment plus `environment`.

    It is detached from the terminal, so that Ctrl-C there reaches it once, through us.

    Args:
        command: the program and its arguments.
        environment: variables to add.
        log: where its output goes; None leaves it on our terminal.
    """
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else None
        return subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def _end_with_parent() -> None:
    """Asks Linux to kill this process if the launcher is killed, so that none is left behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def send(children: Sequence[Child], number: int) -> None:
    """Sends a signal to every child that still runs."""
    for child in children:
        child.send_signal(number)


@contextlib.contextmanager
def forwarding(children: Sequence[Child]) -> Iterator[list[int]]:
    """While entered, SIGINT and SIGTERM go to the children and do not end this process.

    Yields:
        The list of signals received so far, which grows.
    """
    received: list[int] = []

    def forward(number: int, _frame: object) -> None:
        received.append(number)
        send(children, number)

    previous = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait(children: Sequence[Child], grace: float, received: Sequence[int]) -> Child | None:
    """Waits until every child has ended.

    Once one has failed, the others have a moment to fail likewise. Then they get SIGTERM (unless a
    forwarded signal is already ending them), and SIGKILL after `grace` seconds: a process that
    waits for a dead peer inside a collective cannot end by itself.

    Returns:
        The child that failed first, or None if none did.
    """
    failed: Child | None = None
    quiet_at = deadline = math.inf
    while any(child.poll() is None for child in children):
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        if failed is None and (failed := first_failed(children)):
            quiet_at, deadline = now + min(SETTLE_SECONDS, grace), now + grace
        if now > quiet_at:
            quiet_at = math.inf
            if not received:
                send(children, signal.SIGTERM)
        if now > deadline:
            send(children, signal.SIGKILL)
    return failed or first_failed(children)


def first_failed(children: Sequence[Child]) -> Child | None:
    """The first child in order that has ended with a status other than 0."""
    return next((child for child in children if child.poll()), None)


def exit_status(child: Child) -> int:
    """A child's exit status as a shell states it: 128 + n if signal n ended it."""
    code = child.wait()
    return code if code >= 0 else 128 - code
