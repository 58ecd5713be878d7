"""The lecture's statements on RAG and fine-tuning (`rules/lecture.yaml`), with verdicts and figures."""

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
    """What the lecture says about a method, and what it comes to; see `rules/lecture.yaml`.

    `shown`, `not_shown` and `contradicted` are the sentence for each outcome; the last three fields come from results.
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
    """The statements in order, each as good as the worst of its claims, and what the arms compared were given."""
    rows = []
    for row in rules.read_rules("lecture", Lecture).statements:
        found = judge(comparison, row.claims)
        verdicts = [each.verdict.replace("not measured", "not tested here") for each in found]
        verdict = min(verdicts, key=list(MARKS).index)
        sentence = {"shown": row.shown, "not shown": row.not_shown, "contradicted": row.contradicted}.get(verdict)
        sentence = sentence or found[verdicts.index(verdict)].why
        if row.construction and verdict != "contradicted":
            verdict, sentence = "by construction", row.shown
        pairs = [(claim.first, claim.second) for claim in row.claims]
        measured = in_words(comparison, [*sum(pairs, ()), *row.also])
        differ = [pair for pair in pairs if pair[1].arm and given(pair[0].arm) != given(pair[1].arm)]
        told = [
            f"{arm} {' and '.join(given(arm)) or 'nothing'}" for arm in dict.fromkeys(q.arm for q in sum(differ, ()))
        ]
        measured += f". Given: {', '.join(told)}." if told else "."
        rows.append(replace(row, verdict=verdict, sentence=sentence, measured=measured))
    return rows


def textbook_markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown, in which every text is only text; a mark stands before each verdict."""
    lines = ["| | the lecture says | verdict | in a sentence | measured here |", "|" + " --- |" * 5]
    for row in rows:
        verdict = f"{MARKS[row.verdict]} {row.verdict}"
        texts = (f"**{row.about}**, {row.topic.lower()}", row.says, verdict, row.sentence, row.measured)
        lines.append("| " + " | ".join(html.escape(text, quote=False).replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines)


def take_aways(rows: Sequence[Row]) -> list[str]:
    """One sentence for each statement that was shown or contradicted."""
    decided = (row for row in rows if row.verdict in ("shown", "contradicted"))
    return [f"{row.about}, {row.topic.lower()} ({row.verdict}): {row.sentence}" for row in decided]
