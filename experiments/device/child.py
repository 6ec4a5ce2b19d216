"""One section in a process of its own.

python -m experiments.device.child SECTION small|full PEERS ANSWER.json
"""

import json
import sys
import traceback

from diffusion_jax.errors import UserError
from diffusion_jax.files import save
from experiments.device.memory import is_out_of_memory
from experiments.device.section import Done, Failed, Section
from experiments.device.sections import sections


def main(name: str, form: str, peers: str, answer: str) -> None:
    """Measures a section, and writes what came of it."""
    section = next(each for each in sections(peers) if each.name == name)
    outcome = measured(section, form == "small")
    if isinstance(outcome, Done):
        save(json.dumps({"figures": outcome.figures}, allow_nan=False), answer)
    else:
        save(json.dumps({"reason": outcome.reason}), answer)


def measured(section: Section, small: bool) -> Done | Failed:
    """What came of a section; whatever is raised becomes one line."""
    try:
        return Done(section.measure(small))
    except UserError as error:
        return Failed(one_line(str(error)))
    except ModuleNotFoundError as error:
        return Failed(f"{error.name} is not installed")
    except Exception as error:
        traceback.print_exc()
        short = "out of memory: " if is_out_of_memory(error) else f"{type(error).__name__}: "
        return Failed(short + one_line(str(error)))


def one_line(text: str) -> str:
    """The first line that says something, cut where it goes on and on."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "nothing said")
    return line if len(line) <= 300 else f"{line[:300]}…"


if __name__ == "__main__":
    main(*sys.argv[1:])
