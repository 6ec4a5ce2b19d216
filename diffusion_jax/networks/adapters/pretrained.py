"""A network with the parameters that training starts from."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.adapters.base import BACKBONE, Adapter, Params, Tuning, name_of
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.process.held import same
from diffusion_jax.process.objective import Objective

LONG = 100  # letters of a part in a message
SPLIT = 0  # seed of what is drawn and thrown away where what is trained is not wanted
KEPT = ("prediction", "preconditioning", "sigma_data")  # of an objective, what a network learnt


@dataclasses.dataclass(frozen=True, eq=False)
class Pretrained:
    """A network with the parameters that training starts from, and what of them is trained.

    Attributes:
        network: whose conditioner has no parameters.
        objective: what it was trained for.
        read: gives its parameters; called once, where they are needed.
        source: what they are of, for messages and for the run folder.
        outputs: channels of its result for each of x: 2, if it tells a variance.
        adapter: what is trained; None is all.
    """

    network: ScoreNetwork
    objective: Objective
    read: Callable[[], Params] = dataclasses.field(repr=False)
    source: str
    outputs: int = 1
    adapter: Adapter | None = None

    def network_for(self, variance: str | None) -> ScoreNetwork:
        """The network for a loss that learns a variance, or for one that has no use for it.

        Raises:
            UserError: it tells none.
        """
        if variance is not None and self.outputs < 2:
            raise UserError(f"{self.source} tells no variance, which the loss is to learn.")
        unread = variance is None and self.outputs > 1
        return self.network.clone(variance=variance, unread_variance=unread)

    def check_objective(self, objective: Objective) -> None:
        """Refuses to train a network for something else than what its output means.

        Its parameters would have to be unlearnt first, which is no further training. Noise levels,
        weighting and loss are free.

        Raises:
            UserError: another prediction, preconditioning or sigma_data.
        """
        for name in KEPT:
            wanted, found = getattr(self.objective, name), getattr(objective, name)
            if not same(wanted, found):
                word = wanted if name == "sigma_data" else "'released'"
                raise UserError(
                    f"{self.source} was trained with {name} {_brief(wanted)}, and the objective "
                    f"has {_brief(found)}: set {name}={word}."
                )

    @functools.cached_property
    def params(self) -> Params:
        """The parameters."""
        return self.read()

    @functools.cached_property
    def tuning(self) -> Tuning | None:
        """What stays as it is, and how all follows from what is trained; None where all is."""
        if self.adapter is None:
            return None
        frozen, _ = self.adapter.split(self.params, jax.random.key(SPLIT))
        return Tuning(self.adapter, frozen)

    def first(self, key: Key[Array, ""]) -> Params:
        """What is trained, as it starts."""
        return self.params if self.adapter is None else self.adapter.split(self.params, key)[1]

    def first_shapes(self, params: PyTree[jax.ShapeDtypeStruct]) -> PyTree[jax.ShapeDtypeStruct]:
        """The shapes of what is trained, from those of the network's parameters."""
        adapter = self.adapter
        if adapter is None:
            return params
        return jax.eval_shape(lambda own: adapter.split(own, jax.random.key(SPLIT))[1], params)

    def check(self, shapes: PyTree[jax.ShapeDtypeStruct]) -> None:
        """Refuses data or a conditioner that the parameters are not for.

        Args:
            shapes: of the parameters that the network would have for them.

        Raises:
            UserError: the conditioner has parameters, or one has another shape than was read.
        """
        wanted, found = _shapes(shapes), _shapes(self.params)
        if any(path[0] != BACKBONE for path in wanted):
            raise UserError(
                f"Nothing is trained beside {self.source}: take a conditioner without parameters, "
                "such as one_hot() or embeddings(), and a loss that learns no uncertainty."
            )
        for path in sorted(wanted.keys() | found.keys()):
            there, here = found.get(path, "missing"), wanted.get(path, "not asked for")
            if there != here:
                raise UserError(
                    f"{name_of(path)} of {self.source} is {there}, and {here} for this data set: "
                    "its channels, its classes or its condition are others than the network's."
                )


def _brief(part: object) -> str:
    """A part of an objective in a line; by its class, where it holds a table."""
    text = repr(part)
    return type(part).__name__ if len(text) > LONG else text


def _shapes(tree: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[int, ...]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {tuple(str(key.key) for key in path): tuple(leaf.shape) for path, leaf in leaves}
