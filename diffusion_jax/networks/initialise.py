"""First values of the parameters: those that a module's own initialisers say.

Compiling a network's `init` takes half a minute on a CPU, since a random generator is compiled for
every parameter. So it is traced, which takes a second, and each parameter is looked up in the
trace. Where it is a constant, or straight from one of `initializers`, it is drawn on the host
from that distribution. What any other initialiser makes is compiled, once for all parameters of
one initialiser and shape, and has the values that `module.init` gives for the key.
"""

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr
from jax.sharding import Mesh, Sharding
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike
from jaxtyping import Array, PRNGKeyArray, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Condition
from diffusion_jax.networks.initializers import ON_HOST, Draw
from diffusion_jax.networks.score_network import ScoreNetwork

# Its program runs once: what the compiler would gain is less than what it takes.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

Params = dict[str, PyTree]
HostOrDevice = np.ndarray | Array
# What can be hashed of inputs: how they are put together, and the shape and dtype of each.
Described = tuple[PyTreeDef, tuple[tuple[tuple[int, ...], np.dtype], ...]]


def initialise(
    network: ScoreNetwork,
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    condition: Condition,
    sharding: PyTree[Sharding] | None = None,
) -> Params:
    """The first parameters of a score network; see `init`.

    Args:
        network: the score network.
        key: a JAX key.
        shape: (height, width, channels) of a picture, or (features,) of a vector.
        condition: of any batch size, e.g. one batch's tokens.
        sharding: as of `init`.

    Returns:
        The "params" collection, float32 leaves.

    Raises:
        UserError: the picture does not fit the network.

    >>> from diffusion_jax.networks.score_network import build
    >>> params = initialise(build("mlp(width=8, depth=1)"), jax.random.key(0), (2,), {})
    >>> params["backbone"]["in"]["kernel"].shape
    (2, 8)
    """
    return init(network, key, *_inputs(network, shape, condition), sharding=sharding)


def parameter_shapes(
    network: ScoreNetwork, shape: tuple[int, ...], condition: Condition
) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the parameters that `initialise` makes; its arguments."""
    return shapes(network, *_inputs(network, shape, condition))


def init(
    module: nn.Module,
    key: PRNGKeyArray,
    *inputs: PyTree,
    sharding: PyTree[Sharding] | None = None,
) -> Params:
    """The first parameters of any linen module, as its own initialisers say.

    The same for a key on any machine and any mesh.

    Args:
        module: whose parameters these are.
        key: a JAX key.
        inputs: of a call: arrays, `jax.ShapeDtypeStruct` or dicts of such.
        sharding: where the parameters are to live, one for all or a tree of them; each device is
            then given its part alone. None leaves them on the host, as numpy arrays.

    Returns:
        The "params" collection.

    Raises:
        UserError: the module has variables of other collections, such as "batch_stats".

    >>> params = init(nn.Dense(3, kernel_init=nn.initializers.ones), jax.random.key(0), jnp.ones(2))
    >>> params["kernel"].shape, float(params["kernel"].sum())
    ((2, 3), 6.0)
    """
    traced = _trace(module, _described(inputs))
    paths, structure = jax.tree_util.tree_flatten_with_path(traced.shapes)
    placed = _placed(sharding, structure, len(paths))
    seed = np.asarray(jax.random.key_data(key)).ravel().tolist()
    found = _compiled(traced, key, placed)
    for place, ((path, leaf), draw) in enumerate(zip(paths, traced.draws, strict=True)):
        if draw is not None:
            # A generator per name: a parameter's value does not depend on what else there is.
            name = "/".join(str(entry.key) for entry in path)
            generator = np.random.default_rng([*seed, zlib.crc32(name.encode())])
            value = draw(leaf.shape, generator).astype(leaf.dtype)
            found[place] = _put(value, placed[place])
    params: Params = jax.tree.unflatten(structure, [found[place] for place in range(len(paths))])
    return params


def shapes(module: nn.Module, *inputs: PyTree) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the parameters that `init` makes; its arguments."""
    return _trace(module, _described(inputs)).shapes


def place(params: PyTree[HostOrDevice], sharding: Sharding | None) -> PyTree[HostOrDevice]:
    """Copies of parameters that somebody else made, where they are to live; None for the host."""
    return jax.tree.map(lambda leaf: _put(np.array(leaf), sharding), params)


