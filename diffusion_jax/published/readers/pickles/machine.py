"""The stack machine of pickles, with nothing in it that could import or call.

What asks for an object by name, or to have one made, is answered by somebody else, who gives plain
data or refuses. `instructions` has the instructions that it follows.
"""

import dataclasses
import struct
from typing import Any, Protocol, runtime_checkable

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers.pickles.values import ByteRange, Name, Record
from diffusion_jax.published.readers.tensor import brief

MOST_STEPS = 4_000_000  # instructions of one file; the largest checkpoints have a tenth
LONGEST_TEXT = 2**26  # bytes
LONGEST_LINE = 4096  # of old protocols
LONGEST_NUMBER = 64  # bytes of a whole number
LARGEST_KEY = 2**60  # of a mapping, above which different numbers may have one hash


@runtime_checkable
class Answers(Protocol):
    """What a machine asks."""

    def find(self, name: Name, where: str) -> Any:
        """What stands for a class or function; UserError if it may not be asked for."""

    def call(self, function: Any, arguments: Any, where: str) -> Any:
        """What stands for the result of a call."""

    def persistent(self, identity: Any, where: str) -> Any:
        """What stands for an object that is kept outside of the pickle."""


@dataclasses.dataclass
class Budget:
    """How many instructions may still be followed, of a file and all pickles within it."""

    steps: int = MOST_STEPS


class Machine:
    """Follows one pickle or several, one behind another.

    Args:
        data: the bytes of the file.
        start: where the first begins.
        end: where the last must have ended.
        where: the file, for messages.
        answers: see `Answers`.
        budget: shared by the machines of one file.
    """

    def __init__(
        self, data: Any, start: int, end: int, where: str, answers: Answers, budget: Budget
    ):
        self.data, self.at, self.end, self.file = data, start, end, where
        self.answers, self.budget = answers, budget
        self.clear()

    def clear(self) -> None:
        """Forgets what the pickle before left."""
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    @property
    def where(self) -> str:
        """The file and the byte that has just been read."""
        return f"{self.file} (byte {self.at - 1})"

    def wrong(self, what: str) -> UserError:
        """The error that says so."""
        return UserError(f"{self.where} is a pickle that is damaged or means harm: {what}.")

    # What instructions read behind them

    def take(self, count: int) -> int:
        """Where the next `count` bytes begin."""
        start = self.at
        if count > self.end - start:
            raise UserError(f"{self.file} is cut off: byte {start + count} is behind its end.")
        self.at += count
        return start

    def byte(self) -> int:
        """The next byte."""
        return self.data[self.take(1)]

    def unsigned(self, width: int) -> int:
        """A whole number of so many bytes."""
        start = self.take(width)
        return int.from_bytes(self.data[start : start + width], "little")

    def signed(self, width: int) -> int:
        """The same, which may be negative."""
        start = self.take(width)
        return int.from_bytes(self.data[start : start + width], "little", signed=True)

    def long(self, width: int) -> int:
        """A whole number of any size within reason."""
        if width > LONGEST_NUMBER:
            raise self.wrong(f"a whole number of {width} bytes")
        return self.signed(width) if width else 0

    def double(self) -> float:
        """A number of eight bytes, the first of most weight."""
        return struct.unpack_from(">d", self.data, self.take(8))[0]

    def span(self, width: int) -> ByteRange:
        """Bytes, their count before them; they stay where they are."""
        count = self.unsigned(width)
        return ByteRange(self.take(count), count)

    def text(self, width: int, encoding: str = "utf-8") -> str:
        """A text, its count of bytes before it."""
        span = self.span(width)
        if span.count > LONGEST_TEXT:
            raise self.wrong(f"a text of {span.count:,} bytes")
        return self.decoded(self.data[span.start : span.start + span.count], encoding)

    def line(self) -> str:
        """A line, without its end."""
        end = self.data.find(b"\n", self.at, min(self.end, self.at + LONGEST_LINE))
        if end < 0:
            raise self.wrong("a line without an end")
        start = self.take(end + 1 - self.at)
        return self.decoded(self.data[start:end], "utf-8")

    def decoded(self, data: bytes, encoding: str) -> str:
        """Bytes as text."""
        try:
            return data.decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeDecodeError as error:
            raise self.wrong("a text that is none") from error

    # The stack

    def push(self, value: Any) -> None:
        """Puts a value on it."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Takes the last value."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.wrong("a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        """Looks at the last value."""
        self.push(value := self.pop())
        return value

    def since_mark(self) -> list[Any]:
        """Takes all values since the last mark."""
        if not self.marks:
            raise self.wrong("a mark is missing")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def remember(self, index: int) -> None:
        """Keeps the last value under a number."""
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Puts a value that was kept on the stack again."""
        if index not in self.memo:
            raise self.wrong(f"a value {index} that was never kept")
        self.push(self.memo[index])

    # Containers

    def key(self, value: Any, inner: bool = False) -> Any:
        """A key of a mapping or item of a set: a basic value, or a tuple of some."""
        if isinstance(value, str | float | bool | None):
            return value
        if isinstance(value, int) and abs(value) < LARGEST_KEY:
            return value
        if isinstance(value, Name):
            return str(value)
        if isinstance(value, tuple) and not inner and len(value) <= 100:
            return tuple(self.key(item, inner=True) for item in value)
        raise self.wrong(f"a mapping or a set has a key of type {type(value).__name__}")

    def table(self, values: list[Any]) -> dict[Any, Any]:
        """A mapping of keys and values that follow each other."""
        if len(values) % 2:
            raise self.wrong("a key without a value")
        return {self.key(k): v for k, v in zip(values[::2], values[1::2], strict=True)}

    def set_items(self, values: list[Any]) -> None:
        """Adds to the mapping on the stack."""
        target = self.top()
        if not isinstance(target, dict | Record):
            raise self.wrong("items are put into what is no mapping")
        (target if isinstance(target, dict) else target.items).update(self.table(values))

    def append(self, values: list[Any]) -> None:
        """Adds to the list on the stack."""
        target = self.top()
        if not isinstance(target, list | Record):
            raise self.wrong("entries are put into what is no list")
        (target if isinstance(target, list) else target.entries).extend(values)

    def add(self, values: list[Any]) -> None:
        """Adds to the set on the stack."""
        target = self.top()
        if not isinstance(target, set):
            raise self.wrong("items are put into what is no set")
        target.update(self.key(value) for value in values)

    # Names and calls, which the answers alone can give

    def find(self, module: Any, name: Any) -> None:
        """Asks for a class or function."""
        if not (isinstance(module, str) and isinstance(name, str)):
            raise self.wrong("a name that is no text")
        self.push(self.answers.find(Name(module, name), self.where))

    def call(self, function: Any, arguments: Any) -> None:
        """Asks for the result of a call."""
        if not isinstance(arguments, tuple | list):
            raise self.wrong("a call without arguments")
        self.push(self.answers.call(function, tuple(arguments), self.where))

    def make(self, arguments: Any, keywords: Any, kind: Any) -> None:
        """Asks for an object of a class."""
        if keywords:
            called = brief(str(kind) if isinstance(kind, Name) else kind)
            raise self.wrong(f"{called} is to be made with settings by name")
        self.call(kind, arguments)

    def build(self, state: Any) -> None:
        """Gives an object its attributes."""
        target = self.top()
        if not hasattr(target, "build"):
            raise self.wrong(f"attributes are given to a {type(target).__name__}")
        target.build(state, self.where)
