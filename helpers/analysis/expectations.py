"""The right answers of the experiments, each tested with its interval: held, failed, not decided, or not measured.

python -m helpers compare results/own --expectations [--strict]

The expectations themselves are data: `rules/expectations.yaml`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data import PROFILES, QUESTION_SETS, DataError, Result
from ..experiment import Curve
from . import rules
from .comparison import losses_of, scores_of
from .intervals import accuracy, difference
from .ratios import perplexity_ratio

VERDICTS = ("held", "failed", "not decided", "not measured")
FIELDS = ("id", "claim", "relation", "margin", "source")


@dataclass(frozen=True)
class Expectation:
    """One claim: how two quantities, or the two ends of a curve, must stand to each other; see the data file.

    `answer` is the number of the right answer that it is a part of; 0 in claims about your own data.
    """

    id: str
    claim: str
    relation: str
    margin: float
    source: str
    first: Mapping[str, Any] = field(default_factory=dict)
    second: Mapping[str, Any] = field(default_factory=dict)
    curve: str = ""
    answer: int = 0

    def __post_init__(self) -> None:
        if self.relation not in ("above", "below"):
            raise DataError(f"expectation {self.id!r}: `relation` must be above or below. Got {self.relation!r}")
        if not self.curve and not (self.first and self.second):
            raise DataError(f"expectation {self.id!r} needs `first` and `second`, or a `curve`")
        for quantity in (self.first, self.second):
            if "set" in quantity and quantity["set"] not in QUESTION_SETS:
                raise DataError(f"expectation {self.id!r}: there is no question set {quantity['set']!r}")

    @property
    def is_ratio(self) -> bool:
        """Whether the quantities are perplexities, which are compared by their ratio."""
        return self.first.get("metric") == "perplexity"

    @property
    def threshold(self) -> float:
        """What the difference (or ratio) is held against."""
        if not self.is_ratio:
            return self.margin
        return 1 + self.margin if self.relation == "above" else 1 - self.margin


@dataclass(frozen=True)
class Verdict:
    """How an expectation fared.

    `value`, `low` and `high` are the difference or ratio that was measured (NaN where it was not); `n` counts
    questions (texts, for perplexity); `needed` says about how many would decide, where they are too few.
    """

    expectation: Expectation
    verdict: str
    why: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    needed: int | None = None


def load_expectations(folder: Path = rules.FOLDER, name: str = "expectations") -> list[Expectation]:
    """The expectations of a data file, in its order: those of the kit's own world, or of `own_data`.

    Raises:
        DataError: An entry lacks a part or has one too many, or names a question set that does not exist.
    """
    try:
        return [Expectation(**entry) for entry in rules.load(name, FIELDS, folder)]
    except TypeError as error:
        raise DataError(f"{folder / name}.yaml: {error}") from error


def judge(
    results: Sequence[Result],
    curves: Mapping[str, Curve] | None = None,
    expectations: Sequence[Expectation] | None = None,
) -> list[Verdict]:
    """Tests every expectation on results that can be compared.

    Args:
        results: See `comparable.check_comparable`; interrupted runs count as not measured.
        curves: Recorded curves by name.
        expectations: Those of the data file unless told otherwise.

    Returns:
        One verdict an expectation, in their order.
    """
    wanted = load_expectations() if expectations is None else expectations
    known = curves or {}
    return [
        _bearing(_judge_curve(e, known), _recorded_with(known.get(e.curve)))
        if e.curve
        else _bearing(_judge(e, results), _trained_with(e, results))
        for e in wanted
    ]


def _trained_with(e: Expectation, results: Sequence[Result]) -> set[str]:
    """The profiles of the trainings that an expectation rests on."""
    arms = {quantity.get("arm") for quantity in (e.first, e.second)}
    return {r.profile for r in results if r.arm in arms and r.config.get("adapter")}


def _recorded_with(curve: Curve | None) -> set[str]:
    """The profile that a curve was recorded with; none where it says nothing of one."""
    return {curve.about["profile"]} if curve is not None and "profile" in curve.about else set()


def _bearing(found: Verdict, profiles: set[str]) -> Verdict:
    """Nothing is decided, either way, where trainings made a small part of their passes alone, as in quick."""
    short = {name for name in profiles if _share(name) < 1}
    if found.verdict not in ("held", "failed") or not short:
        return found
    part = min(map(_share, short))
    why = f"{found.why} The {' and '.join(sorted(short))} profile makes {part:.0%} of a training's passes: too few."
    return replace(found, verdict="not decided", why=why)


def _share(profile: str) -> float:
    return PROFILES[profile].training_share if profile in PROFILES else 1.0


def counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many expectations have each verdict; verdicts that none has are left out."""
    found = {name: sum(each.verdict == name for each in verdicts) for name in VERDICTS}
    return {name: count for name, count in found.items() if count}


