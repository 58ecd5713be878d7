"""Claims about a comparison, each judged by its interval: supported, contradicted, not decided or not measured.

Claims are data: `rules/expectations.yaml` and `rules/own_data.yaml`; `textbook` judges those of the lecture's table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from ..data import get_profile
from . import rules
from .comparison import Comparison
from .intervals import Interval
from .quantities import METRICS, Quantity, compare

SAME = 1e-6  # how far two values may lie apart that are the same


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Claim:
    """How two quantities must relate: `first` above, below or the same as `second`, by more than `margin`.

    See `rules/expectations.yaml`.
    """

    relation: Literal["above", "below", "same"]
    first: Quantity
    second: Quantity
    margin: float = 0.0
    id: str = ""
    text: str = ""
    source: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Claim:
        if (self.is_ratio or self.second.arm) and self.first.metric != self.second.metric:
            raise ValueError("`first` and `second` must have the same metric, and a ratio needs two arms")
        return self

    @property
    def is_ratio(self) -> bool:
        """Whether it is about perplexities or times, which are compared by their ratio."""
        return METRICS[self.first.metric].ratio

    @property
    def threshold(self) -> float:
        """What the difference, or the ratio, is compared with."""
        return self.margin if not self.is_ratio else 1 + (self.margin if self.relation == "above" else -self.margin)


@dataclass(frozen=True)
class Verdict:
    """How a claim fared, and why; `measured` is the difference or the ratio with its interval, where there is one."""

    claim: Claim
    verdict: str
    why: str
    measured: Interval | None = None


def read_claims(name: str = "expectations", folder: Path = rules.FOLDER) -> list[Claim]:
    """The claims of a data file: "expectations" of the kit's own world, or those about "own_data"."""
    return rules.read_rules(name, list[Claim], folder)


def judge(comparison: Comparison, claims: Sequence[Claim] | None = None) -> list[Verdict]:
    """Judges every claim (those of `rules/expectations.yaml` unless given), in order, by what was measured."""
    return [_judge(claim, comparison) for claim in (read_claims() if claims is None else claims)]


def counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many claims have each verdict, the best first; verdicts that none has are left out."""
    found = Counter(each.verdict for each in verdicts)
    return {name: found[name] for name in ("supported", "contradicted", "not decided", "not measured") if found[name]}


def verdicts_as_text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts for a terminal: a line a claim with what was measured, and how many have each verdict."""
    lines = [f"{v.verdict.upper():<14} {v.claim.id}: {v.claim.text} {v.why} ({v.claim.source})" for v in verdicts]
    summary = ", ".join(f"{count} {name}" for name, count in counts(verdicts).items())
    return "\n".join([*lines, "", f"{len(verdicts)} claims: {summary}"])


def _judge(claim: Claim, comparison: Comparison) -> Verdict:
    found = compare(comparison, claim.first, claim.second)
    if isinstance(found, str):
        return Verdict(claim, "not measured", found)
    verdict, why = _decide(claim, found)
    tuned = [r for r in comparison.results if r.arm in (claim.first.arm, claim.second.arm) and r.config.get("adapter")]
    if tuned and verdict != "not decided" and get_profile(tuned[0].profile).training_share < 1:
        profile, share = tuned[0].profile, get_profile(tuned[0].profile).training_share
        why += f" The {profile} profile makes {share:.0%} of a training's passes: too few to decide, either way."
        verdict = "not decided"
    return Verdict(claim, verdict, why, found)


def _decide(claim: Claim, found: Interval) -> tuple[str, str]:
    """The verdict on a claim by the interval that was found for it, and what was measured, in words."""
    value, low, high, n = found["value"], found["low"], found["high"], int(found["n"])
    sign, unit = ("", "a ratio of ") if claim.is_ratio else ("+", "")
    counted = METRICS[claim.first.metric].counted
    span = f"{value:{sign}.2f}" + (f" [{low:{sign}.2f}, {high:{sign}.2f}]" if low < high else "")
    why = f"Measured {unit}{span}{f' with {n} {counted}' if n else ''}; claimed: {claim.relation} {claim.threshold:g}."
    way = -1 if claim.relation == "below" else 1
    distance, *ends = (way * (each - claim.threshold) for each in (value, low, high))
    if claim.relation == "same":
        return ("supported" if abs(distance) <= SAME else "contradicted"), why
    if min(ends) > 0 or max(ends) < 0:
        return ("supported" if distance > 0 else "contradicted"), why
    reach = distance - min(ends) if distance > 0 else max(ends) - distance  # to the end that must pass the threshold
    if not n or math.isinf(high) or abs(distance) < reach / 30:
        return "not decided", f"{why} No feasible number of measurements like these would decide."
    needed = max(n + 1, math.ceil(n * (reach / distance) ** 2))
    return "not decided", f"{why} About {needed:,} {counted} like these would decide, if the value stays."
