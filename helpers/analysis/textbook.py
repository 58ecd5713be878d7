"""The textbook table "RAG against fine-tuning", each row with what was measured here beside it.

    rows = textbook_rows(comparison)
    print(textbook_markdown(rows))           # or textbook_html(rows)
    print("\\n".join(take_aways(rows)))

What textbooks say, and the claims that it comes to, are data: `rules/textbook.yaml`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked_dataclass

from . import rules
from .claims import VERDICTS, Claim, all_of, judge
from .comparison import Comparison
from .cost import Prices
from .quantities import Quantity, in_words

COLUMNS = ("row", "RAG (textbook)", "fine-tuning (textbook)", "measured here", "the claim is")
MARKS = dict(zip(VERDICTS, "✓✗?–", strict=True))


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Entry:
    """One row of the data file: the two textbook entries, the claims that they come to, and what is shown with them."""

    id: str
    row: str
    rag: str
    tuning: str
    claims: tuple[Claim, ...]
    also: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row of the table: the two textbook entries, the measured sentence, and whether it supports them."""

    id: str
    row: str
    rag: str
    tuning: str
    measured: str
    support: str


def textbook_rows(comparison: Comparison, prices: Prices | None = None) -> list[Row]:
    """The table, row by row; rows whose arms are missing are "not measured".

    Args:
        comparison: The results.
        prices: Those of the data file unless given.
    """
    rows = []
    for entry in rules.read_rules("textbook", list[Entry]):
        verdicts = judge(comparison, claims=entry.claims, prices=prices)
        quantities = [c.first for c in entry.claims] + [c.second for c in entry.claims] + list(entry.also)
        measured = in_words(comparison, quantities, prices) or verdicts[0].why
        support = all_of([verdict.verdict for verdict in verdicts])
        rows.append(Row(entry.id, entry.row, entry.rag, entry.tuning, measured, support))
    return rows


def textbook_markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in rows:
        cells = (f"**{row.row}**", row.rag, row.tuning, row.measured, row.support)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def textbook_html(rows: Sequence[Row]) -> str:
    """The table as HTML, every text escaped; a mark and a word show whether a claim is supported."""
    cells = [(row.row, row.rag, row.tuning, row.measured, f"{MARKS[row.support]} {row.support}") for row in rows]
    table = pd.DataFrame([map(html.escape, row) for row in cells], columns=list(COLUMNS)).set_index(COLUMNS[0])
    styler = (
        table.rename_axis(None)
        .style.set_table_attributes('class="textbook"')
        .set_properties(**{"text-align": "left", "vertical-align": "top", "white-space": "normal"})
    )
    return styler.to_html()


def take_aways(rows: Sequence[Row]) -> list[str]:
    """One sentence for each row that was decided, with the row's own measured numbers."""
    said = {"supported": "As textbooks say", "contradicted": "Unlike what textbooks say"}
    return [f"{row.row}. {said[row.support]}: {row.measured}." for row in rows if row.support in said]
