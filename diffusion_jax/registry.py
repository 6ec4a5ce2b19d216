"""Families of interchangeable parts, each member written in a config as one string.

A *spec* is a name with optional keyword settings: `"cosine"`, `"edm(sigma_max=50.0)"`,
`"log_snr_shift(schedule=cosine, shift=-1.4)"`. Settings are Python literals, `inf`, bare words
or specs of parts, and must be of the type that the member's annotation states. The same
string is what configs hold, what the command line overrides, what an ablation varies, and what
reports print.
"""

import ast
import dataclasses
import importlib
import inspect
import keyword
import math
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Generic, TypeVar, get_args

from diffusion_jax.annotations import fits, in_words, nests, options
from diffusion_jax.errors import UserError, nearest, one_of, shown
from diffusion_jax.renamed import SETTINGS, hint

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Spec:
    """A parsed spec: the member's name and its settings.

    Attributes:
        name: of the member.
        settings: name -> value, where a nested spec is a `Spec`.
    """

    name: str
    settings: dict[str, Any]


LONGEST = 100_000  # letters of a spec
LARGEST = 10_000_000  # of whole numbers, seeds aside: they count what takes memory or time
LEAST, MOST = 1e-37, 1e38  # sizes of other numbers than 0 and inf
MOST_WHOLE = 2**63  # more than an integer holds
DEEPEST = 4  # specs within specs; each level may cost its users several times what it is around


def parse(text: str, family: str = "spec") -> Spec:
    """Parses a spec such as `"edm(sigma_max=50.0)"`.

    Args:
        text: the spec.
        family: what it should name, for the message.

    Raises:
        UserError: the text is not a name with keyword settings, is too long, or has too many specs
            within specs.

    >>> parse("edm(sigma_max=50.0)")
    Spec(name='edm', settings={'sigma_max': 50.0})
    """
    if isinstance(text, str) and len(text) > LONGEST:
        raise UserError(f"The {family} {shown(text)} is longer than {LONGEST:,} letters.")
    try:
        value = _value(ast.parse(str.strip(text), mode="eval").body)
    except (SyntaxError, ValueError, AttributeError, TypeError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, Spec):
        raise UserError(
            f"Cannot read {family} {shown(text)}: write a name, or a name with keyword settings "
            "such as \"name(setting=1.0, other='word')\"."
        )
    if _depth(value) > DEEPEST:
        raise UserError(
            f"The {family} {shown(text)} has more than {DEEPEST} specs within one another."
        )
    return value


def _depth(value: object) -> int:
    """How many specs are within one another."""
    if isinstance(value, Spec):
        return 1 + max(map(_depth, value.settings.values()), default=0)
    return max(map(_depth, value), default=0) if isinstance(value, tuple) else 0


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return float("inf") if node.id == "inf" else Spec(node.id, {})
    if isinstance(node, ast.Call):
        names = {keyword.arg for keyword in node.keywords} - {None}
        if node.args or len(names) < len(node.keywords) or not isinstance(node.func, ast.Name):
            raise ValueError("positional or starred settings, or one given twice")
        return Spec(node.func.id, {str(k.arg): _value(k.value) for k in node.keywords})
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item) for item in node.elts)
    value = ast.literal_eval(node)
    if isinstance(value, int) and value >= MOST_WHOLE:
        raise ValueError("more than an integer holds")
    return value


def canonical(value: Any) -> Any:
    """A value with every spec in it in its canonical form, so that equal ones are equal texts.

    Settings stand in alphabetical order, numbers and words in their shortest form; `"cosine()"` is
    `"cosine"`. Default values are not filled in. Text that is no spec stays as it is.

    Args:
        value: a spec, or dicts, lists and tuples of such.

    >>> canonical("edm( sigma_min=1e-3, sigma_max=50.0 )"), canonical(("cosine()", 3, "runs/a:b"))
    ('edm(sigma_max=50, sigma_min=0.001)', ('cosine', 3, 'runs/a:b'))
    """
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(canonical, value))
    if not isinstance(value, str):
        return value
    try:
        return spec_text(parse(value))
    except UserError:
        return value


def spec_text(value: object) -> str:
    """A parsed value in its shortest form, which `parse` reads as its equal."""
    if isinstance(value, Spec):
        settings = sorted(value.settings.items())
        inner = ", ".join(f"{name}={spec_text(item)}" for name, item in settings)
        return f"{value.name}({inner})" if inner else value.name
    if isinstance(value, tuple):
        return f"({', '.join(map(spec_text, value))}{',' * (len(value) == 1)})"
    if isinstance(value, str) and value.isidentifier() and value != "inf":
        return repr(value) if keyword.iskeyword(value) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < MOST_WHOLE:
        return str(int(value))
    return repr(value)


def import_members(package: str, path: Iterable[str], *families: "Registry[Any]") -> None:
    """Imports every module of a package, so that a member is registered by having a file there.

    Call it at the end of the package's `__init__`: `import_members(__name__, __path__, family)`.

    Args:
        package: its dotted name.
        path: its `__path__`.
        families: whose members become names of the package, by their class or function; where a
            class is called after its family too, as `EDMWeighting` is, by the part of its name
            that specs use, `EDM`.
    """
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
    export_members(package, *families)


def export_members(package: str, *families: "Registry[Any]") -> None:
    """Makes members of families that are within a package names of it, see `import_members`."""
    for family in families:
        for name in family:
            factory = family[name]
            if factory.__module__.startswith(f"{package}."):
                setattr(sys.modules[package], exported_name(name, factory), factory)


