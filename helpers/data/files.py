"""Files: text and records in, whole files out, one process at a time; each error names file, line and remedy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
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
Row = tuple[str, dict[str, Any]]  # a place, `file:line`, and what is there


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; a line ends in one line feed.

    Raises:
        DataError: The file is missing, or a byte of it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: there is no such file. Check the path, or {MAKE.format(folder='FOLDER')}.") from None
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} (0x{error.object[error.start]:02x})"
        raise DataError(f"{path} is not UTF-8: {byte}. Save the file again with the encoding UTF-8.") from None


def read_rows(path: Path) -> Iterator[Row]:
    """Yields each JSON object of a JSONL file with its place as `file:line`; blank lines are skipped.

    Raises:
        DataError: A line is not a JSON object, or there are no lines.
    """
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file holds no lines to read. Write one JSON object a line into it.")
    for number, line in lines:
        try:
            row = json.loads(line)
            problem = "" if isinstance(row, dict) else f"expected a JSON object in braces, found {type(row).__name__}"
        except json.JSONDecodeError as error:
            problem = f"not valid JSON ({error.msg}, column {error.colno})"
        if problem:
            raise DataError(f"{path}:{number}: {problem}. Write one object a line.")
        yield f"{path}:{number}", row


def explain(error: ValidationError, columns: Mapping[str, str] | None = None) -> str:
    """The first thing that is wrong with a record: the field (or its column), the rule and the remedy, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    name, *inner = map(str, first["loc"] or ("",))
    field = ".".join([(columns or {}).get(name, name), *inner])
    message = first["msg"].removeprefix("Value error, ")
    return f"{field + ': ' if field else ''}{message}. {REMEDIES.get(first['type'], 'Correct the value')}."


_adapter = cache(TypeAdapter)


def as_records(
    kind: type[Record], rows: Iterable[Row], columns: Mapping[str, str] | None = None, by_id: bool = True
) -> list[Record]:
    """Makes a record of each row; with `by_id`, each has an `id` of its own.

    Raises:
        DataError: A field (by its name in `columns`) is missing, unknown, blank or of the wrong type, or an id is used
            twice. The message names place, field and remedy.
    """
    records: list[Record] = []
    ids: set[str] = set()
    for where, row in rows:
        try:
            record = _adapter(kind).validate_python(row, context={"file": where})
        except ValidationError as error:
            raise DataError(f"{where}: {explain(error, columns)}") from None
        if by_id and record.id in ids:
            raise DataError(f"{where}: id: {record.id!r} is used above already. Give each line its own id.")
        records.append(record)
        ids.update([record.id] if by_id else ())
    return records


def read_records(path: Path | str, kind: type[Record]) -> list[Record]:
    """The records of a JSONL file, whose lines are objects with an `id` of their own; errors as in `as_records`."""
    return as_records(kind, read_rows(Path(path)))


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
        remedy = "Free some space, or check that you may write there; then run the same command again"
        raise KitError(f"could not write {path}: {error.strerror or error}. {remedy}.") from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return path


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps every other process out of a folder for the length of the block; they wait at its beginning.

    The lock is a file beside the folder that the system frees when its process dies. The file itself stays: taking it
    away would let two processes in.

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
