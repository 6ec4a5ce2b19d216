"""Cards: one small file of data for each model that others have released, in `cards/`.

A card says where a model is from, under which licence, what its files are called, of which class
and configuration its network is, how it was trained to see noise, and with which settings its
paper drew the pictures of a figure. What is not known stands in no card; what was not read at its
source is named in `unchecked`.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from diffusion_jax.errors import UserError, nearest, one_of, shown
from diffusion_jax.published.readers.plain_json import parsed, table

FOLDER = Path(__file__).with_name("cards")
ENCODERS = ("text encoder", "image encoder", "text and image encoder")
KINDS = ("pipeline", "network", "classifier", "autoencoder", *ENCODERS)
NO_CLASS = ("last", "zeros", "none")
RANGES = ("signed", "unit")
HEXADECIMAL = frozenset("0123456789abcdef")


@dataclasses.dataclass(frozen=True)
class CardFile:
    """A file of a released model.

    Attributes:
        sha256: of its bytes, 64 hexadecimal digits; empty where it is not known.
        bytes: how many; None where it is not known.
    """

    sha256: str = ""
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.sha256 and (len(self.sha256) != 64 or set(self.sha256) - HEXADECIMAL):
            raise UserError(f"sha256 must be 64 hexadecimal digits, not {self.sha256!r}.")


@dataclasses.dataclass(frozen=True)
class CardPart:
    """A module of a released model.

    Attributes:
        original: what its class is called by its authors (`class` in the file).
        configuration: settings of that class; of a folder, those that tell it from others.
        member: the name here of a network of authors' own; empty where the class tells it.
        parameters: how many numbers it has, as far as its source says; None if it does not.
        under: names in the file under one of which its tensors lie; "" is the file itself.
    """

    original: str
    configuration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    member: str = ""
    parameters: int | None = None
    under: tuple[str, ...] = ("",)


@dataclasses.dataclass(frozen=True)
class CardData:
    """What a network is given and asked for.

    Attributes:
        shape: height, width and channels of its pictures or latents.
        classes: that it can be asked for; 0 if it is asked for nothing.
        no_class: how it is asked for none of them: by the entry behind the "last" of the classes,
            by "zeros", or "none", not at all.
        latents_scale: what latents of the autoencoder are multiplied by; None for pictures.
        latents_mean, latents_std: of each channel of the autoencoder's latents, which are brought
            to mean 0 and deviation 1 before that; None where they are not.
        latents_of: which pictures the autoencoder is given, "signed" ones from -1 to 1, or "unit"
            ones from 0 to 1.
    """

    shape: tuple[int, ...]
    classes: int = 0
    no_class: str = "none"
    latents_scale: float | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None
    latents_of: str = "signed"

    def __post_init__(self) -> None:
        one_of(self.no_class, NO_CLASS, "way to ask for no class")
        one_of(self.latents_of, RANGES, "range of pictures")
        if len(self.shape) != 3:
            raise UserError(f"shape must be height, width and channels, not {self.shape}.")
        statistics = [each for each in (self.latents_mean, self.latents_std) if each is not None]
        channels = self.shape[2]
        if statistics and [len(each) for each in statistics] != [channels, channels]:
            raise UserError(
                f"latents_mean and latents_std go together, with {channels} numbers each."
            )


@dataclasses.dataclass(frozen=True)
class CardFigure:
    """A published figure, and the settings that it was drawn with.

    Attributes:
        where: in the paper.
        data: that the model was trained on.
        metric: of which it is.
        value: of that metric.
        solver: a spec; empty where `process` is a scheduler of diffusers.
        grid: a spec, likewise.
        steps: how many.
        guidance: a spec; 1.0 is none.
        nfe: evaluations of the denoiser for a picture; guidance may ask the network twice for
            each. None where it is not known.
    """

    where: str
    data: str
    metric: str
    value: float
    steps: int
    solver: str = ""
    grid: str = ""
    guidance: str | float = 1.0
    nfe: int | None = None


@dataclasses.dataclass(frozen=True)
class CardSettings:
    """Settings that a model is drawn from with, where no figure says them.

    Attributes:
        where: they are from.
        steps: how many.
        guidance: a number as one gives it to `ReleasedModel.sample`; 1.0 is none.
        size: height and width of pictures in pixels; empty where that is not said.
        shift: of the flow's times; None where that is not said, or grows with the picture.
        solver: a spec; empty for that of the folder's scheduler.
    """

    where: str
    steps: int
    guidance: float
    size: tuple[int, ...] = ()
    shift: float | None = None
    solver: str = ""


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """A released model, see the module.

    Attributes:
        name: of the card, by which it is asked for.
        title: what the model is called.
        kind: one of `KINDS`.
        paper: authors, year and title.
        repository: where it is from.
        licence: in words.
        files: by name; of a folder those that hold all of it in one file.
        parts: its modules by the names of their folders, or "network" of an authors' checkpoint.
        arxiv: number of the paper; empty for none.
        pipeline: the original's class of a folder's pipeline; empty for no folder.
        data: what the network is given; None where a folder says it.
        process: a scheduler_config.json, or specs of schedule, prediction and preconditioning,
            and sigma_data; empty where a folder says it.
        figure: of the paper; None for none.
        settings: that its authors or their documentation draw with; None for none.
        unchecked: fields, joined by dots, that were not read at the source.
    """

    name: str
    title: str
    kind: str
    paper: str
    repository: str
    licence: str
    files: Mapping[str, CardFile]
    parts: Mapping[str, CardPart]
    arxiv: str = ""
    pipeline: str = ""
    data: CardData | None = None
    process: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    figure: CardFigure | None = None
    settings: CardSettings | None = None
    unchecked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of(self.kind, KINDS, "kind of a card")
        for field in self.unchecked:
            held: Any = self
            for name in field.split("."):
                held = held.get(name) if isinstance(held, Mapping) else getattr(held, name, None)
            if held is None:
                raise UserError(f"unchecked names {field!r}, which the card does not say.")

    @property
    def network(self) -> CardPart:
        """The part of an authors' checkpoint.

        Raises:
            UserError: it has several.
        """
        if len(self.parts) > 1:
            raise UserError(f"The card {self.name!r} is of a folder of {len(self.parts)} parts.")
        return next(iter(self.parts.values()))


@functools.cache
def card_names() -> tuple[str, ...]:
    """The names of all cards."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@functools.cache
