"""Settings of the networks that change their memory and speed, and no number."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import Networks, fewstep
from diffusion_jax.networks.score_network import build
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.likelihood import ends, log_density
from tests.networks.random_parameters import quick_jit, random_parameters

SPECS = {
    "dit": "dit(patch=2, width=16, depth=2, heads=2, {})",
    "unet": "unet(channels=(8, 16), blocks=1, head_width=8, {})",
}
TINY = "model_channels=8, channel_mult=(1, 2), num_blocks=1, dropout=0.0"
RELEASED = {
    "original_dit": "original_dit(hidden_size=16, depth=2, num_heads=2, {})",
    "flux": "flux(num_attention_heads=2, attention_head_dim=8, num_layers=1, "
    "num_single_layers=1, axes_dims_rope=(2, 2, 4), {})",
    "jit": "jit(patch_size=2, hidden_size=16, depth=2, num_heads=2, in_context_len=2, "
    "in_context_start=1, {})",
    "diffusers_dit": "diffusers_dit(num_attention_heads=2, attention_head_dim=8, num_layers=1, {})",
    "pixart": "pixart(num_attention_heads=2, attention_head_dim=8, num_layers=1, sample_size=8, "
    "caption_channels=8, {})",
    "song_unet": f"song_unet({TINY}, {{}})",
    "edm2_unet": f"edm2_unet({TINY}, {{}})",
    "guided_unet": "guided_unet(model_channels=32, channel_mult=(1, 1), num_res_blocks=1, {})",
    "dhariwal_unet": f"dhariwal_unet({TINY}, {{}})",
}
TEXT = "transformer(width=8, layers=1, heads=2)"
CAPTIONS = {"tokens": jnp.array([[3, 5, 0], [1, 0, 0]])}
X, LABEL = jax.random.normal(jax.random.key(0), (2, 4, 8, 3)), jnp.array([-1.0, 2.0])


def small(name, settings):
    return build((SPECS | RELEASED)[name].format(settings), TEXT, vocabulary_size=7)


@pytest.mark.parametrize("name", SPECS | RELEASED)
def test_rematerialised_blocks_have_the_same_parameters_loss_and_gradient(name):
    found = []
    for remat in (False, True):
        network = small(name, f"remat={remat}")
        params = random_parameters(network, X, LABEL, CAPTIONS)["params"]

        def loss(params, network=network):
            return (network.apply({"params": params}, X, LABEL, CAPTIONS, False) ** 2).mean()

        program = jax.value_and_grad(loss)
        assert ("remat" in str(jax.make_jaxpr(program)(params))) == remat
        found.append((params, quick_jit(program)(params)))
    (plain, (loss, gradient)), (params, (again, same)) = found
    jax.tree.map(np.testing.assert_array_equal, plain, params)
    np.testing.assert_allclose(again, loss, rtol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(close, gradient, same)


@pytest.mark.parametrize("name", SPECS)
def test_rematerialised_blocks_go_without_attention_and_drop_activations_too(name):
    network = small(name, "remat=True, dropout=0.5")
    params = random_parameters(network, X, LABEL, CAPTIONS)

    def run(seed, *rest, network=network):
        return network.apply(params, X, LABEL, CAPTIONS, *rest, rngs={"dropout": seed})

    assert network.self_attentions > 1
    without = quick_jit(lambda seed: run(seed, network=network.perturbed(())))
    assert np.abs(without(jax.random.key(0)) - quick_jit(run)(jax.random.key(0))).max() > 1e-4
    train = quick_jit(lambda seed: run(seed, False))
    assert np.abs(train(jax.random.key(0)) - train(jax.random.key(1))).max() > 0.01


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(
    ("settings", "dtype", "part"),
    [
        ("remat=1", "float32", "remat must be"),
        ("attention_implementation='flash'", "float32", "Known: auto, cudnn, pallas, xla"),
        ("attention_implementation='cudnn'", "float32", "set training.dtype=bfloat16"),
        ("attention_implementation='pallas'", "float32", "set training.dtype=bfloat16"),
        ("attention_implementation='cudnn', {}", "bfloat16", "a multiple of 8 features, 128"),
    ],
)
def test_settings_that_cannot_work(name, settings, dtype, part):
    odd = {"dit": "heads=4, width=16", "unet": "attention=(1,), channels=(8, 12)"}[name]
    spec = {"dit": "dit({})", "unet": "unet({})"}[name].format(settings.format(odd))
    with pytest.raises(UserError) as refusal:
        build(spec, dtype=dtype)
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="a GPU has it")
@pytest.mark.parametrize("name", SPECS)
def test_fused_attention_is_refused_where_there_is_none(name):
    network = build(SPECS[name].format("attention_implementation='cudnn'"), dtype="bfloat16")
    with pytest.raises(UserError, match="NVIDIA GPUs only, and this is a cpu: use"):
        jax.eval_shape(network.init, jax.random.key(0), X, LABEL, {})


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs a GPU")
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("text", ["none", TEXT])
def test_fused_attention_gives_the_same(name, text):
    outputs = []
    for implementation in ("xla", "cudnn"):
        spec = SPECS[name].format(f"attention_implementation='{implementation}'")
        network = build(spec, text, vocabulary_size=7, dtype="bfloat16")
        params = random_parameters(network, X, LABEL, CAPTIONS)
        outputs.append(jax.jit(network.apply)(params, X, LABEL, CAPTIONS))
    size = float(jnp.std(outputs[0]))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=0.03 * size)


@pytest.fixture
def on_tpu(monkeypatch):
    """Programs are made as on a TPU; what the kernel makes is computed by an interpreter."""
    from jax.experimental.pallas import tpu

    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    with tpu.force_tpu_interpret_mode():
        yield


def student_by(implementation):
    spec = SPECS["dit"].format(f"attention_implementation='{implementation}'")
    network = build(spec, dtype="bfloat16")
    params = random_parameters(build(SPECS["dit"].format("")), X, LABEL, {})
    return lambda x, time, *rest: network.apply(params, x, time, {})


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of other programs than a CPU's")
@pytest.mark.usefixtures("on_tpu")
@pytest.mark.parametrize("name", ["mean_flow", "continuous_consistency", "A likelihood"])
def test_where_a_network_is_differentiated_forward_no_attention_is_fused(name):
    def found(implementation):
        student = student_by(implementation)
        if name == "A likelihood":
            start, end = ends(schedules.make("cosine"))

            @jax.jit
            def density(x):
                return log_density(lambda x, *rest: student(x, LABEL), x, start, end)

            return density(X)
        objective = fewstep.make(name)
        uniform = jnp.full((len(X), objective.draws), 0.5)

        def loss(x):
            networks = Networks(student, student)
            return objective.loss(networks, x, x, uniform, jnp.float32(0.5)).mean()

        return jax.jit(jax.grad(loss))(X)

    with pytest.warns(UserWarning, match=f"by 'xla', not by 'pallas': {name} differentiates"):
        fused = found("auto")
    jax.tree.map(np.testing.assert_array_equal, fused, found("xla"))


def test_a_dit_may_be_told_the_text_by_its_embedding_alone():
    network = build(SPECS["dit"].format("text='pooled'"), "label(width=8)", num_classes=3)
    condition = {"label": jnp.array([0, 2])}
    params = random_parameters(network, X, LABEL, condition)
    assert "cross" not in params["params"]["backbone"]["block_0"]
    apply = quick_jit(lambda label: network.apply(params, X, LABEL, {"label": label}))
    first, second = apply(condition["label"]), apply(jnp.array([1, 2]))
    assert np.abs(first[0] - second[0]).max() > 0.01
    np.testing.assert_array_equal(first[1], second[1])
