"""The lecture's table and statements on RAG and fine-tuning, each with a verdict, its figures and one sentence.

They are data, `rules/lecture.yaml`, in words of the kit's own, with thresholds that were written before the runs.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from . import rules
from .claims import Claim, judge
from .comparison import Comparison
from .cost import given
from .quantities import Quantity, in_words

MARKS = {  # of verdicts, the worst first
    "contradicted": "✗", "not tested here": "–", "not shown": "?", "by construction": "=", "shown": "✓",
}  # fmt: skip


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Row:
    """What the lecture says about a method, and the claims that it comes to; see `rules/lecture.yaml`.

    `shown`, `not_shown` and `contradicted` are the sentence for each outcome. `measured`, `verdict` and `sentence` are
    filled in from results.
    """

    id: str
    about: str
    topic: str
    says: str
    claims: tuple[Claim, ...]
    shown: str
    contradicted: str
    not_shown: str = "The figures do not settle it."
    also: tuple[Quantity, ...] = ()
    construction: bool = False
    measured: str = ""
    verdict: str = ""
    sentence: str = ""


class Lecture(BaseModel, extra="forbid"):
    """The whole data file."""

    thresholds: dict[str, float]
    statements: list[Row]


def textbook_rows(comparison: Comparison) -> list[Row]:
    """The statements in order, each as good as the worst of its claims."""
    return [_judged(row, comparison) for row in rules.read_rules("lecture", Lecture).statements]


def _judged(row: Row, comparison: Comparison) -> Row:
    found = judge(comparison, row.claims)
    verdicts = [each.verdict.replace("not measured", "not tested here") for each in found]
    verdict = min(verdicts, key=list(MARKS).index)
    sentence = {"shown": row.shown, "not shown": row.not_shown, "contradicted": row.contradicted}.get(verdict)
    if verdict == "not tested here":
        sentence = found[verdicts.index(verdict)].why
    sides = [side for claim in row.claims for side in (claim.first, claim.second)]
    measured = in_words(comparison, [*sides, *row.also])
    if row.construction and verdict != "contradicted":
        verdict, sentence = "by construction", row.shown
    return replace(row, verdict=verdict, sentence=sentence, measured=". ".join(filter(None, [measured, _given(row)])))


def _given(row: Row) -> str:
    """What the arms that are compared with each other were given, where it differs; empty where it does not."""
    pairs = [(claim.first.arm, claim.second.arm) for claim in row.claims if claim.first.arm and claim.second.arm]
    differ = [pair for pair in pairs if given(pair[0]) != given(pair[1])]
    told = [f"{arm} {' and '.join(given(arm)) or 'nothing'}" for arm in dict.fromkeys(sum(differ, ()))]
    return f"Given: {', '.join(told)}" if told else "The arms compared were given the same" if pairs else ""


def textbook_markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown, in which every text is only text; a mark stands before each verdict."""
    lines = ["| | the lecture says | verdict | in a sentence | measured here |", "|" + " --- |" * 5]
    for row in rows:
        about = f"**{row.about}**, {row.topic.lower()}"
        texts = (about, row.says, f"{MARKS[row.verdict]} {row.verdict}", row.sentence, row.measured)
        lines.append("| " + " | ".join(html.escape(text, quote=False).replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines)


def take_aways(rows: Sequence[Row]) -> list[str]:
    """One sentence for each statement that was shown or contradicted."""
    return [
        f"{row.about}, {row.topic.lower()} ({row.verdict}): {row.sentence}"
        for row in rows
        if row.verdict in ("shown", "contradicted")
    ]
