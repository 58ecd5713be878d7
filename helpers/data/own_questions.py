"""Your own questions and labelled pairs: rows of a table in, typed records out; each error names its line and field."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .records import DataError, Document, Example, Question
from .tables import HUB_LIMIT, Columns, find_columns, read_table
from .text import normalise

Pair = tuple[Example, tuple[str, ...]]  # a labelled pair, and the documents that it is about


def names_of(documents: Sequence[Document]) -> dict[str, str]:
    """Every name that means one document only, with its id: id, path without ending, file name, stem, title."""
    owners: dict[str, set[str]] = {}
    for document in documents:
        path = Path(document.id)
        for name in (document.id, path.with_suffix("").as_posix(), path.name, path.stem, document.title):
            owners.setdefault(name, set()).add(document.id)
    return {name: min(ids) for name, ids in owners.items() if len(ids) == 1} | {d.id: d.id for d in documents}


def read_questions(
    source: str, documents: Sequence[Document], chosen: Mapping[str, str], notes: list[str]
) -> tuple[list[Question], Columns]:
    """Reads questions with their gold answers and, where they are named, the documents that hold them.

    Args:
        source: A file, or the id of a data set of the Hub; see `tables.read_table`.
        documents: Those that questions may name; a passage that comes with a question is looked for in them.
        chosen: Columns that are known; see `tables.find_columns`.
        notes: Gets a sentence for whatever a reader must know.

    Returns:
        The questions, in the sets `facts_heldout` and `unanswerable`; and which column held what.

    Raises:
        DataError: A field is empty or of the wrong kind, an id is used twice, or a document is unknown.
    """
    rows = read_table(source)
    if len(rows) == HUB_LIMIT and not Path(source).exists():
        notes.append(f"The first {HUB_LIMIT:,} rows of {source} were read.")
    optional = ("id", "documents", "context", "unanswerable")
    names = names_of(documents)
    columns = find_columns(source, rows, "questions", ("prompt", "answers"), optional, chosen)
    texts = {document.id: " ".join(document.text.split()) for document in documents}
    questions: dict[str, Question] = {}
    lost = 0
    for number, (where, row) in enumerate(rows, 1):
        cells = {field: row.get(column) for field, column in columns.found.items()}
        id = str(cells.get("id") or f"question-{number}")
        if id in questions:
            raise DataError(f"{where}: the id {id!r} is used twice. Give each question its own id.")
        prompt = text_of(row, columns.found["prompt"], where)
        if str(cells.get("unanswerable") or "").strip().lower() in ("1", "true", "yes"):
            questions[id] = Question(id, "unanswerable", prompt)
            continue
        answers = _listed(cells["answers"], "|")
        if not answers and isinstance(cells["answers"], dict):  # SQuAD 2 on the Hub: a list of answers that is empty
            questions[id] = Question(id, "unanswerable", prompt)
            continue
        _check_answers(answers, columns.found["answers"], where)
        gold = _gold(cells.get("documents"), names, where, columns.found.get("documents", ""), "questions")
        passage = " ".join(str(cells.get("context") or "").split())
        if not gold and passage:
            gold = tuple(id for id, text in texts.items() if passage in text)
            lost += not gold
        questions[id] = Question(id, "facts_heldout", prompt, answers, gold)
    if lost:
        notes.append(f"The passages of {lost} questions stand in no document: retrieval is not scored on these.")
    unnamed = sum(not q.documents and q.set != "unanswerable" for q in questions.values())
    if unnamed:
        notes.append(f"{unnamed} questions name no document: their answers are scored, their retrieval is not.")
    return list(questions.values()), columns


def read_pairs(source: str, documents: Sequence[Document], chosen: Mapping[str, str]) -> tuple[list[Pair], Columns]:
    """Reads labelled prompt-response pairs, and the documents that they are about where they name them.

    Args and errors are those of `read_questions`.
    """
    names = names_of(documents)
    rows = read_table(source)
    columns = find_columns(source, rows, "pairs", ("prompt", "response"), ("documents",), chosen)
    pairs = []
    for number, (where, row) in enumerate(rows, 1):
        prompt, response = (text_of(row, columns.found[field], where) for field in ("prompt", "response"))
        column = columns.found.get("documents", "")
        about = _gold(row.get(column), names, where, column, "pairs")
        pairs.append((Example(f"pair-{number}", "answers", prompt, response), about))
    return pairs, columns


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


def _check_answers(answers: Sequence[str], column: str, where: str) -> None:
    if not answers:
        raise DataError(
            f"{where}: the field {column!r} is empty. Give an answer, or leave the question out. "
            "Where no document holds the answer, say yes in a column `unanswerable`."
        )
    empty = [answer for answer in answers if not normalise(answer)]
    if empty:
        raise DataError(
            f"{where}: the answer {empty[0]!r} holds no word that could be looked for in a reply: articles and "
            "punctuation do not count. Write the answer in words, or leave the question out."
        )


def _listed(cell: Any, separator: str) -> tuple[str, ...]:
    """The texts of a cell: a list, SQuAD's answers, or a text with separators; each once, empty ones left out."""
    if isinstance(cell, dict):  # the Hub's SQuAD: {"text": [...], "answer_start": [...]}
        cell = cell.get("text")
    items = cell if isinstance(cell, list) else str("" if cell is None else cell).split(separator)
    texts = [str(item["text"] if isinstance(item, dict) and "text" in item else item).strip() for item in items]
    return tuple(dict.fromkeys(text for text in texts if text))


def _gold(cell: Any, names: Mapping[str, str], where: str, column: str, kind: str) -> tuple[str, ...]:
    """The ids of the documents that a cell names, with `;` between them."""
    for name in (named := _listed(cell, ";")):
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0.4)
            raise DataError(
                f"{where}: the field {column!r} names {name!r}, which is no document of the folder. "
                f"Write a file's name{', such as ' + ', '.join(near) if near else ''}, or leave the field empty. "
                f"If the column holds something else, say `{kind}.documents=` (`--columns`, in the notebook `COLUMNS`)."
            )
    return tuple(dict.fromkeys(names[name] for name in named))
