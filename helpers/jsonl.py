"""Reads text and JSON lines; each error names the file, the line and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.records import DataError

MAKE = "make a data folder with `python -m helpers world --out {folder}`"


def read_text(path: Path) -> str:
    """Reads a whole text file.

    Args:
        path: A file in UTF-8, with or without a byte order mark.

    Returns:
        The text.

    Raises:
        DataError: The file is missing, or a byte of it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: there is no such file. Check the path, or {MAKE.format(folder='FOLDER')}.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} is not UTF-8. Save the file anew with UTF-8 as its encoding."
        ) from None


def read_rows(path: Path, ids: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """Reads a JSONL file line by line; blank lines are skipped.

    Args:
        path: A file with one JSON object a line.
        ids: Whether each object must have an `id` of its own.

    Yields:
        The place as `file:line`, and the object.

    Raises:
        DataError: A line is not an object, an `id` is missing or repeated although `ids`, or there are no lines.
    """
    first: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not valid JSON ({error.msg}, column {error.colno}). Write one object a line."
            ) from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object in braces, found {type(row).__name__}. Write one a line.")
        name = text_of(row, "id", where) if ids else where
        if name in first:
            raise DataError(
                f"{where}: the id {name!r} is already used in line {first[name]}. Give each line its own id."
            )
        first[name] = number
        yield where, row
    if not first:
        raise DataError(f"{path}: the file holds no lines to read. Write one JSON object a line into it.")


def text_of(row: dict[str, Any], key: str, where: str) -> str:
    """The text in a field that must be there and must not be empty; otherwise a DataError that names `where`."""
    if key not in row:
        raise DataError(f"{where}: the field {key!r} is missing. Add it, with a text as its value.")
    value = row[key]
    if not isinstance(value, str):
        raise DataError(f"{where}: the field {key!r} must be a text, not {json.dumps(value)}. Put it in quotes.")
    if not value.strip():
        raise DataError(f"{where}: the field {key!r} is empty. Write a text, or leave the line out.")
    return value


def texts_of(row: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    """The texts in a field that holds a list of them, none empty; otherwise a DataError that names `where`."""
    value = row[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f'{where}: the field {key!r} must be a list of texts, not {json.dumps(value)}. Use ["..."].')
    if any(not item.strip() for item in value):
        raise DataError(f"{where}: the field {key!r} holds an empty text. Write it out, or take it from the list.")
    return tuple(value)