def as_text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts for a terminal: claim, what was measured, and why it is judged so."""
    lines = []
    for each in verdicts:
        e = each.expectation
        lines += [f"{each.verdict.upper():<13} {e.id}", *_indented(e.claim), *_indented(each.why), *_indented(e.source)]
    summary = ", ".join(f"{count} {name}" for name, count in counts(verdicts).items())
    return "\n".join([*lines, "", f"{len(verdicts)} expectations: {summary}"])


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=" " * 14, subsequent_indent=" " * 14)


def _judge(e: Expectation, results: Sequence[Result]) -> Verdict:
    quantities = [q for q in (e.first, e.second) if "arm" in q]
    missing = [q for q in quantities if not scores_of(results, q["arm"], q["set"])]
    if missing:
        names = " and ".join(f"{q['arm']} on {q['set']}" for q in missing)
        return Verdict(e, "not measured", f"There is no complete result of {names}.")
    if e.is_ratio:
        return _judge_ratio(e, results)
    scores = [scores_of(results, q["arm"], q["set"]) for q in quantities]
    if len(scores) == 2:
        found = difference(scores[1], scores[0])
        return _decide(e, found.value, found.low, found.high, found.n)
    plain = accuracy(scores[0])
    constant = e.second["value"]
    n = len({score.question.id for score in scores[0]})
    return _decide(e, plain["value"] - constant, plain["low"] - constant, plain["high"] - constant, n)


def _judge_ratio(e: Expectation, results: Sequence[Result]) -> Verdict:
    both = []
    for q in (e.first, e.second):
        both.append(losses_of(results, q["arm"], q["set"]))
        if not both[-1]:
            return Verdict(e, "not measured", f"There is no perplexity of {q['arm']} on {q['set']}.")
    found = perplexity_ratio(*both)
    if math.isinf(found["high"]):
        why = f"Measured a ratio of {found['value']:.2f} over texts whose losses were not kept one by one: no interval."
        return Verdict(e, "not decided", why, found["value"], found["low"], found["high"], 1)
    return _decide(e, found["value"], found["low"], found["high"], int(found["n"]))


def _judge_curve(e: Expectation, curves: Mapping[str, Curve]) -> Verdict:
    curve = curves.get(e.curve)
    if curve is None or len(curve.points) < 2:
        return Verdict(e, "not measured", f"There is no recorded curve {e.curve!r} of two points or more.")
    first, last = curve.points[0], curve.points[-1]
    value = last["value"] - first["value"]
    down = math.hypot(last["value"] - last["low"], first["high"] - first["value"])
    up = math.hypot(last["high"] - last["value"], first["value"] - first["low"])
    return _decide(e, value, value - down, value + up, int(min(first.get("n", 0), last.get("n", 0))))


def _decide(e: Expectation, value: float, low: float, high: float, n: int) -> Verdict:
    sign, unit = ("", "texts") if e.is_ratio else ("+", "questions")
    span = f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
    what = f"Measured {'a ratio of ' * e.is_ratio}{span} with {n} {unit}; wanted {e.relation} {e.threshold:g}."
    way = 1 if e.relation == "above" else -1
    near, far = (low, high) if way > 0 else (high, low)
    if way * (near - e.threshold) > 0:
        return Verdict(e, "held", what, value, low, high, n)
    if way * (far - e.threshold) < 0:
        return Verdict(e, "failed", what, value, low, high, n)
    facing = near if way * (value - e.threshold) > 0 else far  # the end that has to come past the threshold
    distance, reach = abs(value - e.threshold), abs(value - facing)
    if not n or distance < reach / 30:
        return Verdict(e, "not decided", f"{what} No number of {unit} within reach would decide.", value, low, high, n)
    needed = max(n + 1, math.ceil(n * (reach / distance) ** 2))
    why = f"{what} About {needed:,} {unit} like these would decide, if the value stays."
    return Verdict(e, "not decided", why, value, low, high, n, needed)
