"""Files: text and JSON lines in, whole files out, one process at a time; each error names file, line and remedy."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .records import DataError, KitError

ROOT = Path(__file__).resolve().parents[2]

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


def own_folder() -> Path:
    """Where a learner's own runs go: the environment variable KIT_RESULTS, else results/own beside the notebooks."""
    return Path(os.environ.get("KIT_RESULTS") or ROOT / "results" / "own")


def write_text(path: Path, text: str) -> Path:
    """Writes a file whole or not at all: beside its place first, then renamed.

    Where the disk is full, the text is kept in the system's temporary folder instead, and the error says where.

    Raises:
        KitError: The file could not be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise KitError(
            f"could not write {path}: {error.strerror or error}. {_keep_elsewhere(path.name, text)}"
        ) from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path


def _keep_elsewhere(name: str, text: str) -> str:
    spare = Path(tempfile.gettempdir()) / f"kept-{os.getpid()}-{name}"
    try:
        spare.write_text(text, encoding="utf-8")
    except OSError:
        spare.unlink(missing_ok=True)
        return "Free some space and run the same command again: what was finished before is reused."
    return f"It was kept in {spare}: free some space and move it there, or run the same command again."


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps every other process out of a folder for the length of the block; they wait at its beginning.

    The lock is a file beside the folder, locked by the system: when its process dies, however that comes, it is free
    again. The file itself stays, since taking it away would let two processes in.

    Raises:
        KitError: The place cannot be written to.
    """
    from filelock import FileLock, Timeout

    path = folder.with_name(f".{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting: another process works in {folder}", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise KitError(f"cannot lock {folder}: {error}. May you write there?") from error
    try:
        yield
    finally:
        lock.release()
