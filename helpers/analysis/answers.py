"""Single answers side by side: question, accepted answer, and every arm's reply with its verdict and its passages.

Everything that a model or a document wrote is text: it is escaped, never executed.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ..data import DataError, Result, Score, contains

WHERE = ("all", "disagree", "all wrong")


def asked(results: Sequence[Result], question_set: str, where: str = "all") -> list[str]:
    """The ids of a set's questions, in their order.

    Args:
        results: Comparable results.
        question_set: Whose questions.
        where: "all", those on which the arms "disagree", or those that are "all wrong".

    Raises:
        DataError: No arm was asked this set, or `where` is none of the three.
    """
    if where not in WHERE:
        raise DataError(f"`where` must be one of {', '.join(WHERE)}. Got {where!r}")
    by_arm = _by_arm(results, question_set)
    ids = list(next(iter(by_arm.values())))
    if where == "disagree":
        return [name for name in ids if len({scores[name].value == 1 for scores in by_arm.values()}) > 1]
    if where == "all wrong":
        return [name for name in ids if all(scores[name].value < 1 for scores in by_arm.values())]
    return ids


def card(results: Sequence[Result], question_set: str, question_id: str) -> str:
    """One question as HTML: each arm's reply, whether it is right and why, and what passages it saw.

    Raises:
        DataError: No arm was asked this question.
    """
    by_arm = _by_arm(results, question_set)
    first = next(iter(by_arm.values()))
    if question_id not in first:
        raise DataError(f"no arm was asked {question_id!r} of {question_set}: take an id that `answers.asked` gives")
    question = first[question_id].question
    accepted = " or ".join(question.answers) or "none: no document says it, so declining is right"
    stands = f" (stands in {', '.join(question.documents)})" if question.documents else ""
    rows = "".join(_row(arm, scores[question_id]) for arm, scores in by_arm.items())
    return (
        f"<p><strong>{html.escape(question.prompt)}</strong><br>Accepted: {html.escape(accepted + stands)}</p>"
        '<table><thead><tr><th scope="col">arm</th><th scope="col">reply</th><th scope="col">verdict</th>'
        f'<th scope="col">passages</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def reasons(results: Sequence[Result], question_set: str) -> pd.DataFrame:
    """Why each arm was right or wrong on a set: counts, one row a reason; named values are not told apart."""
    by_arm = _by_arm(results, question_set)
    counted = {arm: Counter(s.why.split(":")[0] for s in scores.values()) for arm, scores in by_arm.items()}
    return pd.DataFrame(counted).fillna(0).astype(int).rename_axis(f"why, on {question_set}")


def _by_arm(results: Sequence[Result], question_set: str) -> dict[str, dict[str, Score]]:
    """Each arm's scores by question id; of several seeds the first."""
    found: dict[str, dict[str, Score]] = {}
    for result in results:
        if result.question_set == question_set and result.status == "complete" and result.scores:
            found.setdefault(result.arm, {score.question.id: score for score in result.scores})
    if not found:
        raise DataError(f"no arm has complete answers to {question_set}: run the study on it first")
    return found


def _row(arm: str, score: Score) -> str:
    verdict = {1.0: "✓ right", 0.0: "✗ wrong"}.get(score.value, f"{score.value:.2f} of it right")
    passages = "".join(
        f"<li>{html.escape(p.document_id)}{', holds the answer' if contains(p.text, score.question.answers) else ''}: "
        f"{html.escape(p.text)}</li>"
        for p in score.answer.passages
    )
    shown = (
        f"<details><summary>{len(score.answer.passages)}</summary><ol>{passages}</ol></details>" if passages else "none"
    )
    cells = (html.escape(arm), html.escape(score.answer.text) or "<em>nothing</em>")
    why = f"{verdict}: {html.escape(score.why)}"
    return f'<tr><th scope="row">{cells[0]}</th><td>{cells[1]}</td><td>{why}</td><td>{shown}</td></tr>'
