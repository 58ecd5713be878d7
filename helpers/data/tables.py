"""Tables of questions and pairs: CSV, JSON lines, SQuAD's JSON, or a public data set of the Hub by its id."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from .files import Row, csv_rows, read_rows, read_text
from .records import DataError

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
HUB_LIMIT = 1000  # rows of a data set of the Hub that are read at most


def read_table(source: Path | str) -> list[Row]:
    """The rows of a file with an ending in `READERS`, or of a data set of the Hub: each its place and its cells.

    Only what looks like `owner/name`, and where no folder `owner` is, is asked for at the Hub. A `DataError` says what
    cannot be read.
    """
    path = Path(source)
    ending = path.suffix.lower()
    if HUB_ID.fullmatch(str(source)) and not path.parent.exists() and ending not in READERS:
        return _hub_rows(str(source))
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path, or name a data set of the Hub as owner/name.")
    if ending not in READERS:
        raise DataError(f"{path}: the ending is not one of {', '.join(READERS)}. Save it as one of these.")
    return list(READERS[ending](path))


def _squad_rows(path: Path) -> Iterator[Row]:
    try:
        for a, article in enumerate(json.loads(read_text(path))["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                for q, row in enumerate(paragraph["qas"]):
                    yield f"{path}: data[{a}].paragraphs[{p}].qas[{q}]", row
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not in SQuAD's format ({error}). Write other questions as .jsonl or .csv.") from None


def _hub_rows(name: str) -> list[Row]:
    try:
        from datasets import get_dataset_config_names, load_dataset

        config = get_dataset_config_names(name)[0]
        splits = load_dataset(name, config, streaming=True)
        split = next((each for each in ("validation", "test") if each in splits), next(iter(splits)))
        rows = splits[split].take(HUB_LIMIT)
        return [(f"{name} ({split}): row {number}", dict(row)) for number, row in enumerate(rows)]
    except ImportError:
        problem = "To read a data set of the Hub, run `pip install datasets`"
    except Exception as error:  # whatever the network, the Hub or the data set's files raise
        problem = f"The Hub gave no data set of that name ({' '.join(str(error).split())[:200]}). Check id and network"
    raise DataError(f"{name!r} is no file here. {problem}; or download the table and give the file.")


READERS = {".csv": csv_rows, ".tsv": csv_rows, ".jsonl": read_rows, ".json": _squad_rows}
