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
from .tables import HUB_LIMIT, read_table
from .text import normalise

Pair = tuple[Example, tuple[str, ...]]  # a labelled pair, and the documents that it is about

ALIASES = {
    "id": ("id", "question_id", "qid", "uid", "key"),
    "prompt": ("prompt", "question", "query", "instruction", "input"),
    "answers": ("answers", "answer", "gold_answer", "gold", "ground_truth", "expected", "target", "response"),
    "response": ("response", "output", "completion", "answer", "answers", "target", "label"),
    "documents": ("documents", "document", "document_ids", "document_id", "doc_ids", "doc_id", "doc", "source", "file"),
    "context": ("context", "passage", "evidence"),
    "unanswerable": ("unanswerable", "is_impossible"),
}
NEEDED = {"questions": ("prompt", "answers"), "pairs": ("prompt", "response")}
OPTIONAL = {"questions": ("id", "documents", "context", "unanswerable"), "pairs": ("documents",)}
HOW = "(`--columns` on the command line, `COLUMNS` in the notebook)"


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


def read_questions(
    source: str, documents: Sequence[Document], chosen: Mapping[str, str], notes: list[str]
) -> tuple[list[Question], Columns]:
    """Reads questions with their gold answers and, where they are named, the documents that hold them.

    Args:
        source: A file, or the id of a data set of the Hub; see `tables.read_table`.
        documents: Those that questions may name; a passage that comes with a question is looked for in them.
        chosen: Columns that are known, by `KIND.FIELD`; an empty one says that no column holds an optional field.
        notes: Gets a sentence for whatever a reader must know.

    Returns:
        The questions, in the sets `facts_heldout` and `unanswerable`; and which column held what.

    Raises:
        DataError: A field is in no column, empty or of the wrong kind, an id is used twice, or a document is unknown.
    """
    rows, columns = _read_cells(source, "questions", chosen)
    if len(rows) == HUB_LIMIT and not Path(source).exists():
        notes.append(f"The first {HUB_LIMIT:,} rows of {source} were read.")
    names = _names(documents)
    texts = {document.id: " ".join(document.text.split()) for document in documents}
    made = []
    for number, (where, cells) in enumerate(rows, 1):
        answers, gold = _listed(cells["answers"], "|"), ()
        said = str(cells.get("unanswerable") or "").strip().lower() in ("1", "true", "yes")
        empty = isinstance(cells["answers"], dict) and not answers  # as SQuAD 2 on the Hub says it
        if not said and not empty:
            if not answers or not all(map(normalise, answers)):
                raise DataError(
                    f"{where}: {columns.found['answers']}: {cells['answers']!r} holds no word to look for in a reply. "
                    "Write an answer; where no document holds one, say yes in a column `unanswerable`."
                )
            gold = _gold(cells, names, where, columns)
            passage = " ".join(str(cells.get("context") or "").split())
            if passage and not gold:
                gold = tuple(id for id, text in texts.items() if passage in text)
        values = {"id": str(cells.get("id") or f"question-{number}"), "prompt": cells["prompt"], "documents": gold}
        known = {"set": "unanswerable"} if said or empty else {"set": "facts_heldout", "answers": answers}
        made.append((where, values | known))
    questions = as_records(Question, made, columns.found)
    unnamed = sum(not question.documents and question.set != "unanswerable" for question in questions)
    if unnamed:
        notes.append(f"{unnamed} questions have no known document: their answers are scored, their retrieval is not.")
    return questions, columns


def read_pairs(source: str, documents: Sequence[Document], chosen: Mapping[str, str]) -> tuple[list[Pair], Columns]:
    """Reads labelled pairs, and the documents that they are about where they name them, as in `read_questions`."""
    rows, columns = _read_cells(source, "pairs", chosen)
    names = _names(documents)
    made = [
        (where, {"id": f"pair-{n}", "task": "answers", "prompt": cells["prompt"], "response": cells["response"]})
        for n, (where, cells) in enumerate(rows, 1)
    ]
    about = [_gold(cells, names, where, columns) for where, cells in rows]
    return list(zip(as_records(Example, made, columns.found), about, strict=True)), columns


def _read_cells(source: str, kind: str, chosen: Mapping[str, str]) -> tuple[list[Row], Columns]:
    """The rows of a table, their cells by field: its column is the chosen one, else one of a name in `ALIASES`."""
    for key in chosen:
        if not re.fullmatch(rf"(questions|pairs)\.({'|'.join(ALIASES)})", key):
            fields = ", ".join(ALIASES)
            raise DataError(f"choose columns as questions.FIELD or pairs.FIELD, not {key!r}; FIELD is one of {fields}")
    rows = read_table(source)
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    by_name = {re.sub(r"\W+", "_", name.strip().lower()): name for name in reversed(columns)}
    known = {key.partition(".")[2]: name for key, name in chosen.items() if key.startswith(f"{kind}.")}
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
    return cells, Columns(kind, source, found, tuple(name for name in columns if name not in found.values()))


def _names(documents: Sequence[Document]) -> dict[str, str]:
    """Every name that means one document only, with its id: id, path without ending, file name, stem, title."""
    owners: dict[str, set[str]] = {}
    for document in documents:
        path = Path(document.id)
        for name in (document.id, path.with_suffix("").as_posix(), path.name, path.stem, document.title):
            owners.setdefault(name, set()).add(document.id)
    return {name: min(ids) for name, ids in owners.items() if len(ids) == 1} | {d.id: d.id for d in documents}


def _listed(cell: Any, separator: str) -> tuple[str, ...]:
    """The texts of a cell: a list, SQuAD's answers, or a text with separators; each once, empty ones left out."""
    if isinstance(cell, dict):  # the Hub's SQuAD: {"text": [...], "answer_start": [...]}
        cell = cell.get("text")
    items = cell if isinstance(cell, list) else str("" if cell is None else cell).split(separator)
    texts = [str(item["text"] if isinstance(item, dict) and "text" in item else item).strip() for item in items]
    return tuple(dict.fromkeys(filter(None, texts)))


def _gold(cells: Mapping[str, Any], names: Mapping[str, str], where: str, columns: Columns) -> tuple[str, ...]:
    """The ids of the documents that a row names, with `;` between them."""
    named = _listed(cells.get("documents"), ";")
    for name in named:
        if name not in names:
            near = ", ".join(difflib.get_close_matches(name, names, 3, 0.4)) or "a file's name"
            raise DataError(
                f"{where}: {columns.found['documents']}: {name!r} is no document of the folder. Write {near}, or "
                f"nothing; if the column holds something else, say `{columns.kind}.documents=` {HOW}."
            )
    return tuple(dict.fromkeys(names[name] for name in named))
