"""What the results say, in words and intervals: the ground that the textbook table and the advice stand on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Effort, Result, Score
from .comparison import scores_of
from .cost import Prices
from .intervals import accuracy, difference

HELD = "facts_heldout"
SUPPORTS = ("supported", "contradicted", "not decided", "not measured")
Span = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """What the rows are measured from: comparable results and stated prices."""

    results: Sequence[Result]
    prices: Prices

    def scores(self, arm: str, question_set: str) -> list[Score]:
        """The scored answers of an arm on a set; empty where there are none."""
        return scores_of(self.results, arm, question_set)

    def told(self, arm: str, question_set: str) -> str:
        """The accuracy of an arm on a set with its interval, in words; "not measured" where there is none."""
        scores = self.scores(arm, question_set)
        if not scores:
            return f"{arm}: not measured"
        a = accuracy(scores)
        return f"{arm} {a['value']:.2f} [{a['low']:.2f}, {a['high']:.2f}]"

    def seconds(self, arm: str, name: str = "total_s", question_set: str = HELD) -> list[float]:
        """Times of single answers, one a question: those of the first seed, since the speed does not hang on it."""
        runs = [r for r in self.results if (r.arm, r.question_set, r.status) == (arm, question_set, "complete")]
        timed = sorted((r for r in runs if r.metrics.get(name)), key=lambda r: r.seed)
        return list(timed[0].metrics[name]) if timed else []

    def effort(self, arm: str) -> Effort | None:
        """What preparing an arm took, or None where it has no result."""
        return next((result.effort for result in self.results if result.arm == arm), None)

    def gap(self, first: str, second: str, question_set: str, margin: float = 0.0) -> Span | None:
        """The interval of how much higher the second arm scores than the first, less a margin; None without both."""
        one, other = self.scores(first, question_set), self.scores(second, question_set)
        if not one or not other:
            return None
        found = difference(one, other)
        return found.low - margin, found.high - margin

    def update(self, arm: str) -> dict[str, Any]:
        """What absorbing the changed documents took an arm; empty where it was not recorded."""
        runs = [r for r in self.results if (r.arm, r.question_set, r.status) == (arm, "updates", "complete")]
        return next((run.metrics["update"] for run in runs if "update" in run.metrics), {})


def verdict(*spans: Span | None) -> str:
    """Supported where every interval lies above 0, contradicted where one lies below; None was not measured."""
    if not spans or any(span is None for span in spans):
        return "not measured"
    known = [span for span in spans if span is not None]
    if any(high < 0 for _, high in known):
        return "contradicted"
    return "supported" if all(low > 0 for low, _ in known) else "not decided"


def apart(lower: Sequence[Score], higher: Sequence[Score]) -> Span:
    """The interval of a difference between two question sets, which share no questions."""
    one, other = accuracy(lower), accuracy(higher)
    value = other["value"] - one["value"]
    down = np.hypot(other["value"] - other["low"], one["high"] - one["value"])
    up = np.hypot(other["high"] - other["value"], one["value"] - one["low"])
    return float(value - down), float(value + up)


def in_words(seconds: float) -> str:
    """Seconds, or minutes where they are many."""
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} minutes"


def times(found: dict[str, float]) -> str:
    """A ratio with its interval, where it has one."""
    if math.isinf(found["high"]):
        return f"{found['value']:.2f} times (measured once, so without an interval)"
    return f"{found['value']:.2f} times [{found['low']:.2f}, {found['high']:.2f}]"
