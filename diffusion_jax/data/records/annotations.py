"""JSON files in which published data sets say what their pictures show."""

import json
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError


def read_annotations(path: Path, owner: str) -> Any:
    """What a JSON file of a published data set says.

    Raises:
        UserError: it is missing, or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"Data set {owner!r}: cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"Data set {owner!r}: {path} is not JSON ({str(error)[:100]}).") from error
