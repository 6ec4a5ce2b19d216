"""A data set that TFDS has prepared, of which nothing is known but its files."""

import io

import numpy as np
import pytest
from PIL import Image

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import caption_of, label_of
from diffusion_jax.data.pipeline import batches
from diffusion_jax.errors import UserError

COUNTS = {"train": 6, "validation": 3}
NAMES = ("cat", "dog", "newt")


def pixels(k):
    return np.full((8, 12, 3), (40 * k, 10, 255 - k), np.uint8)


def png(k):
    buffer = io.BytesIO()
    Image.fromarray(pixels(k)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = tmp_path_factory.mktemp("tfds")

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "tiny_animals"
        VERSION = tfds.core.Version("1.2.0")

        def _info(self):
            features = {
                "photo": tfds.features.Image(shape=(None, None, 3)),
                "small": tfds.features.Tensor(shape=(8, 12, 3), dtype=np.uint8),
                "said": tfds.features.Sequence({"text": tfds.features.Text()}),
                "kind": tfds.features.ClassLabel(names=NAMES),
                "age": tfds.features.Scalar(dtype=np.int64),
            }
            features = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in COUNTS}

        def _generate_examples(self, split):
            for k in range(COUNTS[split]):
                said = [{"text": f"number {k}"}, {"text": f"{split} {k}"}]
                row = {"photo": png(k), "small": pixels(k), "said": said}
                yield k, row | {"kind": k % 3, "age": k}

    Tiny(data_dir=folder, file_format="array_record").download_and_prepare()
    return str(folder)


def make(data_dir, **settings):
    asked = {"name": "tiny_animals", "test_split": "validation", "data_dir": data_dir} | settings
    return datasets.make(f"tfds({', '.join(f'{k}={v!r}' for k, v in asked.items())})")


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("picture", ["photo", "small"])
def test_pictures_captions_and_labels_belong_together(data_dir, picture, memory):
    size = (8, 12)
    data = make(
        data_dir,
        picture=picture,
        caption="said/text",
        label="kind",
        also=("age",),
        size=size,
        memory=memory,
    )
    assert (len(data.train), len(data.test), data.shape) == (6, 3, (8, 12, 3))
    assert data.class_names == NAMES
    for source, split in ((data.train, "train"), (data.test, "validation")):
        for index in range(len(source)):
            example = source[index]
            k = int(caption_of(example).split()[1])
            assert example["captions"] == (f"number {k}", f"{split} {k}")
            assert label_of(example) == k % 3 and example["age"] == k
            np.testing.assert_array_equal(example["image"], pixels(k))
    assert len(set(data.captions)) == 6 + 6 + 3
    batch = next(batches(data.train, lambda examples: {}, batch_size=4, seed=0))
    assert batch["x0"].shape == (4, 8, 12, 3)


def test_captions_of_classes_and_parts_of_splits(data_dir):
    data = make(
        data_dir,
        picture="small",
        caption="a picture of a {label}",
        label="kind",
        split="train[:50%]",
        test_split="",
    )
    assert (len(data.train), len(data.test), data.shape) == (3, 0, (8, 12, 3))
    assert data.prompts == tuple(f"a picture of a {name}" for name in NAMES)
    for example in (data.train[k] for k in range(3)):
        assert caption_of(example) == f"a picture of a {NAMES[label_of(example)]}"


def test_pictures_are_cut_and_resized(data_dir):
    data = make(data_dir, picture="photo", size=4)
    assert data.train[0]["image"].shape == (4, 4, 3) and data.train[0]["captions"] == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "tiny_animal"}, "Cannot open the TFDS data set 'tiny_animal'"),
        ({}, "no feature 'image': it has .*photo"),
        ({"picture": "photos"}, "no feature 'photos'.*Did you mean 'photo'"),
        ({"picture": "photo"}, r"of shape \(None, None, 3\); give a size"),
        ({"picture": "small", "split": "training"}, "no split 'training': it has train, valid"),
        ({"picture": "small", "label": "age"}, "'age' is no ClassLabel"),
        ({"picture": "small", "caption": "a {label}"}, "names classes; say which label"),
    ],
)
def test_what_is_not_there_is_named(data_dir, settings, message):
    with pytest.raises(UserError, match=message) as error:
        make(data_dir, **settings)
    assert "\n" not in str(error.value)
