"""The same captioned pictures in files of every format."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from array_record.python.array_record_module import ArrayRecordWriter
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from PIL import Image

COUNT, WIDE, HIGH, SIZE = 24, 20, 12, 6


def picture(number: int) -> Image.Image:
    """A picture that no other is like."""
    values = np.random.default_rng(number).integers(0, 256, (3, 5, 3), np.uint8)
    return Image.fromarray(values).resize((WIDE, HIGH), Image.Resampling.BILINEAR)


def content(number: int, ending: str = "png") -> bytes:
    """Its file."""
    file = io.BytesIO()
    fine = {"quality": 100, "subsampling": 0} if ending == "jpg" else {}
    picture(number).save(file, {"jpg": "JPEG"}.get(ending, ending.upper()), **fine)
    return file.getvalue()


def captions(number: int) -> list[str]:
    """Two texts."""
    return [f"picture number {number}", f"the {number}th picture"]


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """A tar file of such members."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def members(numbers: range) -> list[tuple[str, bytes]]:
    """Records as CC12M has them, every other with JSON in place of a text."""
    found = []
    for k in numbers:
        found.append((f"{k:06d}.png", content(k)))
        about = {"caption": captions(k), "width": WIDE}
        text = (".json", json.dumps(about)) if k % 2 else (".txt", captions(k)[0])
        found += [(f"{k:06d}{text[0]}", text[1].encode()), (f"{k:06d}.cls", str(k % 3).encode())]
    return found


def web_dataset(path: Path) -> str:
    write_tar(path / "a-000.tar", members(range(10)))
    write_tar(path / "a-001.tar", members(range(10, COUNT)))
    return f"web_dataset(path='{path}/a-{{000..001}}.tar', size={SIZE}, held_out=0.3)"


def write_parquet(path: Path, pictures: list[bytes | None], **columns: list) -> Path:
    """Rows in groups of 5, as Hugging Face has them."""
    images = [
        None if p is None else {"bytes": p, "path": f"{k}.png"} for k, p in enumerate(pictures)
    ]
    pq.write_table(pa.table({"image": images, **columns}), path, row_group_size=5)
    return path


def parquet(path: Path) -> str:
    for name, numbers in (("a", range(10)), ("b", range(10, COUNT))):
        write_parquet(
            path / f"{name}.parquet",
            [content(k) for k in numbers],
            text=[captions(k) for k in numbers],
            kind=[k % 3 for k in numbers],
        )
    classes = "label='kind', class_names=('x', 'y', 'z')"
    return f"parquet(path={str(path)!r}, size={SIZE}, held_out=0.3, {classes})"


def tensorflow_example(**features: list) -> bytes:
    """A tf.train.Example, as Protocol Buffers' own library writes it."""
    example = _example_class()()
    for name, values in features.items():
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
        getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()


def _example_class():
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    for name, kind in (("B", field.TYPE_BYTES), ("F", field.TYPE_FLOAT), ("I", field.TYPE_INT64)):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, type=kind, label=field.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), 1):
        feature.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=f".t.{name[0].upper()}",
            label=field.LABEL_OPTIONAL,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=field.TYPE_MESSAGE, type_name=".t.Feature", label=1
    )
    features.field.add(
        name="feature", number=1, type=11, type_name=".t.Features.FeatureEntry", label=3
    )
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=11, type_name=".t.Features", label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def write_array_records(path: Path, records: list[bytes]) -> Path:
    """A file of such records."""
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    return path


def array_records(path: Path) -> str:
    for name, numbers in (("a", range(10)), ("b", range(10, COUNT))):
        write_array_records(
            path / f"{name}.array_record",
            [
                tensorflow_example(
                    image=[content(k)],
                    text=[text.encode() for text in captions(k)],
                    kind=[k % 3],
                    score=[0.5],
                )
                for k in numbers
            ],
        )
    classes = "label='kind', class_names=('x', 'y', 'z')"
    return f"array_records(path={str(path)!r}, size={SIZE}, held_out=0.3, {classes})"


def coco(path: Path) -> str:
    (path / "annotations").mkdir()
    for side, numbers in (("train2017", range(16)), ("val2017", range(16, COUNT))):
        (path / side).mkdir()
        for k in numbers:
            (path / side / f"{k:012d}.jpg").write_bytes(content(k, "jpg"))
        about = {
            "images": [{"id": 7 * k, "file_name": f"{k:012d}.jpg"} for k in numbers],
            "annotations": [
                {"image_id": 7 * k, "id": k, "caption": text}
                for k in numbers
                for text in captions(k)
            ],
        }
        (path / "annotations" / f"captions_{side}.json").write_text(json.dumps(about))
    return f"coco(path={str(path)!r}, size={SIZE})"


def flickr30k(path: Path) -> str:
    (path / "flickr30k-images").mkdir()
    for k in range(COUNT):
        (path / "flickr30k-images" / f"{k}.jpg").write_bytes(content(k, "jpg"))
    lines = [f"{k}.jpg#{n}\t{text}" for k in range(COUNT) for n, text in enumerate(captions(k))]
    (path / "results_20130124.token").write_text("\n".join(lines))
    return f"flickr30k(path={str(path)!r}, size={SIZE}, held_out=0.3)"


def visual_genome(path: Path) -> str:
    areas, regions, attributes = [], [], []
    for k in range(1, COUNT + 1):
        folder = path / ("VG_100K" if k % 2 else "VG_100K_2")
        folder.mkdir(exist_ok=True)
        (folder / f"{k}.jpg").write_bytes(content(k, "jpg"))
        areas.append({"image_id": k, "width": WIDE, "height": HIGH})
        spots = [(WIDE, HIGH, f"all of number {k}"), (2, 2, f"a corner of number {k}")]
        said = [{"phrase": phrase, "width": w, "height": h} for w, h, phrase in spots]
        regions.append({"id": k, "regions": said})
        objects = [
            {"names": ["tower"], "attributes": ["tall", "red"], "w": 9, "h": 9},
            {"names": [f"number {k}"], "w": 10, "h": 9},
        ]
        attributes.append({"image_id": k, "attributes": objects})
    for name, found in (
        ("image_data", areas),
        ("region_descriptions", regions),
        ("attributes", attributes),
    ):
        (path / f"{name}.json").write_text(json.dumps(found))
    return f"visual_genome(path={str(path)!r}, size={SIZE}, held_out=0.3)"


def stamps(path: Path) -> str:
    for k in range(COUNT):
        where = path / "animals" / f"{k}.png"
        where.parent.mkdir(exist_ok=True)
        where.write_bytes(content(k))
        said = f"Picture number {k}.\nde.utf8=Bild Nummer {k}.\n"
        where.with_suffix(".txt").write_text(said + ("nl.utf8=Een plaat.\n" if k == 3 else ""))
    (path / "animals" / "0_mirror.png").write_bytes(content(0))
    (path / "animals" / "sound.txt").write_text("A stamp without a picture.")
    return f"stamps(path={str(path)!r}, size={SIZE}, held_out=0.3)"


FORMATS = {
    each.__name__: each
    for each in (web_dataset, parquet, array_records, coco, flickr30k, visual_genome, stamps)
}
"""name of a data set → a function that writes its files into a folder and says its spec"""
