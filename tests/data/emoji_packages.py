"""Packages of npm with a few emoji, as `npm pack` gives them."""

import io
import json
import tarfile
from pathlib import Path

from PIL import Image

from diffusion_jax.data.sets.emoji.assemble import NAMES, NAMES_VERSION, PACKAGES, archive_name

NAMED = 30
TONES = ("1f3fb", "1f3ff")
WHERE = {
    "emoji-datasource-google": "package/img/google/64/{}.png",
    "emoji-datasource-twitter": "package/img/twitter/64/{}.png",
    "@lobehub/fluent-emoji-3d": "package/assets/{}.webp",
    "@lobehub/fluent-emoji-modern": "package/assets/{}.svg",
}


def codes() -> list[str]:
    """Of emoji without skin tones: some show that they are pictures, some begin with zeros."""
    return ["0023-fe0f-20e3", "00a9-fe0f", *(f"1f{600 + k}" for k in range(NAMED - 2))]


def drawing(number: int, style: int) -> Image.Image:
    """A picture that no other is like, in part transparent."""
    picture = Image.new("RGBA", (64, 64))
    picture.paste((8 * number, 60 * style, 100, 255), (8, 8, 56, 56))
    return picture


def write_packages(path: Path, svg: bool = False) -> None:
    """All packages, of which the one of SVG is empty unless it is asked for."""
    entries = [
        {
            "label": f"thing {k}",
            "hexcode": code.upper(),
            "tags": ["thing", f"tag{k}", "four", "five", "six", "seven"],
            "skins": [
                {"label": f"thing {k}: tone {tone}", "hexcode": f"{code}-{tone}".upper()}
                for tone in TONES
            ],
        }
        for k, code in enumerate(codes())
    ]
    _write(path, NAMES, NAMES_VERSION, {"package/en/data.json": json.dumps(entries).encode()})
    for style, (name, where) in enumerate(WHERE.items()):
        found: dict[str, bytes] = {"package/README.md": b"", where.format("ffff"): b"unnamed"}
        for k, code in enumerate(codes()):
            for full in (code, *(f"{code}-{tone}" for tone in TONES)):
                if not where.endswith("svg"):
                    file = io.BytesIO()
                    kind = where.rpartition(".")[2]
                    drawing(k, style).save(
                        file, kind.upper(), **({"lossless": True} if kind == "webp" else {})
                    )
                    found[where.format(full)] = file.getvalue()
        if where.endswith("svg") and svg:
            red = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><path d="M0 0h2v2H0z" '
            found[where.format(codes()[5])] = f'{red} fill="red"/></svg>'.encode()
        _write(path, name, PACKAGES[name].version, found)


def _write(path: Path, name: str, version: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path / archive_name(name, version), "w:gz") as tar:
        for member, content in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
