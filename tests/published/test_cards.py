"""The cards of released models: well formed, and true of our networks where we have them."""

import itertools
import json
import math

import jax
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.base import networks
from diffusion_jax.published.card import FOLDER, CardPart, ModelCard, card, card_names, read_card
from diffusion_jax.published.checkpoint import card_shapes
from diffusion_jax.published.parts import make_module, originals, parameter_shapes
from diffusion_jax.published.pipelines import pipelines
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.solvers import solvers

CARDS = [card(name) for name in card_names()]
each_card = pytest.mark.parametrize("known", CARDS, ids=card_names())

# Classes whose networks are not here yet.
NOT_YET = {"EncoderUNetModel"}


def is_here(part: CardPart) -> bool:
    """Whether a part's class is a member of a family here."""
    return part.member in networks if part.member else part.original in originals()


@each_card
def test_every_class_is_a_member_or_listed_as_not_yet(known: ModelCard) -> None:
    for part in known.parts.values():
        assert is_here(part) or part.original in NOT_YET, part.original


@each_card
def test_specs_of_a_card_are_of_members(known: ModelCard) -> None:
    families: list[tuple[str, Registry]] = [("solver", solvers), ("grid", grids)]
    for field, family in families:
        spec = getattr(known.figure, field, "")
        if spec:
            assert family.make(spec) is not None
    if known.figure and isinstance(known.figure.guidance, str):
        guidance.make(known.figure.guidance)
    if known.settings and known.settings.solver:
        solvers.make(known.settings.solver)
    assert known.pipeline or known.kind != "pipeline"


@each_card
def test_a_card_says_where_it_is_from_and_under_which_licence(known: ModelCard) -> None:
    assert known.licence and known.repository.startswith("https://")
    assert known.paper and known.parts


@each_card
def test_a_card_of_a_folder_names_all_parts_that_its_pipeline_reads(known: ModelCard) -> None:
    """Else no folder would be of that card: it is told by what is in it."""
    if known.kind == "pipeline":
        asked = pipelines[known.pipeline]
        encoders = {name for name in asked.honoured if name.startswith("text_encoder")}
        assert known.parts.keys() == {asked.network, "vae", *encoders}


def test_folders_of_a_class_are_told_apart_by_what_their_cards_say() -> None:
    for first, second in itertools.permutations(CARDS, 2):
        if first.kind == second.kind == "pipeline" and first.pipeline == second.pipeline:
            both = [first.parts[name].configuration for name in first.parts]
            others = [second.parts[name].configuration for name in first.parts]
            differ = any(
                mine[key] != theirs[key]
                for mine, theirs in zip(both, others, strict=True)
                for key in mine.keys() & theirs.keys()
            )
            classes = [part.original for part in first.parts.values()]
            same = classes == [second.parts[name].original for name in first.parts]
            assert differ or not same, (first.name, second.name)


COUNTED = {
    (part.original, str(part.configuration)): (each, part)
    for each in CARDS
    for part in each.parts.values()
    if part.parameters and is_here(part)
}


@pytest.mark.parametrize(("known", "part"), COUNTED.values(), ids=[name for name, _ in COUNTED])
def test_our_network_has_as_many_parameters_as_its_source_says(
    known: ModelCard, part: CardPart
) -> None:
    if part.member:
        found = card_shapes(known)
    else:
        configuration = dict(part.configuration) | {"_class_name": part.original}
        found = parameter_shapes(make_module(configuration, "the card"), configuration)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(found))
    assert part.parameters
    digits = str(part.parameters).rstrip("0")
    unit = 10 ** (len(str(part.parameters)) - len(digits))
    assert abs(count - part.parameters) <= unit // 2  # rounded, where their number ends in zeros


def test_two_cards_never_share_a_checksum_or_a_size_of_a_file_without_one() -> None:
    sums = [f.sha256 for each in CARDS for f in each.files.values() if f.sha256]
    assert len(sums) == len(set(sums))
    assert all(f.sha256 for each in CARDS for f in each.files.values() if f.bytes)


def changed(**changes: object) -> bytes:
    told = json.loads((FOLDER / "dit-xl-2-256.json").read_text())
    for key, value in changes.items():
        holder = told
        *path, last = key.split("__")
        for name in path:
            holder = holder[name]
        if value is None:
            del holder[last]
        else:
            holder[last] = value
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"[1]", "must be a JSON object"),
        (b'{"a": 1, "a": 2}', "has the key 'a' twice"),
        (changed(licences="MIT"), "unknown key 'licences'. Did you mean 'licence'?"),
        (changed(licence=None), "lacks the key 'licence'"),
        (changed(title=3), "title must be of type str, not 3"),
        (changed(kind="net"), "Unknown kind of a card 'net'"),
        (changed(figure__steps=2.5), "figure: steps must be of type int, not 2.5"),
        (changed(figure__steps=True), "figure: steps must be of type int, not True"),
        (changed(data__shape="32"), "data: shape must be a list"),
        (changed(data__shape=[32, 32]), "shape must be height, width and channels"),
        (changed(data__no_class="first"), "Unknown way to ask for no class 'first'"),
        (changed(files={"a.pt": {"sha256": "abc"}}), "sha256 must be 64 hexadecimal digits"),
        (changed(unchecked=["figure.fid"]), "unchecked names 'figure.fid'"),
        (changed(parts__network__class=None), "parts.network lacks the key 'class'"),
    ],
)
def test_a_card_that_is_wrong_is_refused_in_a_line(text: bytes, line: str) -> None:
    with pytest.raises(UserError, match=line) as refused:
        read_card(text, "wrong")
    assert "\n" not in str(refused.value) and "card 'wrong'" in str(refused.value)


def test_a_card_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'dit-xl-2-512'"):
        card("dit-xl-2-521")
