"""Files: text and records in, whole files out, one process at a time; each error names file, line and remedy."""

import csv
import hashlib
import io
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import yaml
from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from .records import DataError, KitError

ROOT = Path(__file__).resolve().parents[2]
MAKE = "make a data folder with `python -m tools.world --out {folder}`"
SEPARATORS = "\t;|,"  # of a table's columns
PLAIN = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}  # ligatures
PLAIN |= dict.fromkeys((0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF)) | dict.fromkeys((0xA0, 0x2007, 0x202F), " ")
PLAIN[0x2011] = "-"  # beside what cannot be seen, and spaces at which no line ends
PLAIN |= dict.fromkeys((*range(9), *range(14, 32), *range(127, 160))) | {11: "\n", 12: "\n", 133: "\n"}
CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)  # of a terminal, or of order

Record = TypeVar("Record")
Row = tuple[str, dict[str, Any]]  # a place, `file:line`, and what is there

csv.field_size_limit(2**31 - 1)  # a cell may hold a whole document; documents.MAX_BYTES limits the file
_adapter = cache(TypeAdapter)


def read_text(path: Path) -> str:
    """The text of a file, its lines ended by line feeds; a `DataError` says if it is missing or not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: there is no such file. Check the path, or {MAKE.format(folder='FOLDER')}.") from None
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} (0x{error.object[error.start]:02x})"
        raise DataError(f"{path} is not UTF-8: {byte}. Save the file again with the encoding UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check the path, and that you may read it.") from None


def table(module: str | Path, name: str = "") -> Any:
    """What a YAML file beside a module says: the file of the module's name, or of another."""
    return yaml.safe_load(read_text(Path(module).with_name(name) if name else Path(module).with_suffix(".yaml")))


def plain(content: Any) -> Any:
    """A text in Unicode's form NFC, without soft hyphens, ligatures, zero-width characters; or such a list."""
    if isinstance(content, str):
        text = re.sub("\u00ad\n?", "", content).translate(PLAIN).encode("utf-8", "ignore").decode("utf-8")
        return unicodedata.normalize("NFC", text)
    if isinstance(content, dict):
        return {plain(name): plain(each) for name, each in content.items()}
    return [plain(each) for each in content] if isinstance(content, list) else content


def visible(text: str, limit: int = 1900) -> str:
    """A text for the terminal: what controls one shown by its code, and at most so many characters of it."""
    text = CONTROL.sub(lambda each: ascii(each[0])[1:-1], text)
    return text if len(text) <= limit else f"{text[: limit // 2]} [...] {text[-limit // 2 + 7 :]}"


def update_rounds(folder: Path) -> list[int]:
    """The numbers of the rounds in a folder of updates, in order; none where it holds a single update."""
    return sorted(int(path.name) for path in Path(folder).glob("*") if path.is_dir() and path.name.isdecimal())


def read_rows(path: Path) -> list[Row]:
    """The JSON objects of a JSONL file; a `DataError` names a line that is none, or says that there are no lines."""
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                rows.append((where, _adapter(dict[str, Any]).validate_json(line)))
            except ValidationError as error:
                raise DataError(f"{where}: {explain(error)}") from None
    if not rows:
        raise DataError(f"{path}: the file holds no lines to read. Write one JSON object a line into it.")
    return rows


def csv_rows(path: Path) -> list[Row]:
    """The rows of a table whose first line names the columns; separated as a line `sep=;` says, or as the rows show.

    A `DataError` says that it is empty, that columns share a name, or which row has too many cells or is not CSV.
    """
    text = read_text(path)
    named = re.match('"?sep=(.)"?\n', text, re.IGNORECASE)  # as Excel writes it
    separator = named[1] if named else max(SEPARATORS, key=lambda each: _fit(text, each))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    where = f"{path}:1"
    try:
        columns = [name.strip() for name in [next(reader, []) for _ in range(2 if named else 1)][-1]]
        if len(set(columns)) < len(columns) or not any(columns):
            raise DataError(f"{path}:1: the first line must give each column a name of its own, not {columns}.")
        where = f"{path}:{reader.line_num + 1}"  # a row's first line
        for cells in reader:
            if len(cells) > len(columns):
                raise DataError(f"{where}: more cells than columns. Put quotes around a cell that holds a separator.")
            if cells:
                rows.append((where, dict(zip_longest(columns, map(str.strip, cells), fillvalue=""))))
            where = f"{path}:{reader.line_num + 1}"
    except csv.Error as error:
        raise DataError(f"{where}: not valid CSV ({error}). Correct its quotes.") from None
    if not rows:
        raise DataError(f"{path}: there is no row below the names of the columns. Add some.")
    return rows


def _fit(text: str, separator: str) -> tuple[bool, int]:
    """Whether a separator cuts the first rows into equally many cells, and into how many the very first."""
    widths = [len(row) for row in islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 20) if row]
    return len(set(widths)) == 1 < widths[0], max(widths[:1], default=0)


def explain(error: ValidationError, columns: Mapping[str, str] | None = None) -> str:
    """The first thing that is wrong with a record: the field (or its column), the rule and the remedy, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    name, *inner = map(str, first["loc"] or ("",))
    field = ".".join([(columns or {}).get(name, name), *inner])
    message = first["msg"].removeprefix("Value error, ").replace(" at line 1 column", ", column")
    return f"{field + ': ' if field else ''}{message}. {table(__file__).get(first['type'], 'Correct the value')}."


def as_records(kind: type[Record], rows: Iterable[Row], columns: Mapping[str, str] | None = None) -> list[Record]:
    """Makes a record of each row; where records have an `id`, each has its own.

    A `DataError` names the place, the field (by its name in `columns`), what is wrong with it and the remedy.
    """
    records: dict[str, Record] = {}
    for where, row in rows:
        try:
            record = _adapter(kind).validate_python(row, context={"file": where})
        except ValidationError as error:
            raise DataError(f"{where}: {explain(error, columns)}") from None
        key = getattr(record, "id", where)
        if key in records:
            raise DataError(f"{where}: id: {key!r} is used above already. Give each line its own id.")
        records[key] = record
    return list(records.values())


def read_records(path: Path | str, kind: type[Record]) -> list[Record]:
    """The records of a JSONL file, whose lines are objects with an `id` of their own; errors as in `as_records`."""
    return as_records(kind, read_rows(Path(path)))


def folder_hash(folder: Path, leave_out: Collection[str] = ()) -> str:
    """SHA-256 in hexadecimal over the sorted paths and bytes of a folder's files.

    Hidden ones do not count, nor files and folders right in it whose name is left out.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(name for name in paths if name.split("/")[0] not in leave_out and "/." not in f"/{name}"):
        with paths[name].open("rb") as file:
            digest.update(f"{name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def readable(folder: Path) -> None:
    """Gives a folder's files the rights that a new file has here: safetensors are written for their owner alone."""
    os.umask(mask := os.umask(0))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        path.chmod(0o666 & ~mask)


def own_folder() -> Path:
    """Where a learner's own runs go: the environment variable KIT_RESULTS, else results/own beside the notebooks."""
    return Path(os.environ.get("KIT_RESULTS") or ROOT / "results" / "own")


def write_text(path: Path, text: str) -> Path:
    """Writes a file whole or not at all: beside its place first, then renamed; a `KitError` says why it cannot."""
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
    away would let two processes in. A `KitError` says if the place cannot be written to.
    """
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
