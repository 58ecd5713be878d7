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
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from .files import read_rows, read_text
from .records import DataError, Document

csv.field_size_limit(2**31 - 1)  # a cell may hold a whole document; readers.MAX_BYTES limits the file

Rows = list[tuple[str, dict[str, Any]]]

HUB = "https://datasets-server.huggingface.co"  # the Hub's viewer of data sets: reads public ones row by row
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
HUB_LIMIT = 1000  # rows of a data set of the Hub that are read at most
HUB_PAGE = 100  # rows that the viewer gives at once
SPLITS = ("validation", "test", "train")  # the first one that a data set of the Hub has is read
ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
BODY = ("text", "content", "body")  # a column of this name is a document's text; the others stand above it
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
        told = ", ".join(f"{field} from {column!r}" for field, column in self.found.items())
        return f"{self.kind}: {told}" + (f"; not used: {', '.join(self.unused)}" if self.unused else "")


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
    if HUB_ID.fullmatch(str(source)) and not path.parent.exists() and path.suffix.lower() not in ENDINGS:
        return hub_rows(str(source), limit)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path, or name a data set of the Hub as owner/name.")
    if path.suffix.lower() in (".csv", ".tsv"):
        return csv_rows(path)
    if path.suffix.lower() == ".jsonl":
        return list(read_rows(path))
    if path.suffix.lower() == ".json":
        return json_rows(path)
    raise DataError(f"{path}: the ending {path.suffix!r} is not one of {', '.join(ENDINGS)}. Save it as one of these.")


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
            start = reader.line_num - inner  # blank lines above a row are not its own
            if None in row:
                raise DataError(
                    f"{path}:{start}: more cells than the {len(columns)} columns of the first line. "
                    "Put quotes around a cell that holds a separator."
                )
            rows.append((f"{path}:{start}", {name: (cell or "").strip() for name, cell in row.items()}))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not valid CSV ({error}). Mend the quotes of this row.") from None
    if not rows:
        raise DataError(f"{path}: there is no row below the names of the columns. Add some.")
    return rows


def json_rows(path: Path) -> Rows:
    """Reads a JSON file: SQuAD's format, or a list of objects.

    Raises:
        DataError: It is not valid JSON, or neither of the two.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}, column {error.colno}). Mend it, or save it as JSONL."
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
                for q, asked in enumerate(paragraph["qas"]):
                    yield f"{path}: data[{a}].paragraphs[{p}].qas[{q}]", {"context": paragraph["context"], **asked}
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path}: data[{a}] is not as in SQuAD ({error}). It needs paragraphs, context and qas."
            ) from None


def hub_rows(name: str, limit: int, server: str = HUB) -> Rows:
    """Reads the first rows of a public data set of the Hub through its viewer; only the id leaves this machine.

    Raises:
        DataError: There is no network, or no such data set.
    """

    def ask(path: str, **query: Any) -> Any:
        with urlopen(f"{server}/{path}?{urlencode({'dataset': name} | query)}", timeout=30) as reply:
            return json.load(reply)

    try:
        splits = ask("splits")["splits"]
        split = min(splits, key=lambda s: SPLITS.index(s["split"]) if s["split"] in SPLITS else len(SPLITS))
        chosen = {"config": split["config"], "split": split["split"]}
        rows: Rows = []
        while len(rows) < limit:
            page = ask("rows", **chosen, offset=len(rows), length=min(HUB_PAGE, limit - len(rows)))["rows"]
            rows += [(f"{name} ({split['split']}): row {each['row_idx']}", each["row"]) for each in page]
            if len(page) < HUB_PAGE:
                break
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{name!r} is no file here, and the Hub did not give a data set of that name ({error}). Check the path, or "
            "id and network; or download the questions and give the file: with a file nothing needs a network."
        ) from None
    return rows


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
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    by_name = {re.sub(r"\W+", "_", name.strip().lower()): name for name in reversed(columns)}
    known = {key.partition(".")[2]: name for key, name in chosen.items() if key.partition(".")[0] == kind}
    found: dict[str, str] = {}
    for field in (*needed, *optional):
        if known.get(field) == "" and field in optional:
            continue
        if field in known and known[field] not in columns:
            raise DataError(f"{source}: there is no column {known[field]!r} for {kind}.{field}. {_listed(columns)}")
        free = [by_name[name] for name in ALIASES[field] if name in by_name and by_name[name] not in known.values()]
        guess = known.get(field) or next((name for name in free if name not in found.values()), None)
        if guess is not None:
            found[field] = guess
        elif field in needed:
            raise DataError(
                f"{source}: no column is known to hold the field {field!r}. {_listed(columns)} Say which one it is: "
                f"{kind}.{field}=COLUMN (`--columns` on the command line, `COLUMNS` in the notebook)."
            )
    return Columns(kind, source, found, tuple(name for name in columns if name not in found.values()))


def _listed(columns: Sequence[str]) -> str:
    return f"Its columns: {', '.join(columns)}."


def table_documents(file: Path, name: str) -> list[Document]:
    """A CSV file as documents, one a row: lines `column: value`, and below them the column named in `BODY`.

    The id of a row is that of its column `id` where there is one, else its number, behind the file's name; its title is
    the column `title` or `name`, else the file's name and the row's number.

    Raises:
        DataError: As `csv_rows`; or all cells of a row are empty, or two rows have the same id.
    """
    documents: dict[str, Document] = {}
    for number, (where, row) in enumerate(csv_rows(file), 1):
        cells = {column.lower(): cell for column, cell in row.items()}
        body = next((column for column in BODY if cells.get(column)), "")
        lines = [f"{column}: {cell}" for column, cell in row.items() if cell and column.lower() not in (body, "id")]
        text = "\n".join(lines) + (f"\n\n{cells[body]}" if body else "")
        key = f"{name}#{cells.get('id') or number}"
        if not text.strip() or key in documents:
            problem = f"the id {cells.get('id')!r} is used twice" if text.strip() else "all cells of this row are empty"
            raise DataError(f"{where}: {problem}. Mend the row, or take it out.")
        title = cells.get("title") or cells.get("name") or f"{file.stem}, row {number}"
        documents[key] = Document(key, title, text.strip(), "row", source=where)
    return list(documents.values())
