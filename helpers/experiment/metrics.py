"""Scores of single answers, each between 0 and 1, and why.

Normalisation, exact match and token F1 are SQuAD's (Rajpurkar et al. 2016, arXiv:1606.05250).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..data import CHOICE_SETS, Answer, Question, contains, normalise

DECLINED = re.compile(
    r"\b(do(es)? not know|don't know|not know|unknown|no (information|answer|mention|record)|cannot|can't|unable"
    r"|not (\w+ )?(say|stated?|given?|mention(ed)?|known|specif(y|ied)|provided?|available|found|answerable"
    r"|contain(ed)?|includ(e|ed)|list(ed)?|record(ed)?|sure|clear)"
    r"|not in the (passages?|documents?|text)|n/?a|none)\b",
    re.IGNORECASE,
)
CONTRACTED = re.compile(r"(?<!ca)n't\b", re.IGNORECASE)  # "doesn't say" means "does not say"; "can't" stands above


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1.0 when the text equals one of the accepted answers in normal form."""
    return float(normalise(text) in {normalise(answer) for answer in answers})


def token_f1(text: str, answers: Sequence[str]) -> float:
    """The best F1 of shared words between the text and an accepted answer, in normal form."""
    return max((_f1(normalise(text).split(), normalise(answer).split()) for answer in answers), default=0.0)


def _f1(told: list[str], gold: list[str]) -> float:
    shared = (Counter(told) & Counter(gold)).total()
    return 2 * shared / (len(told) + len(gold)) if shared else 0.0


def abstains(text: str) -> bool:
    """Whether the text declines to answer: it is empty or says that it does not know."""
    return not text.strip() or bool(DECLINED.search(CONTRACTED.sub(" not", text.replace("’", "'"))))


def read_json(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text (a code fence around it is allowed), or None."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def field_accuracy(text: str, gold: str) -> float:
    """The share of the gold object's fields that the text's JSON object has right; 0 where it is not valid."""
    told, wanted = read_json(text), json.loads(gold)
    if told is None:
        return 0.0
    return sum(str(told.get(key, "")).strip().lower() == str(wanted[key]).lower() for key in wanted) / len(wanted)


def score(question: Question, answer: Answer, values: Sequence[str] = ()) -> tuple[float, str]:
    """The kit's accuracy of one answer, by the rule of its question set.

    Args:
        question: With its accepted answers.
        answer: What the assistant replied.
        values: The values of all other assets. A reply that names one which is not accepted is
            wrong even when it holds the right one as well: copying a passage is not an answer.

    Returns:
        The value between 0 and 1, and a phrase that says why.
    """
    declines = "abstains" if answer.text.strip() else "says nothing"
    if question.set == "unanswerable":
        return (1.0, declines) if abstains(answer.text) else (0.0, "answers what no document says")
    if question.choices or question.set in CHOICE_SETS:
        return (1.0, "right choice") if answer.text == question.answers[0] else (0.0, "wrong choice")
    if question.set == "triage":
        value = field_accuracy(answer.text, question.answers[0])
        if read_json(answer.text) is None:
            return 0.0, "no valid JSON"
        return value, "all fields right" if value == 1 else f"{value:.0%} of the fields right"
    found = contains(answer.text, question.answers)
    if found is None and abstains(answer.text):
        return 0.0, declines
    allowed = {normalise(value) for value in question.answers}
    told = f" {normalise(found or '')} "  # a value that is part of the right one is not named beside it
    rival = contains(answer.text, [v for v in values if (n := normalise(v)) not in allowed and f" {n} " not in told])
    if found is None:
        return 0.0, f"names another value instead: {rival}" if rival else "the answer is not in the reply"
    return (0.0, f"names another value too: {rival}") if rival is not None else (1.0, "right")
