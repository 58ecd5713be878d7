"""The table of facts: what is true of each asset, how it is split, and which documents say it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from .files import read_text
from .records import DataError

FACT_COLUMNS = ("asset", "field", "value", "split", "documents")


@dataclass(frozen=True)
class Fact:
    """One fact of the domain; `split` is `trained`, `heldout` or `new`, `documents` the ids that state it."""

    asset: str
    field: str
    value: str
    split: str
    documents: tuple[str, ...] = ()


def load_facts(path: Path | str) -> list[Fact]:
    """Reads a table of facts: CSV with the columns asset, field, value, split, documents (ids separated by `;`).

    Args:
        path: A `.csv` file.

    Returns:
        The facts in the order of the file.

    Raises:
        DataError: The file is missing, a column is missing, or a row has an empty cell or too many.
    """
    path = Path(path)
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    missing = [name for name in FACT_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            f"{path}:1: the column {missing[0]!r} is missing. The first line must be {','.join(FACT_COLUMNS)}."
        )
    facts = []
    for row in reader:
        empty = [name for name in FACT_COLUMNS[:4] if not (row[name] or "").strip()]
        if empty or None in row:
            problem = f"the column {empty[0]!r} is empty" if empty else "there are more cells than columns"
            raise DataError(
                f"{path}:{reader.line_num}: {problem}. Mend the row, with quotes around a comma in a value."
            )
        ids = tuple(name for name in (row["documents"] or "").split(";") if name)
        facts.append(Fact(row["asset"], row["field"], row["value"], row["split"], ids))
    return facts
