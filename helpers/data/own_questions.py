"""Your own questions and labelled pairs: rows of a table in, records out; each error names its line and field.

A table is a file (CSV, JSON lines, SQuAD's JSON), or a public data set of the Hub by its id.
"""

import ast
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .files import Row, as_records, csv_rows, plain, read_rows, read_text, table
from .records import DataError, Document, Example, Question
from .values import normalise

ALIASES = table(__file__)  # names of columns by field
NEEDED = {"questions": ("prompt", "answers"), "pairs": ("prompt", "response")}
OPTIONAL = {"questions": ("id", "documents", "unanswerable"), "pairs": ("documents", "context")}
ALL = "\0"  # a separator that no text has
TEXTS = ("text", "texts", "value", "number", "aliases", "answer", "answers", "span", "spans")  # fields of a struct
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
HUB_LIMIT = 1000  # rows of a data set of the Hub that are read at most
HOW = "(`--columns` on the command line, `COLUMNS` in the notebook)"


def read_table(source: Path | str) -> list[Row]:
    """The rows of a file with an ending in `READERS`, or of a data set of the Hub: each its place and its cells.

    The Hub is asked only for `owner/name` where no folder `owner` is. A `DataError` names what cannot be read.
    """
    path = Path(source)
    ending = path.suffix.lower()
    if HUB_ID.fullmatch(str(source)) and not path.parent.exists() and ending not in READERS:
        return _hub_rows(str(source))
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path, or name a data set of the Hub as owner/name.")
    if ending not in READERS:
        raise DataError(f"{path}: the ending is not one of {', '.join(READERS)}. Save it as one of these.")
    return [(where, plain(row)) for where, row in READERS[ending](path)]


def _json_rows(path: Path) -> Iterator[Row]:
    try:
        found = json.loads(read_text(path))
        for a, article in enumerate(found["data"] if isinstance(found, dict) else found or {}["data"]):
            if "paragraphs" not in article:  # a list of rows, not SQuAD's nest of them
                yield f"{path}: [{a}]", dict(article)
            for p, paragraph in enumerate(article.get("paragraphs", ())):
                for q, row in enumerate(paragraph["qas"]):
                    yield f"{path}: data[{a}].paragraphs[{p}].qas[{q}]", row
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not in SQuAD's format, and no list of objects ({error}). Write .jsonl.") from None


def _hub_rows(name: str) -> list[Row]:
    try:
        from datasets import get_dataset_config_names, load_dataset

        config = get_dataset_config_names(name)[0]
        splits = load_dataset(name, config, streaming=True)
        split = next((each for each in ("validation", "test") if each in splits), next(iter(splits)))
        rows = splits[split].take(HUB_LIMIT)
        return [(f"{name} ({split}): row {number}", plain(dict(row))) for number, row in enumerate(rows)]
    except ImportError:
        problem = "To read a data set of the Hub, run `pip install datasets`"
    except Exception as error:  # whatever the network, the Hub or the data set's files raise
        problem = f"The Hub gave no data set of that name ({' '.join(str(error).split())[:200]}). Check id and network"
    raise DataError(f"{name!r} is no file here. {problem}; or download the table and give the file.")


READERS = {".csv": csv_rows, ".tsv": csv_rows, ".jsonl": read_rows, ".json": _json_rows}


def read_questions(
    source: Path | str, documents: Sequence[Document], chosen: Mapping[str, str]
) -> tuple[list[Question], str]:
    """Reads questions, for the sets `facts_heldout` and `unanswerable`, and says which column held what.

    Args:
        source: A CSV, TSV or JSONL file, one in SQuAD's format, or the id of a data set of the Hub.
        documents: Those that questions may name: by id, file name with or without its ending, or title.
        chosen: Columns by field: `{"questions.prompt": "Frage"}`; an empty name says that no column holds the field.
    """
    rows, columns, told = _read_cells(source, "questions", documents, chosen)
    for number, (where, cells) in enumerate(rows, 1):
        given, said = _parsed(cells.pop("answers")), str(cells.pop("unanswerable", "")).strip().lower()
        cells |= {"id": str(cells.get("id") or f"question-{number}"), "set": "facts_heldout"}
        cells["answers"] = answers = _listed(given, "|", f"{where}: {columns['answers']}")
        if said in ("1", "true", "yes") or (isinstance(given, dict) and given.get("text") == []):  # as in SQuAD 2
            cells |= {"set": "unanswerable", "answers": (), "documents": ()}
        elif not (answers and all(map(normalise, answers))):
            raise DataError(
                f"{where}: {columns['answers']}: {given!r} holds no word to look for in a reply. "
                "Write an answer; where no document holds one, say yes in a column `unanswerable`."
            )
    return as_records(Question, rows, columns), told


