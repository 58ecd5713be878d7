"""Rows that anyone wrote: CSV, JSON lines, SQuAD's JSON, or a data set of the Hub.

Every row comes with its place, `file:line`, so that what is wrong with it can be named. Originals are only read.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from .files import Row, read_rows, read_text
from .records import DataError

csv.field_size_limit(2**31 - 1)  # a cell may hold a whole document; readers.MAX_BYTES limits the file

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
HUB_LIMIT = 1000  # rows of a data set of the Hub that are read at most
SPLITS = ("validation", "test", "train")  # the first one that a data set of the Hub has is read


def read_table(source: str | Path) -> list[Row]:
    """The rows of a file with one of the endings of `READERS`, or of a data set of the Hub by its `owner/name`.

    Each is its place and its cells by column. A `DataError` says that there is no such file, that its ending is
    unknown, or which line of it cannot be read.
    """
    path = Path(source)
    ending = path.suffix.lower()
    if HUB_ID.fullmatch(str(source)) and not path.parent.exists() and ending not in READERS:
        return hub_rows(str(source))
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path, or name a data set of the Hub as owner/name.")
    if ending not in READERS:
        raise DataError(f"{path}: the ending is not one of {', '.join(READERS)}. Save it as one of these.")
    return list(READERS[ending](path))


def csv_rows(path: Path) -> list[Row]:
    """The rows of a table whose first line names the columns; comma, semicolon or tab, whichever that line has most of.

    Raises:
        DataError: It is empty, two columns share a name, or a row has more cells than columns or is not CSV.
    """
    text = read_text(path)
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    rows: list[Row] = []
    try:
        reader.fieldnames = columns = [(name or "").strip() for name in reader.fieldnames or ()]
        if len(set(columns)) < len(columns) or not any(columns):
            raise DataError(f"{path}:1: the first line must give each column a name of its own, not {head.strip()!r}.")
        for row in reader:
            inner = sum(str(cell).count("\n") for cell in row.values() if cell)
            where = f"{path}:{reader.line_num - inner}"  # the row's first line
            if None in row:
                raise DataError(f"{where}: more cells than columns. Put quotes around a cell that holds a separator.")
            rows.append((where, {name: (cell or "").strip() for name, cell in row.items()}))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num + 1}: not valid CSV ({error}). Correct its quotes.") from None
    if not rows:
        raise DataError(f"{path}: there is no row below the names of the columns. Add some.")
    return rows


def squad_rows(path: Path) -> Iterator[Row]:
    """The questions of a JSON file in SQuAD's format, each with its passage as `context`."""
    try:
        for a, article in enumerate(json.loads(read_text(path))["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                for q, row in enumerate(paragraph["qas"]):
                    yield f"{path}: data[{a}].paragraphs[{p}].qas[{q}]", {"context": paragraph["context"], **row}
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg}, column {error.colno}).") from None
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not in SQuAD's format ({error}). Write other questions as .jsonl or .csv.") from None


def hub_rows(name: str) -> list[Row]:
    """The first `HUB_LIMIT` rows of a public data set, by the library `datasets`; only its id leaves this machine.

    Raises:
        DataError: `datasets` is not installed, there is no network, or no such data set.
    """
    try:
        from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

        config = get_dataset_config_names(name)[0]
        splits = get_dataset_split_names(name, config)
        split = next((each for each in SPLITS if each in splits), splits[0])
        rows = load_dataset(name, config, split=split, streaming=True).take(HUB_LIMIT)
        return [(f"{name} ({split}): row {number}", row) for number, row in enumerate(rows)]
    except ImportError:
        remedy = "To read a data set of the Hub, run `pip install datasets`"
    except Exception as error:  # whatever the network, the Hub or the data set's files raise
        remedy = f"The Hub gave no data set of that name ({' '.join(str(error).split())[:200]}). Check id and network"
    raise DataError(f"{name!r} is no file here. {remedy}; or download the questions and give the file.")


READERS = {".csv": csv_rows, ".tsv": csv_rows, ".jsonl": read_rows, ".json": squad_rows}
