"""SiT's samplers. Their time runs from noise to data; ours is one minus theirs."""

import jax.numpy as jnp
import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Epsilon, Prediction, Score, Velocity
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.checks import check_start
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.euler import Euler
from diffusion_jax.sampling.solvers.euler_maruyama import EulerMaruyama
from diffusion_jax.sampling.solvers.heun import Heun
from diffusion_jax.sampling.solvers.midpoint import Midpoint
from diffusion_jax.sampling.solvers.runge_kutta import RungeKutta
from diffusion_jax.sampling.solvers.stochastic_heun import StochasticHeun
from tests.golden.check import Comparisons, Deliberate, Fault, Known, Uncovered, checks, known, same
from tests.golden.load import Case
from tests.golden.problems import predicted, problem
from tests.golden.references.flows import SLACK, flow
from tests.golden.replay import at_times, replay, with_clean
from tests.golden.sit import interval, path

# sigma for clean data, where the flow is the limit of what it is close by.
NEAR = 1e-8


def _nodes(schedule: Schedule, theirs: np.ndarray) -> Nodes:
    """Our nodes at their times; one on clean data is made barely noisy, so as to be a step."""
    nodes = at_times(schedule, 1 - theirs)
    sigma = np.maximum(nodes.level.sigma, NEAR)
    return Nodes(nodes.time, Level(nodes.level.alpha, jnp.asarray(sigma)), nodes.rate)


def _network(case: Case, schedule: Schedule) -> Comparisons:
    """What their network gives, at the times that our schedules reach."""
    kinds: dict[str, Prediction] = Known(
        "prediction", {"velocity": Velocity(schedule), "score": Score(), "noise": Epsilon()}
    )
    kind = case.kwargs.get("prediction", "velocity")
    reached = (case["eval_t"] <= 1 - 1e-6) & (case["eval_t"] >= 0)
    if kind != "velocity":
        reached &= case["eval_alpha"] > 0
    level = at_times(schedule, 1 - case["eval_t"][reached]).level
    alpha, sigma = np.asarray(level.alpha), np.asarray(level.sigma)
    yield same("alpha", alpha, case["eval_alpha"][reached], rtol=1e-9, atol=1e-12)
    yield same("sigma", sigma, case["eval_sigma"][reached], rtol=1e-9, atol=1e-12)
    x, sign = case["eval_x"][reached], -1 if kind == "velocity" else 1
    data, levels = problem(case.problem), (alpha[:, None], sigma[:, None])
    out = sign * predicted(data, kinds[kind], x, *levels)
    yield same("network", out, case["eval_out"][reached], rtol=1e-6, atol=1e-8)


# Our solver, and how many steps of a grid it takes for one of theirs.
ODES: dict[str, tuple[Solver, int]] = {
    "euler": (Euler(), 1),
    "heun2": (Heun(), 1),
    "midpoint": (Midpoint(), 2),
    "heun3": (RungeKutta("heun"), 3),
    "rk4": (RungeKutta("three_eighths"), 3),
}
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun")


@checks("sit", "ode")
def sit_ode(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    schedule = path(kwargs)
    if kwargs.get("reverse", False):
        raise Uncovered("a run from data to noise whose velocity is that of the other direction")
    count = kwargs.get("num_steps", 50)
    times = np.linspace(*interval(case), count)
    yield same("times", times, case["t_grid"], atol=1e-12)
    yield from _network(case, schedule)
    x, nodes = case["x_init"], _nodes(schedule, times)
    method = kwargs.get("sampling_method", "dopri5")
    rtol, atol = kwargs.get("rtol", 1e-3), kwargs.get("atol", 1e-6)
    if method in ADAPTIVE:
        found, tight = flow(data, nodes, x, rtol, atol), flow(data, nodes, x, 1e-9, 1e-9)
        yield same("states", found, case["traj"][1:], atol=SLACK * max(rtol, atol))
        yield same("exact end", tight[-1], case["ode_exact"], atol=1e-6)
        return
    if method not in ODES:
        raise Uncovered(f"sampling_method {method!r}, which the library does not have")
    solver, every = ODES[method]
    if every > 1:  # a step of ours is between two nodes of one of theirs
        parts = np.arange(every) / every
        inner = times[:-1, None] + np.diff(times)[:, None] * parts
        nodes = _nodes(schedule, np.append(inner, times[-1]))
    found = replay(solver, nodes, data, x).x[every - 1 :: every]
    yield same("states", found[:-1], case["traj"][1:-1], rtol=1e-9, atol=1e-9)
    # Some ask for a velocity on clean data there, of which ours is the limit.
    yield same("end", found[-1], case["final"], atol=1e-9 if method == "euler" else 1e-7)
    # Ours would end with a step onto clean data, of which there is none here.
    yield same("NFE", solver.evaluations(every * (len(times) - 1) + 1) - 1, case.nfe)


def _refused() -> None:
    nodes = _nodes(schedules.make("rectified_flow"), np.array([0.0, 0.5]))
    try:
        check_start(nodes, EulerMaruyama("sbdm"))
    except UserError:
        return
    raise AssertionError("our solver starts where g² is infinite")


INFINITE = Fault("with SBDM it starts where g² is infinite, and gives NaN; ours refuses", _refused)
SDES = Known("sampling_method", {"Euler": EulerMaruyama, "Heun": StochasticHeun})
FORMS = {"inccreasing-decreasing": "increasing_decreasing", "SBDM": "sbdm"}


@checks("sit", "sde")
def sit_sde(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    schedule = path(kwargs)
    last = known("last_step", kwargs.get("last_step", "Mean"), None, "Mean", "Tweedie", "Euler")
    size = kwargs.get("last_step_size", 0.04)
    size = 0.0 if last is None else size
    count = kwargs.get("num_steps", 250)
    times = np.linspace(*interval(case, sde=True, last_size=size), count)
    yield same("times", times, case["t_grid"], atol=1e-12)
    yield from _network(case, schedule)
    form = kwargs.get("diffusion_form", "SBDM")
    kind = SDES[kwargs.get("sampling_method", "Euler")]
    ending = "none" if last is None else last.lower()
    solver = kind(FORMS.get(form, form), kwargs.get("diffusion_norm", 1.0), ending)
    nodes, x = _nodes(schedule, times), case["x_init"]
    if solver.needs_signal and nodes.level.alpha[0] < NEAR:
        yield same("start", x, case["eval_x"][0])
        raise Deliberate(INFINITE)
    found = replay(solver, nodes, data, x, case["noise"]).x
    yield same("states", found, case["traj"][:-1], rtol=1e-9, atol=1e-9)
    end = replay(solver, with_clean(nodes[-1:]), data, found[-1]).x[-1]
    yield same("end", end, case["final"], rtol=1e-9, atol=1e-9)
    # They ask the network twice at each point, for velocity and for score; but once at the end,
    # except for the drift; ours once, also before an end that needs none.
    theirs = {"Mean": 2, "Tweedie": 1, "Euler": 1, None: 0}[last]
    yield same("NFE", 2 * (solver.evaluations(len(times)) - 1) + theirs, case.nfe)
