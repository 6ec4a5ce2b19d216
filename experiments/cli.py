"""What all commands share: a config from a file, fields overridden on the command line, and
mistakes answered in one line.

    python -m experiments.train --config=configs/quickstart.py --config.training.steps=300

`--config` takes a config file, or a run folder, whose config it then is.
"""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_here, is_disk_full
from diffusion_jax.runs.stopped import Stopped
from diffusion_jax.streams import keep_writing
from experiments import command_line, compile_cache

LESS = "Smaller batches (training.batch_size, sampling.batch_size) or pictures need less."


def run(main: Callable[[ConfigDict], Any], default: str = "configs/quickstart.py") -> None:
    """Runs a command and ends the program.

    Call it as `if __name__ == "__main__": cli.run(main)`. Flags of the command's own are absl
    flags, defined at the top of its module.

    The exit status is 0 for success, 1 for a mistake of the user (one line on stderr), 143 or 130
    if SIGTERM or Ctrl-C has stopped it; training saves its state then. Anything else is a fault of
    the program and keeps its stack trace.

    Args:
        main: called with the config.
        default: the config file or run folder used where the command line names none.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) != signal.SIG_IGN:  # as `nohup` and background jobs ask for
            signal.signal(signum, _end)
    keep_writing()
    try:
        if command_line.asks_for_help(sys.argv):
            print(command_line.help_text(sys.argv, default))
            return
        check_here()
        words, config = command_line.read(sys.argv, default)
        app.run(lambda _: _start(main, config), words, flags_parser=command_line.parse)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except Exception as error:
        status, line = _explain(error)
        print(line or traceback.format_exc(), file=sys.stderr)
        _leave(status)


def _end(signum: int, frame: object) -> NoReturn:
    """Ends the program at once, where training does not handle the signal itself.

    What is on disk is whole at any moment, so nothing need be tidied up; and whatever callback of
    a library is interrupted might swallow an exception.
    """
    show_cursor = b"\r\n\x1b[?25h" if sys.stderr.isatty() else b""  # which progress bars hide
    with contextlib.suppress(OSError):  # nobody listens
        os.write(2, show_cursor + b"Interrupted.\n")
    os._exit(128 + signum)


def _leave(status: int) -> NoReturn:
    """Ends the program; one of several processes does so without waiting for the others.

    JAX would wait at exit, and they may be waiting for this one.
    """
    if _is_one_of_several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _is_one_of_several() -> bool:
    if "jax" not in sys.modules:
        return False
    import jax

    return jax.distributed.is_initialized()


def _start(main: Callable[[ConfigDict], Any], config: ConfigDict) -> None:
    compile_cache.set_up()
    if not flags.FLAGS["verbosity"].present:
        # Libraries log a stack trace for every error that they raise as well.
        logging.set_verbosity(logging.FATAL)

    from diffusion_jax.parallel.processes import start_processes  # imports JAX

    start_processes()
    main(config)


def _explain(error: Exception) -> tuple[int, str | None]:
    """Exit status and line for what is no fault of the program; no line for what is."""
    if isinstance(error, UserError):
        return 1, " ".join(str(error).split())
    if is_disk_full(error):
        return 1, f"No room left on disk: {' '.join(str(error).split())}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return 1, f"Not enough memory: {' '.join(str(error).split())[:200]}. {LESS}"
    return 1, None
