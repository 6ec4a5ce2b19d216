"""Networks of one's own: flax, nnx, Equinox or plain functions, used where a `ScoreNetwork` is."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import Array, Float, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Condition
from diffusion_jax.networks.initialise import init, place, shapes
from diffusion_jax.networks.modules import HeldParameters, held_parameters
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.process.losses import Output

# Shape and dtype of x and of c_noise, and a condition.
Inputs = tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct, Condition]


@runtime_checkable
class Functions(Protocol):
    """All that training must know of a network."""

    def init(self, key: Key[Array, ""], x0: Float[Array, "1 ..."], condition: Condition) -> PyTree:
        """Its first parameters, a pytree of arrays, for data and condition of such a form."""

    def apply(
        self,
        params: PyTree,
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, "batch *numbers"],
        condition: Condition,
        key: Key[Array, ""] | None,
    ) -> Output:
        """The prediction, of the shape of x; the key is for dropout, None outside of training."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two functions, see `Functions`.

    Attributes:
        init: (key, x0, condition) -> params.
        apply: (params, x, c_noise, condition, key) -> prediction.
    """

    init: Callable[[Array, Array, Condition], PyTree]
    apply: Callable[[PyTree, Array, Array, Condition, Array | None], Output]


@dataclasses.dataclass(frozen=True)
class Linen:
    """A linen module that is called with (x, c_noise, condition).

    Attributes:
        module: it, without parameters.
    """

    module: nn.Module

    def inputs(self, x: Any, c_noise: Any, condition: Condition) -> tuple[Any, ...]:
        """Of these, what the module is called with."""
        return x, c_noise, condition

    def init(self, key: Key[Array, ""], x0: Float[Array, "1 ..."], condition: Condition) -> PyTree:
        """As the module's own initialisers say."""
        return init(self.module, key, *self.inputs(x0, jnp.zeros(len(x0)), condition))

    def apply(
        self,
        params: PyTree,
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, "batch *numbers"],
        condition: Condition,
        key: Key[Array, ""] | None,
    ) -> Output:
        """The module's output; layers that draw find the key as "dropout"."""
        rngs = None if key is None else {"dropout": key}
        return cast(Output, self.module.apply({"params": params}, x, c_noise, condition, rngs=rngs))


