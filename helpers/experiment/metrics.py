"""Scores of single answers, each between 0 and 1, and why.

Exact match and token F1 are SQuAD's (Rajpurkar et al. 2016, arXiv:1606.05250); accuracy compares values as values.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from .. import data
from ..data import CHOICE_SETS, YES_OR_NO, Answer, Question, Score, comparable, contains, forms, normalise, readings

RULES = data.table(__file__, "declining.yaml")


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    named = (re.sub(r"\{([a-z]+)\}", lambda name: RULES[name[1]], pattern) for pattern in patterns)
    return re.compile("|".join(f"(?:{pattern})" for pattern in named), re.IGNORECASE)


DECLINES, ASIDE, CLAUSE = (_any(RULES[name]) for name in ("declines", "aside", "clauses"))


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1.0 when the text equals one of the accepted answers in normal form."""
    return float(normalise(text) in {normalise(answer) for answer in answers})


def token_f1(text: str, answers: Sequence[str]) -> float:
    """The best F1 of shared words between the text and an accepted answer, in normal form."""
    told, accepted = Counter(normalise(text).split()), [Counter(normalise(answer).split()) for answer in answers]
    return max((2 * (told & gold).total() / max(1, told.total() + gold.total()) for gold in accepted), default=0.0)


def abstains(text: str) -> bool:
    """Whether a reply as a whole declines to answer: it is empty, or says that nobody knows and gives no answer.

    Each clause is looked at: "The pump cannot run above 80 °C" is an answer, and so is "Not stated, but it is 45 days".
    """
    text = text.replace("’", "'")
    for pattern, put in RULES["contracted"].items():
        text = re.sub(pattern, put, text, flags=re.IGNORECASE)
    clauses = [clause for part in CLAUSE.split(text) if (clause := part.strip(" ,\"'*()"))]
    declining = [bool(DECLINES.search(clause)) for clause in clauses]
    return not clauses or (any(declining) and all(d or ASIDE.match(c) for d, c in zip(declining, clauses, strict=True)))


def read_json(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text (a code fence around it is allowed), or None."""
    try:
        return json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    except (ValueError, RecursionError):
        return None


def field_accuracy(text: str, gold: str) -> float:
    """The share of the gold object's fields that the text's JSON object has right; 0 where it is not valid."""
    told, wanted = read_json(text) or {}, json.loads(gold)
    return sum(str(told.get(key, "")).strip().lower() == str(wanted[key]).lower() for key in wanted) / len(wanted)


def summary(scores: Sequence[Score], kinds: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Shares and means over the written replies of a set: each where it applies.

    `abstained`, `valid_json`, SQuAD's `exact_match` and `token_f1` over the answerable; and `right_kind`, reply by
    reply: 1.0 where it holds what `kinds`, regular expressions by field, takes for an answer.
    """
    written = [(score.question, score.answer.text) for score in scores if not score.question.choices]
    if not written:
        return {}
    found: dict[str, Any] = {"abstained": fmean(abstains(text) for _, text in written)}
    if written[0][0].set == "triage":
        return found | {"valid_json": fmean(read_json(text) is not None for _, text in written)}
    if answerable := [(text, question.answers) for question, text in written if question.answers]:
        found["exact_match"] = fmean(exact_match(*each) for each in answerable)
        found["token_f1"] = fmean(token_f1(*each) for each in answerable)
    if all(question.field in (kinds or {}) for question, _ in written):
        found["right_kind"] = [float(bool(re.search(kinds[question.field], text))) for question, text in written]
    return found


class Rivals:
    """The values of all assets, found in a reply by what it says: a reply that names another asset's value is wrong."""

    def __init__(self, values: Mapping[str, Sequence[str]]):
        """Takes for each asset every value that documents give it."""
        self.owners: dict[str, dict[str, set[str]]] = {}
        for asset, own in values.items():
            for value in own:
                for form in forms(value) - YES_OR_NO:
                    self.owners.setdefault(form, {}).setdefault(value, set()).add(asset)
        self.longest = max((form.count(" ") + 1 for form in self.owners), default=0)

    def named(self, text: str, question: Question, found: str | None = None) -> str | None:
        """A value of another asset that a reply names beside the right one that was `found`, the longest; or None."""
        allowed = {form for answer in question.answers for form in forms(answer)}
        inside = f" {comparable(found or '')} "  # a value that is part of the right one is not named beside it
        for words in map(str.split, readings(text)):
            for length in range(min(self.longest, len(words)), 0, -1):
                for start in range(len(words) - length + 1):
                    form = " ".join(words[start : start + length])
                    if form in self.owners and form not in allowed and f" {form} " not in inside:
                        for value, assets in self.owners[form].items():
                            if assets - {question.asset}:
                                return value
        return None


def score(question: Question, answer: Answer, rivals: Rivals | Sequence[str] = ()) -> tuple[float, str]:
    """The kit's accuracy of one answer, by the rule of its question set.

    A reply that names a value of another asset (`rivals`) which is not accepted is wrong even when it holds the right
    one as well: copying a passage is not an answer.

    Returns:
        The value between 0 and 1, and a phrase that says why.
    """
    text, answers = answer.text, question.answers
    declines = "abstains" if text.strip() else "says nothing"
    if not question.answerable:
        return (1.0, declines) if abstains(text) else (0.0, "answers what no document says")
    if question.choices or question.set in CHOICE_SETS:
        return (1.0, "right choice") if text == answers[0] else (0.0, "wrong choice")
    if question.set == "triage":
        value, valid = field_accuracy(text, answers[0]), read_json(text) is not None
        return value, f"{value:.0%} of the fields right" if valid else "no valid JSON"
    if question.set == "terms_free":
        value = token_f1(text, answers)
        return value, f"{value:.0%} of the words shared"
    found = contains(text, answers)
    if (found is None or comparable(found) in YES_OR_NO) and abstains(text):  # "No information" is not "No"
        return 0.0, declines
    rivals = rivals if isinstance(rivals, Rivals) else Rivals({"another": rivals})
    if rival := rivals.named(text, question, found):
        return 0.0, f"names another value {'instead' if found is None else 'too'}: {rival}"
    return (0.0, "the answer is not in the reply") if found is None else (1.0, "right")