class _Trace:
    """A module's `init`, traced.

    Attributes:
        shapes: of the parameters.
        program: key -> the parameters, flat.
        draws: what draws each on the host, in the order of the leaves; None where nothing does.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[PyTree]):
        def values(key: PRNGKeyArray) -> Params:
            given = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), inputs)
            variables = dict(module.init(key, *given))
            params = variables.pop("params", {})
            if variables:
                raise UserError(
                    f"{type(module).__name__} keeps {', '.join(sorted(variables))} besides its "
                    "parameters, which training does not update: use layers without such state, "
                    "such as GroupNorm."
                )
            return dict(params)

        self.program, self.shapes = jax.make_jaxpr(values, return_shape=True)(jax.random.key(0))
        self.draws = [_draw(self.program.jaxpr, out) for out in self.program.jaxpr.outvars]


def _draw(jaxpr: Jaxpr, out: Var | Literal) -> Draw | None:
    """What draws a result of a program on the host, if it is known how that was made."""
    if isinstance(out, Literal):
        return functools.partial(_constant, out.val)
    for equation in jaxpr.eqns:
        if out not in equation.outvars:
            continue
        settings = equation.params
        if settings.get("name") in ON_HOST:
            return ON_HOST[settings["name"]]
        if equation.primitive.name == "broadcast_in_dim":
            value = equation.invars[0]
            return functools.partial(_constant, value.val) if isinstance(value, Literal) else None
        # Blocks that are computed again in the backward pass have programs of their own.
        inner = getattr(settings.get("jaxpr"), "jaxpr", settings.get("jaxpr"))
        if inner is not None and len(inner.outvars) == len(equation.outvars):
            return _draw(inner, inner.outvars[equation.outvars.index(out)])
        return None
    return None


def _constant(
    value: ArrayLike, shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    return np.full(shape, value)


def _compiled(
    traced: _Trace, key: PRNGKeyArray, placed: Sequence[Sharding | None]
) -> dict[int, HostOrDevice]:
    """The parameters that no host draws, by their place: the module's own program runs.

    Each is computed from keys by a program of its own, and those of one initialiser and shape
    share theirs, so that few are compiled.
    """
    programs: dict[tuple[str | int, Sharding | None], Callable[..., list[Array]]] = {}
    found: dict[int, HostOrDevice] = {}
    for place, draw in enumerate(traced.draws):
        if draw is None:
            keys, program = _parted(traced, place)
            arguments = keys(key)
            alike = str(program) if _is_written_out(program.jaxpr) else place
            same = alike, placed[place]
            if same not in programs:
                programs[same] = jax.jit(
                    jaxpr_as_fun(program), out_shardings=placed[place], compiler_options=QUICK
                )
            (value,) = programs[same](*arguments)
            found[place] = np.asarray(value) if placed[place] is None else value
    return found


def _parted(
    traced: _Trace, place: int
) -> tuple[Callable[[PRNGKeyArray], list[Array]], ClosedJaxpr]:
    """What makes the keys, and other constants, of a parameter; and the program from them to it."""
    whole = traced.program.jaxpr
    jaxpr, _ = dce_jaxpr(
        whole, [other == place for other in range(len(whole.outvars))], instantiate=True
    )
    known = {*jaxpr.invars, *jaxpr.constvars}
    first, rest = [], []
    for equation in jaxpr.eqns:
        only_keys = all(_is_key(out) for out in equation.outvars)
        if only_keys and known.issuperset(v for v in equation.invars if isinstance(v, Var)):
            first.append(equation)
            known.update(equation.outvars)
        else:
            rest.append(equation)
    read = [v for each in rest for v in each.invars] + jaxpr.outvars
    needed = {v: None for v in read if isinstance(v, Var) and v in known}
    names = jaxpr.debug_info.with_unknown_names()
    keys = jaxpr.replace(eqns=first, outvars=list(needed), debug_info=names)
    program = jaxpr.replace(constvars=[], invars=list(needed), eqns=rest, debug_info=names)
    return jaxpr_as_fun(ClosedJaxpr(keys, traced.program.consts)), ClosedJaxpr(program, ())


def _is_key(value: Var | Literal) -> bool:
    return jax.dtypes.issubdtype(cast(ShapedArray, value.aval).dtype, jax.dtypes.prng_key)


def _is_written_out(jaxpr: Jaxpr) -> bool:
    """Whether a program's text says all of it: no arrays or Python functions are within."""
    for equation in jaxpr.eqns:
        for part in jax.tree.leaves(equation.params, is_leaf=lambda leaf: callable(leaf)):
            if isinstance(part, (ClosedJaxpr, Jaxpr)):
                inner = part.jaxpr if isinstance(part, ClosedJaxpr) else part
                if getattr(part, "consts", ()) or not _is_written_out(inner):
                    return False
            elif np.ndim(part) or (callable(part) and not isinstance(part, (type, Mesh))):
                return False
    return True


def _placed(
    sharding: PyTree[Sharding] | None, structure: PyTreeDef, count: int
) -> list[Sharding | None]:
    if sharding is None or isinstance(sharding, Sharding):
        return [sharding] * count
    return list(structure.flatten_up_to(sharding))


def _put(value: np.ndarray, sharding: Sharding | None) -> HostOrDevice:
    if sharding is None:
        return value
    return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])


def _inputs(
    network: ScoreNetwork, shape: tuple[int, ...], condition: Condition
) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct, Condition]:
    batch = next((len(value) for value in condition.values()), 1)
    x = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    return x, jax.ShapeDtypeStruct(network.noise_shape(batch), jnp.float32), condition


def _described(inputs: Sequence[PyTree]) -> Described:
    """Shapes and dtypes of inputs, as what can be hashed."""
    leaves, structure = jax.tree.flatten(tuple(inputs))
    return structure, tuple((jnp.shape(leaf), jnp.dtype(leaf.dtype)) for leaf in leaves)


def _trace(module: nn.Module, described: Described) -> _Trace:
    """Kept, as tracing a network takes a second; not for modules that cannot be compared."""
    try:
        return _traced(module, described)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _traced.__wrapped__(module, described)


@functools.lru_cache(maxsize=64)
def _traced(module: nn.Module, described: Described) -> _Trace:
    structure, leaves = described
    return _Trace(module, structure.unflatten(jax.ShapeDtypeStruct(*leaf) for leaf in leaves))
