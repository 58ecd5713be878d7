"""What the comparison judges by, as data: expectations, textbook claims, prices, and rules of advice.

Each is a YAML file beside this one, meant to be read and edited; `load` reads it and says where it is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ...data import DataError

FOLDER = Path(__file__).parent


def load(name: str, required: tuple[str, ...] = (), folder: Path = FOLDER) -> Any:
    """Reads one of the files.

    Args:
        name: Its name without ending, such as "prices".
        required: Where the file is a list: the fields that each entry needs. Its `id`s must differ.
        folder: Where the file lies.

    Raises:
        DataError: It is missing, is no YAML, or an entry lacks a field.
    """
    path = folder / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it with git") from error
    if not required:
        return content
    if not isinstance(content, list) or not content:
        raise DataError(f"{path} must be a list of entries with {', '.join(required)}")
    for number, entry in enumerate(content, start=1):
        missing = [field for field in required if not isinstance(entry, dict) or field not in entry]
        if missing:
            raise DataError(f"{path}, entry {number}: `{missing[0]}` is missing")
    ids = [entry["id"] for entry in content if "id" in entry]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise DataError(f"{path}: the id {twice!r} is used twice")
    return content
