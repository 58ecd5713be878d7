"""Your own questions and labelled pairs: rows of a table in, records out; each error names its line and field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import Row, as_records
from .records import DataError, Document, Example, Question
from .tables import read_table
from .text import normalise

Pair = tuple[Example, tuple[str, ...]]  # a labelled pair, and the documents that it is about

ALIASES = {
    "id": ("id", "question_id", "qid", "uid", "key"),
    "prompt": ("prompt", "question", "query", "instruction", "input"),
    "answers": ("answers", "answer", "gold_answer", "gold", "ground_truth", "expected", "target", "response"),
    "response": ("response", "output", "completion", "answer", "answers", "target", "label"),
    "documents": ("documents", "document", "document_ids", "document_id", "doc_ids", "doc_id", "doc", "source", "file"),
    "unanswerable": ("unanswerable", "is_impossible"),
}
NEEDED = {"questions": ("prompt", "answers"), "pairs": ("prompt", "response")}
OPTIONAL = {"questions": ("id", "documents", "unanswerable"), "pairs": ("documents",)}
HOW = "(`--columns` on the command line, `COLUMNS` in the notebook)"


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds which field; `kind` is `questions` or `pairs`, `unused` what else there is."""

    kind: str
    found: dict[str, str]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = ", ".join(f"{field} from {column!r}" for field, column in self.found.items())
        return f"{self.kind}: {text}" + (f"; not used: {', '.join(self.unused)}" if self.unused else "")


def read_questions(
    source: Path | str, documents: Sequence[Document], chosen: Mapping[str, str]
) -> tuple[list[Question], Columns]:
    """Reads questions, for the sets `facts_heldout` and `unanswerable`, and says which column held what.

    Args:
        source: A CSV, TSV or JSONL file, one in SQuAD's format, or the id of a data set of the Hub.
        documents: Those that questions may name: by id, file name with or without its ending, or title.
        chosen: Columns by field: `{"questions.prompt": "Frage"}`; an empty name says that no column holds the field.
    """
    rows, columns = _read_cells(source, "questions", chosen)
    made = []
    for number, ((where, cells), gold) in enumerate(zip(rows, _gold(rows, documents, columns), strict=True), 1):
        given = cells["answers"]
        answers = _listed(given, "|")
        record = {"id": str(cells.get("id") or f"question-{number}"), "prompt": cells["prompt"]}
        said = str(cells.get("unanswerable") or "").strip().lower() in ("1", "true", "yes")
        if said or (isinstance(given, dict) and given.get("text") == []):  # the second as in SQuAD 2
            made.append((where, record | {"set": "unanswerable"}))
        elif answers and all(map(normalise, answers)):
            made.append((where, record | {"set": "facts_heldout", "answers": answers, "documents": gold}))
        else:
            raise DataError(
                f"{where}: {columns.found['answers']}: {given!r} holds no word to look for in a reply. "
                "Write an answer; where no document holds one, say yes in a column `unanswerable`."
            )
    return as_records(Question, made, columns.found), columns


def read_pairs(
    source: Path | str, documents: Sequence[Document], chosen: Mapping[str, str]
) -> tuple[list[Pair], Columns]:
    """Reads labelled pairs, and the documents that they are about where they name them, as in `read_questions`."""
    rows, columns = _read_cells(source, "pairs", chosen)
    about = _gold(rows, documents, columns)
    for number, (_, cells) in enumerate(rows, 1):
        cells |= {"id": f"pair-{number}", "task": "answers"}
        cells.pop("documents", None)
    return list(zip(as_records(Example, rows, columns.found), about, strict=True)), columns


def _read_cells(source: Path | str, kind: str, chosen: Mapping[str, str]) -> tuple[list[Row], Columns]:
    """The rows of a table, their cells by field: its column is the chosen one, else one of a name in `ALIASES`."""
    for key in chosen:
        if not re.fullmatch(rf"(questions|pairs)\.({'|'.join(ALIASES)})", key):
            fields = ", ".join(ALIASES)
            raise DataError(f"choose columns as questions.FIELD or pairs.FIELD, not {key!r}; FIELD is one of {fields}")
    rows = read_table(source)
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    by_name = {re.sub(r"\W+", "_", name.strip().lower()): name for name in reversed(columns)}
    known = {field: chosen[f"{kind}.{field}"] for field in ALIASES if f"{kind}.{field}" in chosen}
    found: dict[str, str] = {}
    for field in NEEDED[kind] + OPTIONAL[kind]:
        taken = {*known.values(), *found.values()}
        guesses = [by_name[name] for name in ALIASES[field] if name in by_name and by_name[name] not in taken]
        column = known.get(field, guesses[0] if guesses else None)
        if column in columns:
            found[field] = column
        elif field in NEEDED[kind] or column:
            problem = "no column is known to hold" if column is None else f"there is no column {column!r} for"
            remedy = f"Its columns: {', '.join(columns)}. Say which one it is: {kind}.{field}=COLUMN {HOW}"
            raise DataError(f"{source}: {problem} {kind}.{field}. {remedy}.")
    cells = [(where, {field: row.get(column) for field, column in found.items()}) for where, row in rows]
    return cells, Columns(kind, found, tuple(name for name in columns if name not in found.values()))


def _listed(cell: Any, separator: str) -> tuple[str, ...]:
    """The texts of a cell, each once: a list, `{"text": [...]}` or `[{"text": ...}]` (SQuAD), or with separators."""
    cell = cell.get("text") if isinstance(cell, dict) else cell
    items = cell if isinstance(cell, list) else str("" if cell is None else cell).split(separator)
    texts = (str(item.get("text", "") if isinstance(item, dict) else item).strip() for item in items)
    return tuple(dict.fromkeys(filter(None, texts)))


def _gold(rows: Sequence[Row], documents: Sequence[Document], columns: Columns) -> list[tuple[str, ...]]:
    """For each row the ids of the documents that it names; a name that several documents have is nobody's."""
    owners: dict[str, set[str]] = {}
    for document in documents:
        path = Path(document.id)
        for name in (path.name, path.stem, document.id.removesuffix(path.suffix), document.title):
            owners.setdefault(name, set()).add(document.id)
    ids = {name: min(own) for name, own in owners.items() if len(own) == 1} | {d.id: d.id for d in documents}
    gold = [_listed(cells.get("documents"), ";") for _, cells in rows]
    for (where, _), named in zip(rows, gold, strict=True):
        for name in [name for name in named if name not in ids]:
            near = ", ".join(difflib.get_close_matches(name, ids, 3, 0.4)) or "a file's name"
            raise DataError(
                f"{where}: {columns.found['documents']}: {name!r} is no document of the folder. Write {near}, or "
                f"nothing; if the column holds something else, say `{columns.kind}.documents=` {HOW}."
            )
    return [tuple(dict.fromkeys(ids[name] for name in named)) for named in gold]
