"""Held-out errors against the training loss's formula, and the bound against an exact entropy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.errors import UserError
from diffusion_jax.metrics import heldout
from diffusion_jax.metrics.heldout import DEFAULT, HeldOut, LogSNRBins, ask, held_out
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build
from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective, TrainingTargets, denoising_loss
from diffusion_jax.process.preconditionings import c_noise, input_scale
from diffusion_jax.sampling.continuous_time_bound import draw_noise, end_terms, noise_error
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.trained import TrainedArm
from diffusion_jax.verification.oracles import Gaussian

BINS = LogSNRBins((-2.0, 0.0, 3.0))
OBJECTIVES = {
    "v": Objective.make("cosine", "v", "uniform", "simple"),
    "score at its own scale": Objective.make("ve", "score", "uniform", "simple"),
    "velocity": Objective.make("rectified_flow(shift=2.0)", "velocity", "uniform", "simple", 0.7),
    "previous": Objective.make("sub_vp", "previous(steps=20)", "uniform", "simple"),
    "a variance is told": Objective.make(
        "ddpm_linear", "epsilon", "uniform", "simple", loss="hybrid"
    ),
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return datasets.make("shapes(size=12, count=8, test_count=16)")


def trained(objective: Objective, data: Dataset) -> TrainedArm:
    network = build(
        "dit(patch=4, width=8, depth=1, heads=1)",
        "label(width=8)",
        num_classes=data.num_classes,
        variance=objective.loss_function.variance,
    )
    condition = {"label": jnp.zeros(2, jnp.int32)}
    params = initialise(network, jax.random.key(0), data.train[0]["image"].shape, condition)
    rng = np.random.default_rng(0)  # zero-initialised ends would predict 0 whatever they see
    params = jax.tree.map(lambda p: p + rng.normal(size=p.shape).astype(np.float32) / 4, params)
    return TrainedArm(Arm("arm", objective, network), params, 1)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_errors_are_those_of_training_times_the_factor_between_targets(
    name: str, data: Dataset
) -> None:
    objective = OBJECTIVES[name]
    arm = trained(objective, data)
    found = held_out(arm, data, 5, seed=3, batch_size=5, bins=BINS)
    examples = data.test.__getitems__(range(5))
    x0 = jnp.stack([example["image"] / np.float32(127.5) - 1 for example in examples])
    condition = {"label": jnp.array([example["label"] for example in examples])}
    log_snr = BINS.levels(3, 5)
    keys = heldout._keys(jax.random.key(3), 5, 3)

    for k in range(2):
        level = objective.schedule.level(objective.schedule.time(jnp.float32(log_snr[:, k])))
        a, b = objective.prediction.coefficients(level)
        weight = (level.alpha / (level.alpha * b - level.sigma * a)) ** 2
        points = TrainingTargets(
            level, input_scale(level, objective.sigma_data), c_noise(level), a, b, weight
        )

        def predict(x: jax.Array, label: jax.Array) -> jax.Array:
            value = arm.arm.network.apply({"params": arm.params}, x, label, condition)
            return value[..., : x.shape[-1]]

        eps = draw_noise(keys[:, k], x0)
        expected = denoising_loss(predict, points, x0, eps)
        np.testing.assert_allclose(found.per_picture[:, k], expected, rtol=2e-3)


def test_a_picture_is_asked_the_same_in_any_batch_and_whatever_else_is_asked(data: Dataset) -> None:
    arm = trained(OBJECTIVES["v"], data)
    many, few = held_out(arm, data, 7, 0, 7, BINS), held_out(arm, data, 5, 0, 3, BINS)
    np.testing.assert_allclose(many.per_picture[:5], few.per_picture, rtol=1e-5)
    np.testing.assert_allclose(many.bits[:5], few.bits, rtol=1e-5)
    other = held_out(arm, data, 7, 1, 7, BINS)
    assert (other.per_picture != many.per_picture).all()


def test_arms_share_a_program_and_the_ends_of_the_bound(data: Dataset) -> None:
    heldout._errors.clear_cache()
    found = [
        held_out(trained(OBJECTIVES[name], data), data, 4, 0, 4, BINS)
        for name in ("v", "velocity", "previous")
    ]
    assert heldout._errors._cache_size() == 1
    np.testing.assert_array_equal(found[0].ends, found[1].ends)


def test_levels_fill_their_bins_evenly_and_hang_on_their_own_number() -> None:
    levels = DEFAULT.levels(5, 64)
    share = (levels - np.asarray(DEFAULT.edges[:-1])) / DEFAULT.widths
    assert (share >= 0).all() and (share < 1).all()
    for column in share.T:
        assert np.histogram(column, 8, (0, 1))[0].min() >= 6  # 8 on average
    np.testing.assert_array_equal(DEFAULT.levels(5, 3), levels[:3])
    assert np.abs(DEFAULT.levels(6, 64) - levels).min() > 0


@pytest.mark.usefixtures("x64")
def test_the_bound_of_an_exact_denoiser_is_the_entropy_of_the_data() -> None:
    """Bytes of a normal distribution cost log2(sqrt(2 pi e (std² + 1/snr))/width) bits each.

    The bins end at a log-SNR of 7, where the noise covers several values: there the data still
    looks normal to the denoiser, and the decoder, to which all values are alike, costs bits that
    are known: those of the noise to signal 1/snr that is left.
    """
    std, dims, count = 0.18, 64, 3000
    rng = np.random.default_rng(0)
    x0 = std * rng.normal(size=(count, dims))
    pictures = np.rint((x0 + 1) * 127.5).astype(np.uint8)
    oracle = Gaussian(jnp.zeros(dims), jnp.full(dims, std))

    def errors(x0, condition, keys, log_snr):  # type: ignore[no-untyped-def]
        eps = draw_noise(keys, x0)
        return noise_error(oracle.denoise, x0, condition, eps, log_snr)

    found = ask(jax.jit(errors), pictures, {}, 0, count, LogSNRBins((-10.0, -6, -3, 0, 2, 4, 6, 7)))
    bits, error = found.bits_per_dim
    entropy = np.log2(np.sqrt(2 * np.pi * np.e * (std**2 + np.exp(-7))) / (2 / 255))
    assert error < 0.01
    assert bits == pytest.approx(entropy, abs=3 * error)
    # The error is 1/(1 + 1/(snr std²)) in expectation, whose integral is a logarithm's difference.
    snr = np.exp(np.asarray(found.bins.edges))
    expected = np.diff(np.log1p(snr * std**2)) / found.bins.widths
    assert (np.abs(found.mean - expected) < 4 * found.standard_error).all()

    def worse(x0, condition, keys, log_snr):  # type: ignore[no-untyped-def]
        eps = draw_noise(keys, x0)
        wide = dataclasses.replace(oracle, std=1.5 * oracle.std)
        return noise_error(wide.denoise, x0, condition, eps, log_snr)

    looser = ask(jax.jit(worse), pictures, {}, 0, count, found.bins)
    # What the wrong density costs, with the noise that is left: KL(N(0, v) | N(0, w)).
    ratio = (std**2 + np.exp(-7)) / ((1.5 * std) ** 2 + np.exp(-7))
    costs = (ratio - 1 - np.log(ratio)) / 2 / np.log(2)
    paired = looser.bits - found.bits
    assert paired.mean() == pytest.approx(costs, abs=4 * paired.std() / np.sqrt(count))


def test_the_ends_alone_are_the_prior_and_a_posterior_with_equal_odds() -> None:
    pictures = jnp.array([[7, 8, 200]], jnp.uint8)
    keys = heldout._keys(jax.random.key(0), 1, 1)[:, 0]
    found = end_terms(pictures, keys, jnp.float32(-2.0), jnp.float32(9.0))
    x0 = np.array([7, 8, 200]) / 127.5 - 1
    alpha, sigma = (1 / (1 + np.exp(2))) ** 0.5, (1 / (1 + np.exp(-2))) ** 0.5
    prior = np.mean((alpha * x0) ** 2 + sigma**2 - 1 - np.log(sigma**2)) / 2
    level = Level.from_log_snr(jnp.float32(9.0))
    x = np.asarray(level.alpha * x0 + level.sigma * jax.random.normal(keys[0], (3,)), float)
    values = np.arange(256) / 127.5 - 1
    logits = -((x[:, None] - float(level.alpha) * values) ** 2) / (2 * float(level.sigma) ** 2)
    log_p = logits[range(3), [7, 8, 200]] - np.log(np.exp(logits).sum(axis=1))
    np.testing.assert_allclose(found, prior - log_p.mean(), rtol=1e-4)


def test_one_picture_has_no_standard_error() -> None:
    one = HeldOut(BINS, np.ones((1, 2), np.float32), np.zeros(1))
    assert np.isnan(one.standard_error).all() and np.isnan(one.bits_per_dim[1])
    assert one.bits_per_dim[0] == pytest.approx(2.5 / np.log(2))


@pytest.mark.parametrize("edges", [(0.0,), (1.0, 1.0), (0.0, 2.0, 1.0)])
def test_edges_that_are_none(edges: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="two or more that rise"):
        LogSNRBins(edges)


def test_more_pictures_than_there_are(data: Dataset) -> None:
    with pytest.raises(UserError, match="Cannot measure 17 held-out pictures"):
        held_out(trained(OBJECTIVES["v"], data), data, 17)