@dataclasses.dataclass(frozen=True)
class FunctionNetwork:
    """A network made of functions, which is asked what a `ScoreNetwork` is asked.

    It reads the condition as data sets yield it: no conditioner stands before it.

    Attributes:
        functions: of parameters.
        variance: how to read the variance that it tells, see `ScoreNetwork`.
        noise_inputs: how many numbers c_noise is, see `ScoreNetwork`.
        conditioner: none.
        keys: that it reads by a conditioner; none.
        self_attentions: how many are known of; none.
    """

    functions: Functions
    variance: str | None = None
    noise_inputs: int = 1
    conditioner: None = dataclasses.field(default=None, init=False)
    keys: tuple[str, ...] = dataclasses.field(default=(), init=False)
    self_attentions: int = dataclasses.field(default=0, init=False)  # none that is known of

    @property
    def drops(self) -> bool:
        """Whether it knows a condition that says nothing, which training may show it."""
        return _own_null(self.functions) is not None

    def null(self, condition: Condition) -> Condition:
        """What says nothing: as the network's own `null` tells, else the condition unchanged."""
        own = _own_null(self.functions)
        return condition if own is None else own(condition)

    def constrained(self, params: PyTree) -> PyTree:
        """The parameters as they are: whoever constrains them does so in an optimizer."""
        return params

    def for_sampling(self) -> "FunctionNetwork":
        """Itself: nothing is known of what is faster without a backward pass."""
        return self

    def perturbed(self, layers: tuple[int, ...]) -> "FunctionNetwork":
        """Raises UserError: nothing is known of its attentions."""
        raise UserError("A network of one's own cannot be asked to go without self-attentions.")

    def first(
        self,
        key: Key[Array, ""],
        shape: tuple[int, ...],
        condition: Condition,
        sharding: Sharding | None = None,
    ) -> PyTree:
        """Its first parameters, in arrays of their own.

        Args:
            key: a JAX key.
            shape: of an example.
            condition: a row of it.
            sharding: where they are to live, None for anywhere.
        """
        own = self.functions
        if isinstance(own, Linen):
            inputs = own.inputs(*self._inputs(shape, condition))
            return init(own.module, key, *inputs, sharding=sharding)
        if isinstance(own, HeldParameters):
            return place(own.params, sharding)
        return jax.jit(self._drawn, static_argnums=1, out_shardings=sharding)(key, shape, condition)

    def first_shapes(
        self, shape: tuple[int, ...], condition: Condition
    ) -> PyTree[jax.ShapeDtypeStruct]:
        """Shapes and dtypes of what `first` gives."""
        if isinstance(self.functions, Linen):
            own = self.functions
            return shapes(own.module, *own.inputs(*self._inputs(shape, condition)))
        drawn = functools.partial(self._drawn, shape=shape)
        return jax.eval_shape(drawn, jax.random.key(0), condition=condition)

    def _drawn(
        self, key: Key[Array, ""], shape: tuple[int, ...], condition: Condition
    ) -> PyTree[Array]:
        return self.functions.init(key, jnp.zeros((1, *shape)), condition)

    def _inputs(self, shape: tuple[int, ...], condition: Condition) -> Inputs:
        c_noise = (1,) if self.noise_inputs == 1 else (1, self.noise_inputs)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        return x, jax.ShapeDtypeStruct(c_noise, jnp.float32), condition

    def apply(
        self,
        variables: Mapping[str, PyTree],
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, "batch *numbers"],
        condition: Condition,
        deterministic: bool = True,
        rngs: Mapping[str, Key[Array, ""]] | None = None,
        method: str | None = None,
    ) -> Output:
        """As `ScoreNetwork.apply`; of a pair, the first where no method asks for both."""
        key = None if deterministic or rngs is None else rngs["dropout"]
        found = self.functions.apply(variables["params"], x, c_noise, condition, key)
        return found[0] if isinstance(found, tuple) and method is None else found


def _own_null(functions: object) -> Callable[[Condition], Condition] | None:
    """The method `null` of functions, or of the module that they were made of."""
    found = getattr(getattr(functions, "module", functions), "null", None)
    return found if callable(found) else None


def as_network(
    given: object, variance: str | None = None, noise_inputs: int = 1
) -> ScoreNetwork | FunctionNetwork:
    """Makes a network of what users have.

    Args:
        given: a `ScoreNetwork`; a linen module; an nnx module or an Equinox module, which is
            trained from the parameters that it was made with; a pair of functions (init, apply),
            or an object with methods of those names (`Functions`). A module or an object may have
            `null(condition)`, the condition that says nothing.
        variance: how to read the variance that it tells.
        noise_inputs: how many numbers c_noise is.

    Raises:
        UserError: it is none of these, or a `ScoreNetwork` of another kind than is asked for.

    >>> init = lambda key, x0, condition: jnp.zeros(x0.shape[1:])
    >>> network = as_network((init, lambda params, x, c_noise, condition, key: x * params))
    >>> network.first(jax.random.key(0), (2,), {})
    Array([0., 0.], dtype=float32)
    """
    if isinstance(given, FunctionNetwork):
        given = given.functions
    if isinstance(given, ScoreNetwork):
        for name, wanted in (("variance", variance), ("noise_inputs", noise_inputs)):
            if (own := getattr(given, name)) != wanted:
                raise UserError(f"The network has {name}={own!r}; its objective needs {wanted!r}.")
        return given
    if isinstance(given, nn.Module):
        given = Linen(given)
    elif isinstance(given, tuple) and len(given) == 2 and all(map(callable, given)):
        given = Pair(*given)
    elif (held := held_parameters(given)) is not None:
        given = held
    elif not isinstance(given, Functions) or isinstance(given, type):
        raise UserError(
            f"{type(given).__name__} is no network that can be trained: give a linen, nnx or "
            "Equinox module, or a pair of functions init(key, x0, condition) -> params and "
            "apply(params, x, c_noise, condition, key) -> prediction."
        )
    return FunctionNetwork(given, variance, noise_inputs)


AnyNetwork = ScoreNetwork | FunctionNetwork