def read_pairs(
    source: Path | str, documents: Sequence[Document], chosen: Mapping[str, str]
) -> tuple[list[Example], str]:
    """Reads labelled pairs as `read_questions` does; `input` or `context` beside an instruction join the prompt."""
    rows, columns, told = _read_cells(source, "pairs", documents, chosen)
    for number, (where, cells) in enumerate(rows, 1):
        if context := _listed(cells.pop("context", None), ALL, where):
            cells["prompt"] = "\n\n".join([str(cells["prompt"] or ""), *context])
        cells |= {"id": f"pair-{number}", "task": "answers"}
    return as_records(Example, rows, columns), told


def _read_cells(
    source: Path | str, kind: str, documents: Sequence[Document], chosen: Mapping[str, str]
) -> tuple[list[Row], dict[str, str], str]:
    """The rows of a table with their cells by field, the column of each field, and the same as a sentence.

    A field's column is the chosen one, else one of a name in `ALIASES`.
    """
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
    unused = ", ".join(name for name in columns if name not in found.values())
    told = f"{kind}: " + ", ".join(f"{field} from {column!r}" for field, column in found.items())
    ids = _document_ids(documents)
    made = []
    for where, row in rows:
        cells = {field: row.get(column) for field, column in found.items()}
        named = _listed(_parsed(cells.get("documents")), ";", f"{where}: {found.get('documents')}")
        for name in [name for name in named if name not in ids]:
            near = ", ".join(difflib.get_close_matches(name, ids, 3, 0.4)) or "a file's name"
            raise DataError(
                f"{where}: {found['documents']}: {name!r} is no document of the folder. Write {near}, or nothing; if "
                f"the column holds something else, say `{kind}.documents=` {HOW}."
            )
        made.append((where, cells | {"documents": tuple(dict.fromkeys(ids[name] for name in named))}))
    return made, found, f"{told}; not used: {unused}" if unused else told


def _parsed(cell: Any) -> Any:
    """A cell, read as a list or struct where its text is one, in JSON or as Python, numpy and pandas print them."""
    if not isinstance(cell, str) or cell.strip()[:1] not in ("[", "{", "a"):
        return cell
    text = re.sub(r"\barray\((\[.*?\])(?:, dtype=[\w<']+)?\)", r"\1", cell.strip(), flags=re.DOTALL)
    spaced = re.sub(r"(?<=['\"])\s+(?=['\"])", ", ", text)  # ['one' 'two'], as numpy prints it
    for read, written in ((json.loads, text), (ast.literal_eval, spaced)):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return found if isinstance(found := read(written), list | dict) else cell
    return cell


def _listed(cell: Any, separator: str, place: str) -> tuple[str, ...]:
    """The texts of a cell, each once: of a list, of the fields `TEXTS` of a struct, or between separators."""
    if isinstance(cell, dict):
        if not set(cell) & set(TEXTS):
            raise DataError(f"{place}: a struct of {', '.join(map(repr, cell))}. Put the text into a field `text`.")
        cell = [cell[name] for name in TEXTS if name in cell]
    items = cell if isinstance(cell, list) else str("" if cell is None else cell).split(separator)
    texts = ([item.strip()] if isinstance(item, str) else _listed(item, ALL, place) for item in items)
    return tuple(dict.fromkeys(text for each in texts for text in each if text))


def _document_ids(documents: Sequence[Document]) -> dict[str, str]:
    """By every name of a document its id; a name that several documents have is nobody's."""
    owners: dict[str, set[str]] = {}
    for document in documents:
        path = Path(document.id)
        for name in (path.name, path.stem, document.id.removesuffix(path.suffix), document.title):
            owners.setdefault(name, set()).add(document.id)
    return {plain(name): min(own) for name, own in owners.items() if len(own) == 1} | {d.id: d.id for d in documents}
