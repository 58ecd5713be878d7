"""What the comparison judges by, as data: claims, textbook claims, prices, and rules of advice.

Each is a YAML file in this folder, meant to be read and edited; `read_rules` says where one is wrong.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from ...data import DataError

FOLDER = Path(__file__).parent


def read_rules(name: str, kind: Any, **other: Any) -> Any:
    """Reads one of the files as a given type.

    Args:
        name: Its name without ending, such as "prices".
        kind: What it must be, such as `list[Claim]`: fields that are missing, unknown or of another type are refused.
        other: Values that replace those of the file.

    Raises:
        DataError: The file cannot be read, or an entry is wrong; the message names entry and field.
    """
    path = FOLDER / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = TypeAdapter(kind).validate_python(content | other if other else content)
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it with git") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each + 1 if isinstance(each, int) else each) for each in first["loc"])
        raise DataError(f"{path}, entry {where}: {first['msg']}. Got {first['input']!r}") from error
    ids = [each.id for each in found] if isinstance(found, list) else []
    if len(set(ids)) < len(ids):
        raise DataError(f"{path}: the id {next(each for each in ids if ids.count(each) > 1)!r} is used twice")
    return found
