"""Rows that anyone wrote (CSV, JSON lines, SQuAD's JSON, a data set of the Hub), and which column of them is which.

Every row comes with its place, `file:line`, so that what is wrong with it can be named. Originals are only read.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import read_rows, read_text
from .records import DataError

csv.field_size_limit(2**31 - 1)  # a cell may hold a whole document; readers.MAX_BYTES limits the file

Rows = list[tuple[str, dict[str, Any]]]

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
HUB_LIMIT = 1000  # rows of a data set of the Hub that are read at most
SPLITS = ("validation", "test", "train")  # the first one that a data set of the Hub has is read
ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
ALIASES = {
    "id": ("id", "question_id", "qid", "uid", "key"),
    "prompt": ("prompt", "question", "query", "instruction", "input"),
    "answers": ("answers", "answer", "gold_answer", "gold", "ground_truth", "expected", "target", "response"),
    "response": ("response", "output", "completion", "answer", "answers", "target", "label"),
    "documents": ("documents", "document", "document_ids", "document_id", "doc_ids", "doc_id", "doc", "source", "file"),
    "context": ("context", "passage", "evidence"),
    "unanswerable": ("unanswerable", "is_impossible"),
}  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds which field; `kind` is `questions` or `pairs`, `unused` what else there is."""

    kind: str
    source: str
    found: dict[str, str]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = ", ".join(f"{field} from {column!r}" for field, column in self.found.items())
        return f"{self.kind}: {text}" + (f"; not used: {', '.join(self.unused)}" if self.unused else "")


def read_table(source: str | Path, limit: int = HUB_LIMIT) -> Rows:
    """Reads a table: a file, or a data set of the Hub by its id.

    Args:
        source: A file ending in one of `ENDINGS`, or an id such as `owner/name`.
        limit: How many rows of a data set of the Hub are fetched at most; files are read whole.

    Returns:
        For each row its place and its cells by column; SQuAD's questions as `id`, `question`, `answers`, `context`,
        `is_impossible`.

    Raises:
        DataError: There is no such file, its ending is unknown, or a line of it cannot be read.
    """
    path = Path(source)
    readers = {".csv": csv_rows, ".tsv": csv_rows, ".json": _json_rows, ".jsonl": lambda file: list(read_rows(file))}
    if HUB_ID.fullmatch(str(source)) and not path.parent.exists() and path.suffix.lower() not in ENDINGS:
        return hub_rows(str(source), limit)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path, or name a data set of the Hub as owner/name.")
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: the ending is not one of {', '.join(ENDINGS)}. Save it as one of these.")
    return readers[path.suffix.lower()](path)


def csv_rows(path: Path) -> Rows:
    """Reads a table whose first line names the columns; comma, semicolon or tab between them, whichever it has most of.

    Raises:
        DataError: It is empty, two columns share a name, or a row has more cells than columns or is not CSV.
    """
    text = read_text(path)
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    rows: Rows = []
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        twice = [name for name in columns if columns.count(name) > 1]
        if not any(columns) or twice:
            problem = f"two columns are named {twice[0]!r}" if any(columns) else "the file is empty"
            raise DataError(f"{path}:1: {problem}. The first line must give each column a name of its own.")
        reader.fieldnames = columns
        for row in reader:
            inner = sum(str(cell).count("\n") for cell in row.values() if cell)
            where = f"{path}:{reader.line_num - inner}"  # the row's first line
            if None in row:
                raise DataError(
                    f"{where}: more cells than the {len(columns)} columns of the first line. "
                    "Put quotes around a cell that holds a separator."
                )
            rows.append((where, {name: (cell or "").strip() for name, cell in row.items()}))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num + 1}: not valid CSV ({error}). Correct its quotes.") from None
    if not rows:
        raise DataError(f"{path}: there is no row below the names of the columns. Add some.")
    return rows