def card(name: str) -> ModelCard:
    """The card of a name.

    Raises:
        UserError: there is none.

    >>> card("dit-xl-2-256").figure.value
    2.27
    """
    one_of(name, card_names(), "card")
    path = FOLDER / f"{name}.json"
    return read_card(path.read_bytes(), name)


def read_card(text: bytes, name: str) -> ModelCard:
    """A card from the text of its file.

    Args:
        text: JSON.
        name: of the card.

    Raises:
        UserError: it is no JSON, has a key that is not known or lacks one, or a value of another
            type.
    """
    where = f"card {name!r}"
    told = table(parsed(text, where), where)
    if "name" in told:
        raise UserError(f"{where}: its name is that of its file.")
    found: ModelCard = _made(ModelCard, told | {"name": name}, where)
    return found


def _made(kind: type[Any], told: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a JSON object, checked."""
    told = {"original" if key == "class" else key: value for key, value in told.items()}
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in told:
        if key not in fields:
            raise UserError(f"{where}: unknown key {key!r}.{nearest(key, fields)}")
    for key, field in fields.items():
        default = field.default, field.default_factory
        if key not in told and default == (dataclasses.MISSING, dataclasses.MISSING):
            raise UserError(f"{where} lacks the key {_written(key)!r}.")
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in told.items()}
    try:
        return kind(**values)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _written(key: str) -> str:
    """A field as the file calls it."""
    return "class" if key == "original" else key


def _value(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as a type, or UserError."""
    if isinstance(hint, UnionType):
        options = [option for option in get_args(hint) if option is not NoneType]
        hint = next((option for option in options if _fits(option, value)), options[0])
    if dataclasses.is_dataclass(hint):
        return _made(hint, table(value, where), where)  # type: ignore[arg-type]
    origin = get_origin(hint)
    if origin is Mapping:
        inner = get_args(hint)[1]
        return {k: _value(inner, v, f"{where}.{k}") for k, v in table(value, where).items()}
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{where} must be a list, not {shown(value)}.")
        return tuple(_value(get_args(hint)[0], each, where) for each in value)
    if hint is Any:
        return _hashable(value)
    if not _fits(hint, value):
        raise UserError(f"{where} must be of type {hint.__name__}, not {shown(value)}.")
    return float(value) if hint is float else value


def _fits(hint: Any, value: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(hint, type):
        return True
    if dataclasses.is_dataclass(hint):
        return isinstance(value, dict)
    return isinstance(value, hint) and isinstance(value, bool) == (hint is bool)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
