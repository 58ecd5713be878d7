"""Single answers side by side: question, accepted answer, and every arm's reply with its verdict and its passages.

Everything that a model or a document wrote is text: it is escaped, never executed.
"""

from __future__ import annotations

import html

import pandas as pd

from ..data import DataError, Score, contains
from .comparison import Comparison

WHICH = ("all", "disagree", "all wrong")


def answer_ids(comparison: Comparison, question_set: str, which: str = "all") -> list[str]:
    """The ids of a set's questions: "all", those on which the arms "disagree", or those that are "all wrong".

    Raises:
        DataError: No arm was asked this set, or `which` is none of the three.
    """
    if which not in WHICH:
        raise DataError(f"`which` must be one of {', '.join(WHICH)}. Got {which!r}")
    right = _scores(comparison, question_set).map(lambda score: score.value == 1)
    alike = right.nunique(axis=1) == 1
    chosen = {"all": right.index == right.index, "disagree": ~alike, "all wrong": ~right.any(axis=1)}[which]
    return right.index[chosen].tolist()


def answer_card(comparison: Comparison, question_set: str, question_id: str) -> str:
    """One question as HTML: each arm's reply, whether it is right and why, and what passages it saw.

    Raises:
        DataError: No arm was asked this question.
    """
    scores = _scores(comparison, question_set)
    if question_id not in scores.index:
        raise DataError(f"no arm was asked {question_id!r} of {question_set}: take an id from `answer_ids`")
    by_arm = scores.loc[question_id]
    question = by_arm.iloc[0].question
    accepted = " or ".join(question.answers) or "none: no document says it, so declining is right"
    source = f" (in {', '.join(question.documents)})" if question.documents else ""
    rows = "".join(_row(arm, score) for arm, score in by_arm.items())
    return (
        f"<p><strong>{html.escape(question.prompt)}</strong><br>Accepted: {html.escape(accepted + source)}</p>"
        '<table><thead><tr><th scope="col">arm</th><th scope="col">reply</th><th scope="col">verdict</th>'
        f'<th scope="col">passages</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def answer_reasons(comparison: Comparison, question_set: str) -> pd.DataFrame:
    """Why each arm was right or wrong on a set: counts, one row a reason, whatever value a reply names."""
    reasons = _scores(comparison, question_set).map(lambda score: score.why.split(":")[0])
    counted = reasons.apply(pd.Series.value_counts).fillna(0).astype(int)
    return counted.rename_axis(f"why, on {question_set}")


def _scores(comparison: Comparison, question_set: str) -> pd.DataFrame:
    """The scores by question id (rows) and arm (columns); of several seeds the first."""
    runs = {arm: comparison.runs(arm, question_set) for arm in comparison.arms}
    found = {arm: {s.question.id: s for s in own[0].scores} for arm, own in runs.items() if own and own[0].scores}
    if not found:
        raise DataError(f"no arm has complete answers to {question_set}: run the study on it first")
    return pd.DataFrame(found, dtype=object)


def _row(arm: str, score: Score) -> str:
    verdict = {1.0: "✓ right", 0.0: "✗ wrong"}.get(score.value, f"{score.value:.2f} of it right")
    items = []
    for passage in score.answer.passages:
        holds = ", has the answer" if contains(passage.text, score.question.answers) else ""
        items.append(f"<li>{html.escape(passage.document_id)}{holds}: {html.escape(passage.text)}</li>")
    passages = f"<details><summary>{len(items)}</summary><ol>{''.join(items)}</ol></details>" if items else "none"
    reply = html.escape(score.answer.text) or "<em>nothing</em>"
    cells = (reply, f"{verdict}: {html.escape(score.why)}", passages)
    return f'<tr><th scope="row">{html.escape(arm)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