def _json_rows(path: Path) -> Rows:
    """The rows of a JSON file: SQuAD's format, or a list of objects."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}, column {error.colno}). Correct it there."
        ) from None
    if isinstance(content, list):
        rows = [(f"{path}: entry {number}", row) for number, row in enumerate(content, 1)]
    elif isinstance(content, dict) and isinstance(content.get("data"), list):
        rows = list(_squad(path, content["data"]))
    else:
        raise DataError(
            f"{path}: neither SQuAD's format (an object with `data`) nor a list of objects. Use one of them."
        )
    wrong = [where for where, row in rows if not isinstance(row, dict)]
    if wrong or not rows:
        raise DataError(f"{wrong[0] if wrong else path}: expected an object in braces. Write one for each row.")
    return rows


def _squad(path: Path, articles: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for a, article in enumerate(articles):
        try:
            for p, paragraph in enumerate(article["paragraphs"]):
                for q, row in enumerate(paragraph["qas"]):
                    yield f"{path}: data[{a}].paragraphs[{p}].qas[{q}]", {"context": paragraph["context"], **row}
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path}: data[{a}] is not as in SQuAD ({error}). It needs paragraphs, context and qas."
            ) from None


def hub_rows(name: str, limit: int) -> Rows:
    """Reads the first rows of a public data set with the `datasets` library; only the id leaves this machine.

    Args:
        name: An id of the Hub; a folder that `datasets` can load does as well.
        limit: How many rows are read at most.

    Raises:
        DataError: `datasets` is not installed, there is no network, or no such data set.
    """
    try:
        from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

        config = get_dataset_config_names(name)[0]
        splits = get_dataset_split_names(name, config)
        split = next((each for each in SPLITS if each in splits), splits[0])
        rows = load_dataset(name, config, split=split, streaming=True).take(limit)
        return [(f"{name} ({split}): row {number}", row) for number, row in enumerate(rows)]
    except ImportError:
        remedy = "To read a data set of the Hub, run `pip install datasets`"
    except Exception as error:  # whatever the network, the Hub or the data set's files raise
        remedy = f"The Hub gave no data set of that name ({' '.join(str(error).split())[:200]}). Check id and network"
    raise DataError(f"{name!r} is no file here. {remedy}; or download the questions and give the file.")


def find_columns(
    source: str, rows: Rows, kind: str, needed: Sequence[str], optional: Sequence[str], chosen: Mapping[str, str]
) -> Columns:
    """Guesses which column holds which field by its name; whoever knows better says so.

    Args:
        source: Where the rows come from, for errors.
        rows: What `read_table` returned.
        kind: `questions` or `pairs`.
        needed: Fields that must be found, each a key of `ALIASES`.
        optional: Fields that may be missing.
        chosen: Columns that are known, by `KIND.FIELD`: `{"questions.prompt": "Frage"}`. An empty name says that no
            column holds a field that may be missing: `{"pairs.documents": ""}`.

    Raises:
        DataError: A chosen column does not exist, or a field that is needed is in no column.
    """
    for key in chosen:
        if not re.fullmatch(rf"(questions|pairs)\.({'|'.join(ALIASES)})", key):
            raise DataError(
                f"a column is chosen as questions.FIELD=COLUMN or pairs.FIELD=COLUMN, not {key!r}; "
                f"FIELD is one of {', '.join(ALIASES)}"
            )
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    listed = f"Its columns: {', '.join(columns)}."
    by_name = {re.sub(r"\W+", "_", name.strip().lower()): name for name in reversed(columns)}
    known = {key.partition(".")[2]: name for key, name in chosen.items() if key.partition(".")[0] == kind}
    found: dict[str, str] = {}
    for field in (*needed, *optional):
        if known.get(field) == "" and field in optional:
            continue
        if field in known and known[field] not in columns:
            raise DataError(f"{source}: there is no column {known[field]!r} for {kind}.{field}. {listed}")
        free = [by_name[name] for name in ALIASES[field] if name in by_name and by_name[name] not in known.values()]
        guess = known.get(field) or next((name for name in free if name not in found.values()), None)
        if guess is not None:
            found[field] = guess
        elif field in needed:
            raise DataError(
                f"{source}: no column is known to hold the field {field!r}. {listed} Say which one it is: "
                f"{kind}.{field}=COLUMN (`--columns` on the command line, `COLUMNS` in the notebook)."
            )
    return Columns(kind, source, found, tuple(name for name in columns if name not in found.values()))
