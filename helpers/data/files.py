"""Files: text and JSON lines in, whole files out, one process at a time; each error names file, line and remedy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from .records import DataError, KitError

ROOT = Path(__file__).resolve().parents[2]
MAKE = "make a data folder with `python -m tools.world --out {folder}`"
REMEDIES = {  # by pydantic's type of error
    "missing": "Add it",
    "string_type": "Put the value in quotes",
    "tuple_type": 'Write a list of texts: ["..."]',
    "unexpected_keyword_argument": "There is no such field: correct its name",
}

Record = TypeVar("Record")


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
        data = path.read_bytes()
        return data.decode("utf-8").removeprefix("\ufeff")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: there is no such file. Check the path, or {MAKE.format(folder='FOLDER')}.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {error.start} (0x{data[error.start]:02x}) cannot be read. "
            "Save the file again with the encoding UTF-8."
        ) from None


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Reads a JSONL file line by line; blank lines are skipped.

    Args:
        path: A file with one JSON object a line.

    Yields:
        The place as `file:line`, and the object.

    Raises:
        DataError: A line is not a JSON object, or there are no lines.
    """
    empty = True
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where, empty = f"{path}:{number}", False
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not valid JSON ({error.msg}, column {error.colno}). Write one object a line."
            ) from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object in braces, found {type(row).__name__}. Write one a line.")
        yield where, row
    if empty:
        raise DataError(f"{path}: the file holds no lines to read. Write one JSON object a line into it.")


def explain(error: ValidationError, columns: Mapping[str, str] | None = None) -> str:
    """The first thing that is wrong with a record: the field (or its column), the rule and the remedy, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    name, *inner = map(str, first["loc"] or ("",))
    field = ".".join([(columns or {}).get(name, name), *inner])
    message = first["msg"].removeprefix("Value error, ")
    return f"{field + ': ' if field else ''}{message}. {REMEDIES.get(first['type'], 'Correct the value')}."


@cache
def _adapter(kind: type) -> TypeAdapter:
    return TypeAdapter(kind)


def as_record(
    kind: type[Record], row: Mapping[str, Any], where: str, columns: Mapping[str, str] | None = None
) -> Record:
    """Makes a record of a row.

    Args:
        kind: One of the classes of `records`, or any other pydantic dataclass.
        row: Values by field.
        where: The row's place, for errors.
        columns: Where the file names fields differently, its names by field.

    Raises:
        DataError: A field is missing, unknown, blank or of the wrong type; the message names place, field and remedy.
    """
    try:
        return _adapter(kind).validate_python(dict(row), context={"file": where})
    except ValidationError as error:
        raise DataError(f"{where}: {explain(error, columns)}") from None


def read_records(path: Path | str, kind: type[Record]) -> list[Record]:
    """Reads a JSONL file of records, each with an `id` of its own.

    Args:
        path: A file with one JSON object a line.
        kind: The records' class.

    Returns:
        The records in the order of the file.

    Raises:
        DataError: The file or a line of it is not as it must be.
    """
    records: dict[str, Record] = {}
    for where, row in read_rows(Path(path)):
        record = as_record(kind, row, where)
        if record.id in records:
            raise DataError(f"{where}: id: {record.id!r} is used above already. Give each line its own id.")
        records[record.id] = record
    return list(records.values())


def own_folder() -> Path:
    """Where a learner's own runs go: the environment variable KIT_RESULTS, else results/own beside the notebooks."""
    return Path(os.environ.get("KIT_RESULTS") or ROOT / "results" / "own")


def write_text(path: Path, text: str) -> Path:
    """Writes a file whole or not at all: beside its place first, then renamed.

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
        raise KitError(
            f"could not write {path}: {error.strerror or error}. Free some space, or check that you may write there; "
            "then run the same command again: what was finished before is reused."
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return path


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
