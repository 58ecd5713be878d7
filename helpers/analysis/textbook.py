"""The textbook table "RAG against fine-tuning", each row with what was measured here beside it.

    rows = textbook_rows(comparison)
    print(textbook_markdown(rows))           # or textbook_html(rows)
    print("\\n".join(take_aways(rows)))

What textbooks say, and the claims that it comes to, are data: `rules/textbook.yaml`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from . import rules
from .claims import VERDICTS, Claim, all_of, judge
from .comparison import Comparison
from .cost import Prices
from .quantities import Quantity, in_words

COLUMNS = ("row", "RAG (textbook)", "fine-tuning (textbook)", "measured here", "the claim is")
MARKS = dict(zip(VERDICTS, "✓✗?–", strict=True))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Row:
    """One row: the two textbook entries, the claims that they come to, what is shown besides, and what was measured."""

    id: str
    row: str
    rag: str
    tuning: str
    claims: tuple[Claim, ...]
    also: tuple[Quantity, ...] = ()
    measured: str = ""
    support: str = ""


def textbook_rows(comparison: Comparison, prices: Prices | None = None) -> list[Row]:
    """The table, row by row; rows whose arms are missing are "not measured"."""
    rows = []
    for row in rules.read_rules("textbook", list[Row]):
        verdicts = judge(comparison, claims=row.claims, prices=prices)
        quantities = [claim.first for claim in row.claims] + [claim.second for claim in row.claims]
        measured = in_words(comparison, [*quantities, *row.also], prices) or verdicts[0].why
        rows.append(replace(row, measured=measured, support=all_of([each.verdict for each in verdicts])))
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
