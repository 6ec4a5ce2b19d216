"""What networks are asked for: the labels of test pictures, and what a user's prompt names."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs import base
from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.inference import measure
from diffusion_jax.inference.conditions import asked, nothing
from diffusion_jax.inference.generate import Path
from diffusion_jax.metrics.real import captioned_pictures
from diffusion_jax.networks.conditioners import conditioners
from diffusion_jax.networks.conditioners.class_label import class_of
from diffusion_jax.networks.score_network import build
from diffusion_jax.networks.tokenizers import Words
from diffusion_jax.process.level import Level
from diffusion_jax.runs.progress import Progress
from diffusion_jax.training.arms import make_arms
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.trained import TrainedArm

NAMES = ("benign", "cat", "T-shirt", "hot dog", "dog", "straße")
READER = Words().fit(["slide one", "a slide"])
STATES = {"tokens": READER.state(), "label": list(NAMES)}
LABELS, WORDS = (
    build("mlp(width=8, depth=1)", conditioners.make(spec).restored(STATES))
    for spec in ("label(width=8)", "transformer(width=8, layers=1, heads=2)")
)
NOTHING = build("mlp(width=8, depth=1)")


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("benign", "benign"),
        ("CAT", "cat"),
        ("a picture of a t-shirt", "T-shirt"),
        ("the  hot dog.", "hot dog"),
        ("Stra\u00dfe", "straße"),
        *((prompt, None) for prompt in ("not a cat", "no cat", "anything but a cat", "cats")),
        *((prompt, None) for prompt in ("a cat and a dog", "concatenate", "dog hot", "shirt")),
    ],
)
def test_a_prompt_names_a_class_or_none(prompt, name):
    assert class_of(prompt, NAMES) == (None if name is None else NAMES.index(name))


def test_prompts_are_told_to_those_that_read_them():
    found = asked([LABELS], ["benign", "a dog", ""])
    assert found.keys() == {"label"} and found["label"].tolist() == [0, 4, -1]
    found = asked([WORDS], ["a slide"])
    assert found.keys() == {"tokens"}
    assert found["tokens"].tolist() == [READER.encode("a slide").tolist()]
    found = asked([LABELS, WORDS], ["slide one", ""], class_name="cat")
    assert found["label"].tolist() == [1, 1] and found["tokens"].any(1).tolist() == [True, False]
    assert asked([NOTHING], [""]) == {}
    assert nothing([LABELS, WORDS])["label"].tolist() == [-1]


@pytest.mark.parametrize(
    ("prompts", "networks", "label", "message"),
    [
        (["benin"], [LABELS], "", "'benin' is not the name of a class.*Did you mean 'benign'"),
        (["slide one"], [LABELS], "", "not the name of a class.*Known: benign, cat"),
        (["benign"], [WORDS], "", "Unknown word 'benign'"),
        (["benign"], [LABELS, WORDS], "", "Unknown word 'benign'"),
        (["slide one"], [LABELS], "bird", "'bird' is not the name of a class"),
        (["slide one"], [WORDS], "cat", r"No class can be chosen \('cat'\)"),
        (["slide one"], [NOTHING], "", "Nothing can be asked for"),
    ],
)
def test_what_cannot_be_asked_for(prompts, networks, label, message):
    with pytest.raises(UserError, match=message):
        asked(networks, prompts, label)


def test_samples_are_asked_for_with_the_labels_of_the_test_pictures(tmp_path, monkeypatch):
    lines = []
    for k in range(40):
        Image.new("L", (8, 8), 6 * k).save(tmp_path / f"{k}.png")
        label = ("benign", "malignant")[k % 2]
        lines.append({"file_name": f"{k}.png", "text": f"slide {k}", "label": label})
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = base.get_config()
    config.data = f"folder(path={str(tmp_path)!r}, size=8, channels=1, held_out=0.5)"
    config.network, config.conditioner = "mlp(width=8, depth=1)", "label(width=8)"
    config.sampling.count = config.sampling.judged_count = 16
    data = datasets.make(config.data)
    told = []

    def generate(sampler, params, prediction, nodes, condition, count, *more):
        told.append(condition["label"].tolist())
        nothing = np.zeros((1, count, 8, 8, 1), np.float32)
        return nothing[0], Path(Level(jnp.ones(1), jnp.zeros(1)), nothing, nothing)

    monkeypatch.setattr(measure, "generate", generate)
    arms = {
        n: TrainedArm(arm, {}, 0) for n, arm in make_arms(config, data_facts(config, data)).items()
    }
    list(measure.measure(measure.SamplingPlan.make(config), arms, data, Progress(quiet=True)))
    assert told == [[example["label"] for example in captioned_pictures(data, 16)]]
    assert set(told[0]) == {0, 1}
