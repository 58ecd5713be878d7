"""Which one should I use? A short questionnaire, rules that are data, and measured figures behind each reason.

The rules are `rules/advice.yaml`. Their figures come from the experiment's small model and invented domain; the
notebook says so, and lets everyone measure their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field, model_validator

from ..data import KitError
from . import rules
from .comparison import Comparison
from .quantities import Quantity, in_words


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
    speaks_for: str = Field("", alias="for")

    def fits(self, answers: Mapping[str, str]) -> bool:
        return all(answers[question] in wanted for question, wanted in self.wanted.items())


class Rules(BaseModel, extra="forbid"):
    """The whole data file."""

    questions: list[Asked]
    recommendations: list[Rule]
    reasons: list[Rule]

    @model_validator(mode="after")
    def _answerable(self) -> Rules:
        offered = {(question.id, answer) for question in self.questions for answer in question.answers}
        for rule in [*self.recommendations, *self.reasons]:
            asked = {(question, answer) for question, wanted in rule.wanted.items() for answer in wanted}
            if not asked <= offered:
                raise ValueError(f"the rule {rule.id!r} asks for {asked - offered}, which nobody can answer")
        if self.recommendations[-1].wanted:
            raise ValueError("the last recommendation must fit every answer: leave its `if` empty")
        return self


class Reason(NamedTuple):
    """One sentence for or against, and the measured figure behind it ("Not measured here." where there is none)."""

    text: str
    figure: str
    speaks_for: str


class Advice(NamedTuple):
    """What to take and why; `arms` are the experiment's arms that come closest, `id` names the rule that fitted."""

    id: str
    take: str
    arms: tuple[str, ...]
    reasons: list[Reason]


def questionnaire(folder: Path = rules.FOLDER) -> list[Asked]:
    """The questions of the data file."""
    return rules.read_rules("advice", Rules, folder).questions


def advise(answers: Mapping[str, str], comparison: Comparison | None = None) -> Advice:
    """A recommendation with its reasons, whose figures come from `comparison`.

    Raises:
        KitError: A question was not answered, or with something that it does not offer.
    """
    found: Rules = rules.read_rules("advice", Rules)
    for question in found.questions:
        given = answers.get(question.id)
        if given not in question.answers:
            offered = ", ".join(question.answers)
            raise KitError(f"{question.id!r} ({question.ask}) must be one of {offered}. Got {given!r}")
    chosen = next(rule for rule in found.recommendations if rule.fits(answers))
    reasons = []
    for rule in (chosen, *(rule for rule in found.reasons if rule.fits(answers))):
        measured = in_words(comparison, rule.figure) if comparison else ""
        figure = f"Measured here: {measured}." if measured else "Not measured here."
        reasons.append(Reason(rule.because, figure, rule.speaks_for))
    return Advice(chosen.id, chosen.take, chosen.arms, reasons)


def advice_markdown(advice: Advice) -> str:
    """The advice as Markdown: what to take, then each reason with its figure."""
    return "\n".join([f"**Take {advice.take}.**", "", *(f"- {r.text} *{r.figure}*" for r in advice.reasons)])
