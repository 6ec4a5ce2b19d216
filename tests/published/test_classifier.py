"""Released classifiers of noisy pictures: read by a card, and guiding as the paper says."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.guided_diffusion.classifier import GuidedClassifier
from diffusion_jax.process.level import Level
from diffusion_jax.published.card import CardData, ModelCard, card, card_names
from diffusion_jax.published.checkpoint import card_module, card_shapes
from diffusion_jax.published.classifier import ReleasedClassifier, released_classifier
from diffusion_jax.published.model import released
from diffusion_jax.published.names import names_of, to_tensors

CLASSES, SIDE = 3, 8
CLASSIFIERS = [name for name in card_names() if card(name).kind == "classifier"]


def tiny(**data) -> ModelCard:
    """ADM's card with a network of a few numbers."""
    known = card("adm-64-classifier")
    small = {"model_channels": 32, "channel_mult": (1,), "num_res_blocks": 1}
    small |= {"attention_resolutions": (1,), "num_head_channels": 16}
    part = dataclasses.replace(
        known.network, configuration={**known.network.configuration, **small}
    )
    told = CardData((SIDE, SIDE, 3), CLASSES)
    return dataclasses.replace(known, parts={"classifier": part}, data=told)


def read(tmp_path: Path) -> ReleasedClassifier:
    known, rng = tiny(), np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), card_shapes(known)
    )
    path = tmp_path / "classifier.npz"
    np.savez(path, **to_tensors(params, names_of(card_module(known))))
    return released_classifier(path, card=known)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_cards_are_of_networks_that_can_be_made(name: str) -> None:
    known = card(name)
    module = card_module(known)
    assert isinstance(module, GuidedClassifier) and module.classes == 1000
    assert known.process == card(name.removesuffix("-classifier")).process
    forms = jax.tree.leaves(card_shapes(known))
    side = known.data.shape[0] // 2 ** (len(module.channel_mult) - 1)  # type: ignore[union-attr]
    # The pool has a place for each cell of the coarsest level, and one for their mean.
    assert any(side**2 + 1 in leaf.shape for leaf in forms)


def test_guidance_adds_the_gradient_to_eps(tmp_path: Path) -> None:
    """eps - sqrt(1 - alpha_bar) s d log p(y | x)/dx (Dhariwal & Nichol 2021, algorithm 2)."""
    classifier, t, scale = read(tmp_path), 300, 1e4  # of a classifier that says little
    cumulated = np.cos((np.arange(t + 2) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    alpha = np.sqrt(cumulated[t + 1] / cumulated[0])
    sigma = np.sqrt(1 - alpha**2)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, SIDE, SIDE, 3)), jnp.float32)
    given = {"params": classifier.part.params}

    def chosen(x):
        logits = classifier.part.module.apply(given, x, jnp.full(2, float(t)))
        return jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.array([[2], [0]]), 1).sum()

    eps = 0.1 * x
    wanted = (x - sigma * (eps - sigma * scale * jax.grad(chosen)(x))) / alpha
    guided = classifier.guide(lambda x, level, condition: (x - sigma * 0.1 * x) / alpha, scale)
    level = Level(jnp.float32(alpha), jnp.float32(sigma))
    found = guided(x, level, classifier.ask(["2", "0"]))
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-4)
    assert float(jnp.abs(wanted - (x - sigma * eps) / alpha).max()) > 0.01


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    classifier = read(tmp_path)
    for prompt in ("dog", "3", ""):
        with pytest.raises(UserError, match="class"):
            classifier.ask([prompt])
    with pytest.raises(UserError, match="draws nothing"):
        released(tmp_path / "classifier.npz", card=tiny())
    with pytest.raises(UserError, match="is no classifier"):
        released_classifier(tmp_path / "classifier.npz", card="adm-64")
