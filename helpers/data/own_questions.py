"""Your own questions and labelled pairs: rows of a table in, records out; each error names its line and field."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import as_record
from .records import DataError, Document, Example, Question
from .tables import HUB_LIMIT, Columns, find_columns, read_table
from .text import normalise

Pair = tuple[Example, tuple[str, ...]]  # a labelled pair, and the documents that it is about


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
    columns = find_columns(source, rows, "questions", ("prompt", "answers"), optional, chosen)
    names = _names(documents)
    texts = {document.id: " ".join(document.text.split()) for document in documents}
    questions: dict[str, Question] = {}
    lost = 0
    for number, (where, row) in enumerate(rows, 1):
        cells = {field: row.get(column) for field, column in columns.found.items()}
        answers, gold = _listed(cells["answers"], "|"), ()
        said = str(cells.get("unanswerable") or "").strip().lower() in ("1", "true", "yes")
        if said or (isinstance(cells["answers"], dict) and not answers):  # SQuAD 2 on the Hub: an empty list
            name, answers = "unanswerable", ()
        else:
            name = "facts_heldout"
            _check_answers(answers, columns.found["answers"], where)
            gold = _gold(cells.get("documents"), names, where, columns)
            passage = " ".join(str(cells.get("context") or "").split())
            if passage and not gold:
                gold = tuple(id for id, text in texts.items() if passage in text)
                lost += not gold
        values = {"id": str(cells.get("id") or f"question-{number}"), "set": name, "prompt": cells["prompt"]}
        question = as_record(
            Question, values | {"answers": answers, "documents": gold}, where, {"prompt": columns.found["prompt"]}
        )
        if question.id in questions:
            raise DataError(f"{where}: the id {question.id!r} is used twice. Give each question its own id.")
        questions[question.id] = question
    if lost:
        notes.append(f"The passages of {lost} questions are in no document: retrieval is not scored on these.")
    unnamed = sum(not q.documents and q.set != "unanswerable" for q in questions.values())
    if unnamed:
        notes.append(f"{unnamed} questions name no document: their answers are scored, their retrieval is not.")
    return list(questions.values()), columns


def read_pairs(source: str, documents: Sequence[Document], chosen: Mapping[str, str]) -> tuple[list[Pair], Columns]:
    """Reads labelled prompt-response pairs, and the documents that they are about where they name them.

    Args and errors are those of `read_questions`.
    """
    rows, names = read_table(source), _names(documents)
    columns = find_columns(source, rows, "pairs", ("prompt", "response"), ("documents",), chosen)
    pairs = []
    for number, (where, row) in enumerate(rows, 1):
        cells = {field: row.get(column) for field, column in columns.found.items()}
        values = {"id": f"pair-{number}", "task": "answers", "prompt": cells["prompt"], "response": cells["response"]}
        about = _gold(cells.get("documents"), names, where, columns)
        pairs.append((as_record(Example, values, where, columns.found), about))
    return pairs, columns


def _names(documents: Sequence[Document]) -> dict[str, str]:
    """Every name that means one document only, with its id: id, path without ending, file name, stem, title."""
    owners: dict[str, set[str]] = {}
    for document in documents:
        path = Path(document.id)
        for name in (document.id, path.with_suffix("").as_posix(), path.name, path.stem, document.title):
            owners.setdefault(name, set()).add(document.id)
    return {name: min(ids) for name, ids in owners.items() if len(ids) == 1} | {d.id: d.id for d in documents}


def _check_answers(answers: Sequence[str], column: str, where: str) -> None:
    if not answers:
        raise DataError(
            f"{where}: {column}: there is no answer. Give one, or leave the question out; where no document holds the "
            "answer, say yes in a column `unanswerable`."
        )
    for answer in answers:
        if not normalise(answer):
            raise DataError(
                f"{where}: {column}: {answer!r} holds no word that could be looked for in a reply, since articles and "
                "punctuation do not count. Write the answer in words, or leave the question out."
            )


def _listed(cell: Any, separator: str) -> tuple[str, ...]:
    """The texts of a cell: a list, SQuAD's answers, or a text with separators; each once, empty ones left out."""
    if isinstance(cell, dict):  # the Hub's SQuAD: {"text": [...], "answer_start": [...]}
        cell = cell.get("text")
    items = cell if isinstance(cell, list) else str("" if cell is None else cell).split(separator)
    texts = [str(item["text"] if isinstance(item, dict) and "text" in item else item).strip() for item in items]
    return tuple(dict.fromkeys(text for text in texts if text))


def _gold(cell: Any, names: Mapping[str, str], where: str, columns: Columns) -> tuple[str, ...]:
    """The ids of the documents that a cell names, with `;` between them."""
    named = _listed(cell, ";")
    for name in named:
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0.4)
            raise DataError(
                f"{where}: {columns.found['documents']}: {name!r} is no document of the folder. Write a file's name"
                f"{', such as ' + ', '.join(near) if near else ''}, or leave it empty. If the column holds something "
                f"else, say `{columns.kind}.documents=` (`--columns` on the command line, `COLUMNS` in the notebook)."
            )
    return tuple(dict.fromkeys(names[name] for name in named))