def exported_name(registered: str, factory: Callable[..., Any]) -> str:
    """The name under which a package exports a member.

    >>> class UniformGrid: ...
    >>> class EulerAncestral: ...
    >>> exported_name("uniform", UniformGrid), exported_name("euler_ancestral", EulerAncestral)
    ('Uniform', 'EulerAncestral')
    """
    name, plain = factory.__name__, registered.replace("_", "")
    return name[: len(plain)] if name.lower().startswith(plain) else name


def settings_of(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a member that a spec may set."""
    # Every flax module has these two besides its own.
    aside = ("parent", "name") if hasattr(factory, "clone") else ()
    parameters = inspect.signature(factory).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in aside}


class Registry(Generic[T]):
    """The members of one family by name.

    >>> shapes = Registry("shape")
    >>> @shapes.register("box")
    ... @dataclasses.dataclass(frozen=True)
    ... class Box:
    ...     side: float = 1.0
    >>> shapes.make("box(side=2.0)")
    Box(side=2.0)
    """

    # The families whose members may be settings of other families' members.
    _families: ClassVar[dict[object, "Registry[Any]"]] = {}

    def __init__(self, family: str, kind: type[T] | None = None):
        """An empty family.

        Args:
            family: what a member is called.
            kind: the annotation by which members of other families have one as a setting.
        """
        self.family = family
        self._members: dict[str, Callable[..., T]] = {}
        self._formulas: dict[str, str] = {}
        if kind is not None:
            self._families[kind] = self

    def register(self, name: str, formula: str = "") -> Callable[[F], F]:
        """Returns a decorator that adds a class or factory under `name`.

        Args:
            name: as specs write it.
            formula: what a function makes, see `formula`; a class has one as a field of its own.
        """

        def add(factory: F) -> F:
            if name in self._members:
                raise ValueError(f"{self.family} {name!r} is registered twice")
            self._members[name] = factory
            self._formulas[name] = formula or vars(factory).get("formula", "")
            return factory

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._members))

    def formula(self, name: str) -> str:
        """The mathematics of a member in one line; empty where a family has none.

        A class says it as `formula: ClassVar[str]`. In it x = α x₀ + σ ε, λ = log(α²/σ²), and
        settings have the names that specs give them.
        """
        return self._formulas[one_of(name, self._members, self.family)]

    def __getitem__(self, name: str) -> Callable[..., T]:
        return self._members[one_of(name, self._members, self.family)]

    def make(self, spec: "str | Spec", **context: object) -> T:
        """Makes the member that `spec` names.

        Args:
            spec: e.g. `"edm(sigma_max=50.0)"`.
            context: things a member may need from its surroundings (a schedule, a class count);
                each is handed over only to members that have a parameter of that name.

        Raises:
            UserError: unknown member or setting (the message lists what is known), a setting
                missing, or a value the member refuses.
        """
        parsed = spec if isinstance(spec, Spec) else parse(spec, self.family)
        factory = self[parsed.name]
        known = settings_of(factory)
        for key in parsed.settings:
            if key not in known:
                moved = SETTINGS.get(parsed.name, {})
                listed = ", ".join(name for name in known if name not in context) or "none"
                raise UserError(
                    f"{self.family} {parsed.name!r} has no setting {key!r}."
                    f"{hint(key, moved) or nearest(key, known)} Its settings: {listed}."
                )
        settings = {
            key: self._setting(parsed.name, known[key], value, context)
            for key, value in parsed.settings.items()
        }
        given = {key: value for key, value in context.items() if key in known}
        arguments = given | settings
        for key, parameter in known.items():
            if parameter.default is inspect.Parameter.empty and key not in arguments:
                raise UserError(f"{self.family} {parsed.name!r} needs the setting {key!r}.")
        return factory(**arguments)

    def _setting(
        self, name: str, parameter: inspect.Parameter, value: Any, context: dict[str, object]
    ) -> Any:
        """A written value as the member wants it: of the annotated type, nested specs made."""
        wanted = parameter.annotation
        kinds = (self._families[o] for o in options(wanted) if o in self._families)
        part = next(kinds, self)
        if isinstance(value, tuple) and any(isinstance(item, Spec) for item in value):
            item = next(iter(get_args(wanted)), None)
            own = self._families.get(item, self)
            value = tuple(
                own.make(each, **context) if isinstance(each, Spec) and nests(item) else each
                for each in value
            )
        if isinstance(value, Spec):
            value = part.make(value, **context) if nests(wanted) else value.name  # a bare word
        if not fits(value, wanted):
            raise UserError(
                f"{self.family} {name!r}: {parameter.name} must be "
                f"{in_words(wanted, part.family)}, not {value!r}."
            )
        if float in options(wanted) and type(value) is int and abs(value) <= MOST:
            value = float(value)
        if not parameter.name.endswith("seed"):
            _check_numbers(f"{self.family} {name!r}: {parameter.name}", value)
        return value


def _check_numbers(what: str, value: object) -> None:
    """Raises UserError for counts that nobody can mean, and numbers that float32 cannot hold."""
    if isinstance(value, tuple):
        for item in value:
            _check_numbers(what, item)
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise UserError(f"{what} must be at most {LARGEST:,}, not {value}.")
    elif isinstance(value, float) and not _holds(abs(value)):
        raise UserError(f"{what} is {value}; float32 holds sizes from {LEAST} to {MOST}.")


def _holds(size: float) -> bool:
    return size in (0.0, math.inf) or LEAST <= size <= MOST
