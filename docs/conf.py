"""The documentation site: `make docs` builds it to docs/_build/html."""

import hashlib
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Notebooks run in processes of their own, which find the library here.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

import reference  # noqa: E402 - found through the path above

import diffusion_jax  # noqa: E402

project = "diffusion_jax"
author = "the diffusion_jax authors"
copyright = author
release = diffusion_jax.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"diffusion_jax {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# One backtick in a docstring is a name: a link where it is known, code otherwise.
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # several classes have a field of the same name

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False


def source_fingerprint() -> str:
    """A hash of all that a notebook's output may depend on: the library as it is now."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / "diffusion_jax").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


# What notebooks print is kept for as long as neither they nor the library change.
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_cache_path = str(HERE / "_build" / "notebooks" / source_fingerprint())
nb_merge_streams = True
# It says of each kernel that it starts.
logging.getLogger("traitlets").setLevel(logging.WARNING)
nb_mime_priority_overrides = [("html", "image/svg+xml", 10)]


def docstring(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's hook: our docstrings are plain text with formulas, not reStructuredText."""
    lines[:] = reference.markup(lines)


def signature(
    app: Any, what: str, name: str, found: Any, options: Any, arguments: str, returns: str
) -> tuple[str | None, str | None]:
    """Sphinx's hook: an array is called as it is imported, not by where JAX keeps it."""
    arguments, returns = (
        text and text.replace("jaxlib._jax.Array", "Array") for text in (arguments, returns)
    )
    return arguments, returns


def setup(app: Any) -> None:
    kept = Path(nb_execution_cache_path)
    for older in kept.parent.glob("*") if kept.parent.exists() else ():
        if older != kept:
            shutil.rmtree(older)
    reference.write(HERE / "reference")
    # Before napoleon, which turns sections into markup of its own.
    app.connect("autodoc-process-docstring", docstring, priority=100)
    app.connect("autodoc-process-signature", signature)
