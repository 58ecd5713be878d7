"""What it comes to: the lecture's statements with verdicts (`rules/lecture.yaml`), and advice (`rules/advice.yaml`)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from ..data import KitError
from ..experiment import plain_name
from . import rules
from .claims import Claim, judge
from .comparison import Comparison
from .cost import given
from .intervals import RESAMPLES, resampled
from .quantities import Quantity, in_words

# the mark of each verdict, the worst first
MARKS = {"contradicted": "✗", "not tested here": "–", "not shown": "?", "by construction": "=", "shown": "✓"}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Row:
    """What the lecture says, a sentence for each outcome (see `rules/lecture.yaml`), and what it comes to."""

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
        verdicts = {
            each.verdict.replace("not measured", "not tested here"): each for each in judge(comparison, row.claims)
        }
        verdict = min(verdicts, key=list(MARKS).index)
        if row.construction and verdict != "contradicted":
            verdict = "by construction"
        sentences = {"not shown": row.not_shown, "contradicted": row.contradicted, "not tested here": ""}
        pairs = [(claim.first, claim.second) for claim in row.claims]
        differ = [
            each.arm for pair in pairs if pair[1].arm and given(pair[0].arm) != given(pair[1].arm) for each in pair
        ]
        told = ", ".join(f"{plain_name(arm)} {' and '.join(given(arm)) or 'nothing'}" for arm in dict.fromkeys(differ))
        rows.append(replace(
            row, verdict=verdict, sentence=sentences.get(verdict, row.shown) or verdicts[verdict].why,
            measured=in_words(comparison, [*sum(pairs, ()), *row.also]) + (f". Given: {told}." if told else "."),
        ))  # fmt: skip
    return rows


class Asked(BaseModel, extra="forbid"):
    """A question: `answers` are the values to pass to `advise`, each with its text."""

    id: str
    ask: str
    answers: dict[str, str]


class Rule(BaseModel, extra="forbid"):
    """A recommendation (`take`, `arms`) or a reason beside it (`for`), given where every answer fits `if`."""

    id: str
    wanted: dict[str, list[str]] = Field(alias="if")
    because: str
    figure: list[Quantity]
    take: str = ""
    arms: tuple[str, ...] = ()
    rests_on: tuple[Quantity, Quantity] | None = None
    speaks_for: str = Field("", alias="for")

    def fits(self, answers: Mapping[str, str]) -> bool:
        return all(answers[question] in wanted for question, wanted in self.wanted.items())


class Rules(BaseModel, extra="forbid"):
    """The whole data file."""

    questions: list[Asked]
    recommendations: list[Rule]
    reasons: list[Rule]

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        offered = {question.id: question.answers.keys() for question in self.questions}
        for rule in [*self.recommendations, *self.reasons]:
            if wrong := {each for each, wanted in rule.wanted.items() if not set(wanted) <= offered.get(each, set())}:
                raise ValueError(f"the rule {rule.id!r} asks of {wrong} what nobody can answer")
        if self.recommendations[-1].wanted:
            raise ValueError("the last recommendation must fit every answer: leave its `if` empty")
        return self

    def fitting(self, answers: Mapping[str, str]) -> Rule:
        return next(rule for rule in self.recommendations if rule.fits(answers))


class Advice(NamedTuple):
    """What to take, by which rule, the arms that come closest, and why; how sure it is, and what would change it."""

    id: str
    take: str
    arms: tuple[str, ...]
    reasons: list[tuple[Rule, str]]  # each with what was measured
    holds: str
    flips: str


def questionnaire() -> list[Asked]:
    """The questions of the data file."""
    return rules.read_rules("advice", Rules).questions


def advise(answers: Mapping[str, str], comparison: Comparison | None = None) -> Advice:
    """A recommendation with its reasons, whose figures come from `comparison`.

    It says in how many resamples these figures bear it out, and which other answers, and figures, would change it. A
    `KitError` names a question that was not answered, or with something that it does not offer.
    """
    found: Rules = rules.read_rules("advice", Rules)
    for question in found.questions:
        given = answers.get(question.id)
        if given not in question.answers:
            offered = ", ".join(question.answers)
            raise KitError(f"{question.id!r} ({question.ask}) must be one of {offered}. Got {given!r}")
    chosen = found.fitting(answers)
    reasons = []
    for rule in (chosen, *(rule for rule in found.reasons if rule.fits(answers))):
        measured = in_words(comparison, rule.figure) if comparison else ""
        reasons.append((rule, f"Measured here: {measured}." if measured else "Not measured here."))
    flips = [
        f"{question.ask} “{text}”: take {other.take}"
        for question in found.questions
        for answer, text in question.answers.items()
        if (other := found.fitting({**answers, question.id: answer})).take != chosen.take
    ]
    holds = "Your answers decide this, no figure does."
    if chosen.rests_on:
        first, rival = chosen.rests_on
        on = plain_name(first.set).lower()
        asked = [each.of(comparison) or {} for each in (rival, first)] if comparison else [{}, {}]
        names = f"{plain_name(first.arm)} is right more often than {plain_name(rival.arm)} on {on}"
        holds = f"It holds if {names}, which was not measured here."
        if asked[0].keys() & asked[1].keys():
            gaps = resampled(*asked)
            holds = f"It holds in {(gaps > 0).mean():.0%} of {RESAMPLES:,} resamples: {names}."
            if gaps.mean() > 0:
                flips.append(f"{plain_name(rival.arm)} being right {gaps.mean():.2f} more often on {on}")
    return Advice(chosen.id, chosen.take, chosen.arms, reasons, holds, "; ".join(flips) or "no single answer")
