"""The table that textbooks and vendors print, "RAG against fine-tuning", with what was measured beside each entry."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from . import rules
from .claims import Claim, judge
from .comparison import Comparison
from .quantities import Quantity, in_words

MARKS = {
    "not measured": "–",
    "contradicted": "✗",
    "not shown": "?",
    "shown": "✓",
    "by construction": "=",
}  # the worst verdict first


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Row:
    """One row of the textbook's table: two entries, the claims that they come to, and what was measured.

    `also` is shown with the claims and not judged.
    """

    id: str
    row: str
    rag: str
    tuning: str
    claims: tuple[Claim, ...]
    also: tuple[Quantity, ...] = ()
    measured: str = ""
    support: str = ""


def textbook_rows(comparison: Comparison) -> list[Row]:
    """The table, row by row; a row is shown where all its claims are, and "not measured" where arms are missing."""
    rows = []
    for row in rules.read_rules("textbook", list[Row]):
        verdicts = judge(comparison, row.claims)
        support = min((each.verdict for each in verdicts), key=list(MARKS).index)
        quantities = [claim.first for claim in row.claims] + [claim.second for claim in row.claims]
        measured = in_words(comparison, [*quantities, *row.also]) or verdicts[0].why
        rows.append(replace(row, measured=measured, support=support))
    return rows


def textbook_markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown, in which every text is only text; a mark and a word show whether a claim is shown."""
    lines = ["| row | RAG (textbook) | fine-tuning (textbook) | measured here | the claim is |", "|" + " --- |" * 5]
    for row in rows:
        texts = (f"**{row.row}**", row.rag, row.tuning, row.measured, f"{MARKS[row.support]} {row.support}")
        lines.append("| " + " | ".join(html.escape(text, quote=False).replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines)


def take_aways(rows: Sequence[Row]) -> list[str]:
    """One sentence for each row that was decided, with the row's own measured numbers."""
    said = {"shown": "As textbooks say", "contradicted": "Unlike what textbooks say"}
    return [f"{row.row}. {said[row.support]}: {row.measured}." for row in rows if row.support in said]
