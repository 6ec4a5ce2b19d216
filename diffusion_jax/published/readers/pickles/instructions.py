"""The instructions of pickles, all of protocols 0 to 5.

Source: Python's `pickletools`, which describes them.
"""

import functools
from collections.abc import Callable
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers.pickles.machine import LONGEST_NUMBER, MOST_STEPS, Machine

STOP = ord(".")
# Instructions that make a container, which takes as much memory as eight other values.
COSTS = dict.fromkeys(b"]}\x8f(tld\x91\x85\x86\x87", 8)
OPERATIONS: dict[int, Callable[[Machine], None]] = {}


def follow(machine: Machine) -> Any:
    """The value of the next pickle.

    Raises:
        UserError: it is cut off or damaged, too long, or asks for what is not admitted.
    """
    machine.clear()
    while (code := machine.byte()) != STOP:
        machine.budget.steps -= COSTS.get(code, 1)
        if machine.budget.steps < 0:
            raise machine.wrong(f"more than {MOST_STEPS:,} instructions")
        if code not in OPERATIONS:
            raise machine.wrong(f"an unknown instruction {code:#x}")
        OPERATIONS[code](machine)
    return machine.pop()


def _values(table: dict[bytes, Callable[[Machine], Any]]) -> None:
    """Instructions that push a value."""
    for code, value in table.items():
        OPERATIONS[code[0]] = functools.partial(_push, value)


def _push(value: Callable[[Machine], Any], machine: Machine) -> None:
    machine.push(value(machine))


def _whole(line: str, machine: Machine) -> int:
    digits = line.removesuffix("L")
    if not digits.lstrip("-").isdecimal() or len(digits) > 2 * LONGEST_NUMBER:
        raise machine.wrong("a whole number that is none")
    return int(digits)


def _old_whole(line: str, machine: Machine) -> int | bool:
    return line == "01" if line in ("00", "01") else _whole(line, machine)


def _float(line: str, machine: Machine) -> float:
    try:
        return float(line)
    except ValueError as error:
        raise machine.wrong("a number that is none") from error


def _quoted(line: str, machine: Machine) -> str:
    if len(line) < 2 or line[0] != line[-1] or line[0] not in "'\"" or "\\" in line:
        raise machine.wrong("a quoted text that is none")
    return line[1:-1]


def _escaped(line: str, machine: Machine) -> str:
    if "\\" in line:
        raise machine.wrong("a text with escapes")
    return line


_values(
    {
        b"N": lambda m: None,
        b"\x88": lambda m: True,
        b"\x89": lambda m: False,
        b"]": lambda m: [],
        b"}": lambda m: {},
        b")": lambda m: (),
        b"\x8f": lambda m: set(),
        b"K": lambda m: m.unsigned(1),
        b"M": lambda m: m.unsigned(2),
        b"J": lambda m: m.signed(4),
        b"\x8a": lambda m: m.long(m.unsigned(1)),
        b"\x8b": lambda m: m.long(m.unsigned(4)),
        b"I": lambda m: _old_whole(m.line(), m),
        b"L": lambda m: _whole(m.line(), m),
        b"F": lambda m: _float(m.line(), m),
        b"G": lambda m: m.double(),
        b"S": lambda m: _quoted(m.line(), m),
        b"V": lambda m: _escaped(m.line(), m),
        b"U": lambda m: m.text(1, "latin-1"),
        b"T": lambda m: m.text(4, "latin-1"),
        b"\x8c": lambda m: m.text(1),
        b"X": lambda m: m.text(4),
        b"\x8d": lambda m: m.text(8),
        b"C": lambda m: m.span(1),
        b"B": lambda m: m.span(4),
        b"\x8e": lambda m: m.span(8),
        b"\x96": lambda m: m.span(8),
        b"t": lambda m: tuple(m.since_mark()),
        b"l": lambda m: m.since_mark(),
        b"d": lambda m: m.table(m.since_mark()),
        b"\x91": lambda m: frozenset(map(m.key, m.since_mark())),
        b"\x85": lambda m: (m.pop(),),
        b"\x86": lambda m: (m.pop(), m.pop())[::-1],
        b"\x87": lambda m: (m.pop(), m.pop(), m.pop())[::-1],
        b"2": lambda m: m.top(),
        b"P": lambda m: m.answers.persistent(m.line(), m.where),
        b"Q": lambda m: m.answers.persistent(m.pop(), m.where),
    }
)


def _protocol(machine: Machine) -> None:
    if (number := machine.byte()) > 5:
        raise machine.wrong(f"protocol {number}")


def _frame(machine: Machine) -> None:
    if machine.unsigned(8) > machine.end - machine.at:
        raise UserError(f"{machine.file} is cut off: a frame of it is behind its end.")


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.find(module, name)


def _instance(machine: Machine) -> None:
    machine.find(machine.line(), machine.line())
    kind = machine.pop()
    machine.call(kind, machine.since_mark())


def _object(machine: Machine) -> None:
    kind, *arguments = machine.since_mark() or [None]
    machine.call(kind, arguments)


def _reduce(machine: Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.call(function, arguments)


def _new(machine: Machine) -> None:
    arguments, kind = machine.pop(), machine.pop()
    machine.make(arguments, {}, kind)


def _new_with_keywords(machine: Machine) -> None:
    keywords, arguments, kind = machine.pop(), machine.pop(), machine.pop()
    machine.make(arguments, keywords, kind)


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _pop(machine: Machine) -> None:
    if machine.marks and len(machine.stack) == machine.marks[-1]:
        machine.marks.pop()
    else:
        machine.pop()


def _extension(machine: Machine) -> None:
    raise machine.wrong("it asks for an object that its reader should have registered (copyreg)")


def _out_of_band(machine: Machine) -> None:
    raise machine.wrong("it asks for a buffer beside it")


OPERATIONS.update(
    {
        0x80: _protocol,
        0x95: _frame,
        ord("("): lambda m: m.marks.append(len(m.stack)),
        ord("0"): _pop,
        ord("1"): lambda m: (m.since_mark(), None)[1],
        ord("p"): lambda m: m.remember(_whole(m.line(), m)),
        ord("q"): lambda m: m.remember(m.unsigned(1)),
        ord("r"): lambda m: m.remember(m.unsigned(4)),
        0x94: lambda m: m.remember(len(m.memo)),
        ord("g"): lambda m: m.recall(_whole(m.line(), m)),
        ord("h"): lambda m: m.recall(m.unsigned(1)),
        ord("j"): lambda m: m.recall(m.unsigned(4)),
        ord("s"): _set_item,
        ord("u"): lambda m: m.set_items(m.since_mark()),
        ord("a"): lambda m: m.append([m.pop()]),
        ord("e"): lambda m: m.append(m.since_mark()),
        0x90: lambda m: m.add(m.since_mark()),
        ord("c"): lambda m: m.find(m.line(), m.line()),
        0x93: _stack_global,
        ord("i"): _instance,
        ord("o"): _object,
        ord("R"): _reduce,
        0x81: _new,
        0x92: _new_with_keywords,
        ord("b"): lambda m: m.build(m.pop()),
        0x82: _extension,
        0x83: _extension,
        0x84: _extension,
        0x97: _out_of_band,
        0x98: _out_of_band,
    }
)
