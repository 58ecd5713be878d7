"""Which one should I use? A short questionnaire, rules that are data, and measured figures behind each reason.

The rules are `rules/advice.yaml`. Their figures come from the experiment's small model and invented domain; the
notebook says so, and lets everyone measure their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, Field, model_validator

from ..data import KitError
from . import rules
from .comparison import Comparison
from .quantities import Quantity, in_words

RESAMPLES = 2000


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
    def _answerable(self) -> Rules:
        offered = {(question.id, answer) for question in self.questions for answer in question.answers}
        for rule in [*self.recommendations, *self.reasons]:
            asked = {(question, answer) for question, wanted in rule.wanted.items() for answer in wanted}
            if not asked <= offered:
                raise ValueError(f"the rule {rule.id!r} asks for {asked - offered}, which nobody can answer")
        if self.recommendations[-1].wanted:
            raise ValueError("the last recommendation must fit every answer: leave its `if` empty")
        return self

    def fitting(self, answers: Mapping[str, str]) -> Rule:
        """The recommendation for these answers."""
        return next(rule for rule in self.recommendations if rule.fits(answers))


class Reason(NamedTuple):
    """One sentence for or against, and the measured figure behind it ("Not measured here." where there is none)."""

    text: str
    figure: str
    speaks_for: str


class Advice(NamedTuple):
    """What to take and why.

    `arms` are the experiment's arms that come closest, `id` names the rule that fitted. `holds` says in how many
    resamples its figures bear it out, `flips` which other answers, and which other figures, would change it.
    """

    id: str
    take: str
    arms: tuple[str, ...]
    reasons: list[Reason]
    holds: str
    flips: str


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
    chosen = found.fitting(answers)
    reasons = []
    for rule in (chosen, *(rule for rule in found.reasons if rule.fits(answers))):
        measured = in_words(comparison, rule.figure) if comparison else ""
        figure = f"Measured here: {measured}." if measured else "Not measured here."
        reasons.append(Reason(rule.because, figure, rule.speaks_for))
    others = [  # what one other answer would lead to
        (f"{question.ask} “{text}”", found.fitting({**answers, question.id: answer}).take)
        for question in found.questions
        for answer, text in question.answers.items()
    ]
    flips = [f"{answer}: take {take}" for answer, take in others if take != chosen.take]
    holds = "Your answers decide this, no figure does."
    if chosen.rests_on:
        first, rival = chosen.rests_on
        gaps = _gaps(comparison, first, rival) if comparison else None
        held = "not measured here." if gaps is None else f"so in {np.mean(gaps > 0):.0%} of {RESAMPLES:,} resamples."
        holds = f"It rests on {first.arm} being right more often than {rival.arm} on {first.set}: {held}"
        if gaps is not None and gaps.mean() > 0:
            flips.append(f"{rival.arm} being right {gaps.mean():.2f} more often on {rival.set}")
    return Advice(chosen.id, chosen.take, chosen.arms, reasons, holds, "; ".join(flips) or "no single answer")


def advice_markdown(advice: Advice) -> str:
    """The advice as Markdown: what to take, each reason with its figure, how sure it is and what would change it."""
    lines = [f"**Take {advice.take}.** {advice.holds}", "", *(f"- {r.text} *{r.figure}*" for r in advice.reasons)]
    return "\n".join([*lines, "", f"What would change it: {advice.flips}."])


def _gaps(comparison: Comparison, first: Quantity, rival: Quantity) -> np.ndarray | None:
    """How much more often the first arm is right, in each resample; None where one of the two was not asked.

    Machines and wordings are resampled independently (Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics
    1, 386-411); worlds count alike.
    """
    generator, worlds = np.random.default_rng(0), []
    answered, rivals = (comparison.by_world(each.arm, each.set) for each in (first, rival))
    for seed in answered.keys() & rivals.keys():
        pairs = list(zip(answered[seed], rivals[seed], strict=True))
        times = np.ones((RESAMPLES, len(pairs)))
        for names in zip(*((s.question.asset or s.question.id, s.question.wording) for s, _ in pairs), strict=True):
            kinds, places = np.unique(names, return_inverse=True)
            if len(kinds) > 1:
                times *= generator.multinomial(len(kinds), [1 / len(kinds)] * len(kinds), RESAMPLES)[:, places]
        gap = np.array([one.value - other.value for one, other in pairs])
        worlds.append(times @ gap / np.maximum(times.sum(axis=1), 1))
    return np.mean(worlds, axis=0) if worlds else None
