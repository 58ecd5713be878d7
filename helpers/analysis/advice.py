"""Which one should I use? A short questionnaire, rules that are data, and measured figures behind each reason.

    advise({"documents": "yes", "changes": "daily", "labels": "none", "form": "no", "latency": "relaxed",
            "compute": "none", "sources": "yes", "privacy": "may"}, results).take        # "RAG"

The rules are `rules/advice.yaml`. They speak for the experiment's small model and invented domain as far as figures go;
the notebook says so, and lets everyone measure their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import DataError, KitError, Result
from . import rules
from .cost import load_prices
from .evidence import HELD, Evidence, in_words, times
from .ratios import ratio


@dataclass(frozen=True)
class Reason:
    """One sentence for or against, and the measured figure behind it ("not measured here" where there is none)."""

    text: str
    figure: str
    speaks_for: str = ""


@dataclass(frozen=True)
class Advice:
    """What to take and why; `arms` are the experiment's arms that come closest, `id` names the rule that fitted."""

    id: str
    take: str
    arms: tuple[str, ...]
    reasons: tuple[Reason, ...]


def questionnaire(folder: Path = rules.FOLDER) -> list[dict[str, Any]]:
    """The questions: `id`, `ask`, and `answers` (the value to pass to `advise`, and its text)."""
    return load_rules(folder)["questions"]


def load_rules(folder: Path = rules.FOLDER) -> dict[str, list[dict[str, Any]]]:
    """The questions, recommendations and reasons of the data file.

    Raises:
        DataError: A rule asks for a question or an answer that does not exist, or the last one does not fit everything.
    """
    found = rules.load("advice", folder=folder)
    allowed = {question["id"]: set(question["answers"]) for question in found["questions"]}
    for rule in [*found["recommendations"], *found["reasons"]]:
        unknown = set(rule) - {"id", "if", "take", "arms", "because", "figure", "for"}
        if unknown:
            raise DataError(f"the rule {rule['id']!r} has {min(unknown)!r}: quote a sentence that holds a comma")
        for question, answers in rule["if"].items():
            if not set(answers) <= allowed.get(question, set()):
                raise DataError(f"the rule {rule['id']!r} asks for {question}: {answers}, which nobody can answer")
        if rule["figure"] not in FIGURES:
            raise DataError(f"the rule {rule['id']!r} names the figure {rule['figure']!r}, which is not measured")
    if found["recommendations"][-1]["if"]:
        raise DataError("the last recommendation must fit every answer: leave its `if` empty")
    return found


def advise(answers: Mapping[str, str], results: Sequence[Result] = (), folder: Path = rules.FOLDER) -> Advice:
    """A recommendation with its reasons.

    Args:
        answers: For each question of `questionnaire` one of its answers.
        results: Comparable results; where they are missing, figures say that they were not measured.
        folder: Where the rules lie.

    Raises:
        KitError: A question was not answered, or with something that it does not offer.
    """
    found = load_rules(folder)
    for question in found["questions"]:
        given = answers.get(question["id"])
        if given not in question["answers"]:
            offered = ", ".join(question["answers"])
            raise KitError(f"{question['id']!r} ({question['ask']}) must be one of {offered}. Got {given!r}")
    evidence = Evidence(results, load_prices())
    chosen = next(rule for rule in found["recommendations"] if _fits(rule, answers))
    fitting = [chosen, *(rule for rule in found["reasons"] if _fits(rule, answers))]
    reasons = tuple(Reason(r["because"], _figure(r["figure"], evidence), r.get("for", "")) for r in fitting)
    return Advice(chosen["id"], chosen["take"], tuple(chosen["arms"]), reasons)


def as_markdown(advice: Advice) -> str:
    """The advice as Markdown: what to take, then each reason with its figure."""
    lines = [f"**Take {advice.take}.**", ""]
    return "\n".join(lines + [f"- {reason.text} *{reason.figure}*" for reason in advice.reasons])


def _fits(rule: Mapping[str, Any], answers: Mapping[str, str]) -> bool:
    return all(answers[question] in wanted for question, wanted in rule["if"].items())


def _figure(name: str, evidence: Evidence) -> str:
    told = FIGURES[name](evidence)
    return f"Measured here: {told}." if told and "not measured" not in told else "Not measured here."


def _told(question_set: str, *arms: str):
    return lambda e: f"on {question_set}, " + ", ".join(e.told(arm, question_set) for arm in arms)


def _together(e: Evidence) -> str:
    plain = "rag:3_passages" if e.scores("rag:3_passages", HELD) else "rag"  # what sees as many passages
    return f"{_told(HELD, plain, 'rag+customization')(e)}; {_told('triage', plain, 'rag+customization')(e)}"


def _latency(e: Evidence) -> str:
    if not e.seconds("rag") or not e.seconds("customization"):
        return ""
    found = ratio(e.seconds("rag", "first_token_s"), e.seconds("customization", "first_token_s"))
    return f"rag takes {times(found)} as long to the first token as customization"


def _freshness(e: Evidence) -> str:
    update = e.update("rag")
    if "effort" not in update:
        return ""
    told = _told("updates", "rag", "domain_adaptation+customization")(e)
    return f"the index absorbed the change in {in_words(update['effort']['wall_s'])}; {told}"


def _effort(e: Evidence) -> str:
    tuned = e.effort("customization")
    if tuned is None:
        return ""
    return f"customization took {tuned.labelled_examples} labels and {in_words(tuned.wall_s)} of training"


def _forgetting(e: Evidence) -> str:
    arms = [arm for arm in ("customization", "rag+customization") if e.scores(arm, "general")]
    return _told("general", "base", *arms)(e) if arms else ""


def _privacy(e: Evidence) -> str:
    seen = e.scores("rag", HELD)
    if not seen:
        return ""
    passages = sum(len(score.answer.passages) for score in seen) / len(seen)
    drawn = _told("facts_trained", "customization")(e)
    return f"{passages:.1f} passages a query; trained values drawn out of tuned weights without any passage: {drawn}"


def _sources(e: Evidence) -> str:
    scored = {r.question_set: r.metrics["retrieval"] for r in e.results if r.arm == "rag" and "retrieval" in r.metrics}
    if not scored:
        return ""
    asked = HELD if HELD in scored else next(iter(scored))
    return f"on {asked}, the first passage is a right source for {scored[asked]['hit_rate_1']:.0%} of the questions"


FIGURES = {
    "few_shot": _told("triage", "base", "base:few_shot"),
    "task": _told("triage", "base:few_shot", "customization"),
    "together": _together,
    "knowledge": _told(HELD, "base", "rag"),
    "weights": _told(HELD, "customization", "domain_adaptation+customization"),
    "forgetting": _forgetting,
    "freshness": _freshness,
    "latency": _latency,
    "effort": _effort,
    "privacy": _privacy,
    "sources": _sources,
}
