"""Joins the processes of a job, by the rules of `placement`, or ends in one line."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from diffusion_jax.errors import UserError
from diffusion_jax.parallel.placement import REMEDY, Place, placement

SECONDS_TO_JOIN = 30 * 60  # machines of one job may start that far apart
SECONDS_A_DAY = 24 * 60 * 60
OWN_CALL = "joined by the caller"


def start_processes() -> None:
    """Joins the other processes of this job, if there are any.

    Call it before anything else touches JAX's devices. The first process prints what it waits for.

    Raises:
        UserError: as for `placement`, or the others do not come.
    """
    if jax.distributed.is_initialized():
        return
    here = placement(os.environ)
    if here.joining is None:
        return
    with _ended_by_signals():
        if not here.process:
            count = here.processes or "all"
            print(f"Waiting for {count} processes ({here.rule}).", file=sys.stderr, flush=True)
        _join(here, here.joining)
    _check(here)


def _join(here: Place, joining: Mapping[str, Any]) -> None:
    # In the end JAX would abort, with the stack traces of two languages.
    patience = threading.Timer(SECONDS_TO_JOIN, _give_up, (here,))
    patience.daemon = True
    patience.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of schedulers that JAX tries in vain
            jax.distributed.initialize(
                num_processes=here.processes,
                process_id=here.process,
                initialization_timeout=2 * SECONDS_TO_JOIN,
                # The first to end waits for the others: process 0 may draw samples long after
                # training.
                shutdown_timeout_seconds=SECONDS_A_DAY,
                **joining,
            )
    except Exception as error:  # JAX has a dozen kinds
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
        raise UserError(f"{_name(here)} cannot find the others ({reason}). {REMEDY}") from error
    finally:
        patience.cancel()


def _give_up(here: Place) -> None:
    """Ends the process, from a thread of its own, as the main one waits inside JAX."""
    waited = f"has waited {SECONDS_TO_JOIN / 60:.0f} minutes for the others in vain"
    advice = "Start all of them, where they can reach the first."
    print(f"{_name(here)} {waited}. {advice}", file=sys.stderr, flush=True)
    os._exit(1)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While entered, SIGINT and SIGTERM end the process as the system does.

    While JAX waits, no Python runs, so that a handler in Python would be heard half an hour later.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(signum)
            if callable(handler):
                previous[signum] = handler
                signal.signal(signum, signal.SIG_DFL)
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def check_joined() -> str:
    """Looks whether this process works with all those that it was started with.

    Returns:
        One line: how many processes and devices there are, and which rule says so.

    Raises:
        UserError: as for `placement`, or nobody has called `start_processes`.
    """
    count = jax.process_count()
    if jax.distributed.is_initialized() and count > 1:
        rule = _rule_of(count)
    else:
        here = placement(os.environ)
        rule = here.rule
        if here.processes not in (None, count):
            raise UserError(
                f"{_name(here)} has not joined the others: call start_processes() of {__name__} "
                f"before anything else of JAX. {REMEDY}"
            )
    return f"Processes: {count} ({rule}), devices: {jax.device_count()}."


def _rule_of(count: int) -> str:
    """The rule by which so many processes are joined, which a caller may have done otherwise."""
    try:
        here = placement(os.environ)
    except UserError:
        return OWN_CALL
    return here.rule if here.processes in (None, count) else OWN_CALL


def _name(here: Place) -> str:
    who = "This process" if here.process is None else f"Process {here.process} of {here.processes}"
    return f"{who} ({here.rule})"


def _check(here: Place) -> None:
    """Raises UserError unless as many have come as were promised."""
    promised = (here.processes, here.process)
    found = (jax.process_count(), jax.process_index())
    if None not in promised and promised != found:
        raise UserError(f"{_name(here)} has become process {found[1]} of {found[0]}. {REMEDY}")
