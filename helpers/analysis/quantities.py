"""What claims, the textbook table and the advice speak of: a quantity of an arm, its value in words, and two compared.

A quantity is data, such as `{arm: rag, set: facts_heldout}` (its accuracy), `{arm: rag, metric: first_token_s}`, or
`{value: 0.5}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from ..data import QUESTION_SETS, TIMED_SET
from .comparison import Comparison, in_brackets
from .cost import STATED, stated
from .intervals import Interval, accuracy, difference, perplexity_ratio, ratio, unpaired
from .prices import span


class Metric(NamedTuple):
    """What a metric is called, how it is written, what its sample consists of, and whether it is compared by ratio."""

    words: str
    shown: Callable[[float], str]
    counted: str = ""
    ratio: bool = False


def duration(seconds: float) -> str:
    """Seconds, or minutes where they are many."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} minutes"


METRICS = {
    "accuracy": Metric("accuracy on {set}", "{:.2f}".format, "questions"),
    "right_kind": Metric("share of the right kind on {set}", "{:.2f}".format, "questions"),
    "perplexity": Metric("perplexity of the texts of {set}", "{:.2f}".format, "texts", ratio=True),
    "first_token_s": Metric("median time to the first token", duration, "timed questions", ratio=True),
    "total_s": Metric("median time of a whole answer", duration, "timed questions", ratio=True),
    "hit_rate_1": Metric("hit rate at k = 1 on {set}", "{:.2f}".format),
    "passages": Metric("passages in a prompt", "{:.1f}".format),
    "passage_words": Metric("words of passages in a prompt", "{:.0f}".format),
    "update_s": Metric("time to absorb the changed documents", duration),
    "wall_s": Metric("time to prepare", duration),
    "cpu_s": Metric("CPU time to prepare", duration),
    "labelled_examples": Metric("labelled pairs", "{:,.0f}".format),
    "documents": Metric("documents read", "{:,.0f}".format),
    "tokens_seen": Metric("tokens trained on", "{:,.0f}".format),
    "epochs": Metric("passes over the training data", "{:g}".format),
} | {name: Metric(words, span) for name, words in STATED.items()}
SHARES = ("accuracy", "right_kind")  # measured question by question
SetName = Literal[*QUESTION_SETS]
MetricName = Literal[*METRICS]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Quantity:
    """A metric of an arm on a question set, or a share of one `part` of it, or a constant `value`."""

    arm: str = ""
    set: SetName = TIMED_SET
    part: str = ""
    metric: MetricName = "accuracy"
    value: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> Quantity:
        if bool(self.arm) == (self.value is not None):
            raise ValueError("a quantity is either an `arm` or a `value`")
        if self.part and self.metric not in SHARES:
            raise ValueError(f"only {' and '.join(SHARES)} are known of a `part`")
        return self

    @property
    def words(self) -> str:
        """What is measured, without the arm."""
        return METRICS[self.metric].words.format(set=f"{self.set} ({self.part})" if self.part else self.set)

    def of(self, comparison: Comparison) -> Any:
        """What was measured: scores or losses by world, seconds, or one number; None where nothing was."""
        arm, name, metric = self.arm, self.set, self.metric
        if not arm:
            return self.value
        if metric in SHARES:
            return comparison.by_world(arm, name, self.part, metric) or None
        if metric == "perplexity":
            return comparison.losses(arm, name) or None
        if METRICS[metric].ratio:
            return comparison.seconds(arm, name, metric) or None
        if metric == "hit_rate_1":
            return (comparison.metric(arm, name, "retrieval") or {}).get(metric)
        if metric.startswith("passage"):
            read = [[1 if metric == "passages" else len(p.text.split()) for p in s.answer.passages]
                    for s in comparison.scores(arm, name)]  # fmt: skip
            return float(np.mean([sum(each) for each in read])) if read else None
        if metric == "update_s":
            return comparison.update(arm).get("effort", {}).get("wall_s")
        if metric in STATED:
            return stated(comparison, arm, name, metric)
        if metric == "epochs":
            run = comparison.run(arm, name)
            settings = run.config.get("adapter", {}) if run else {}
            return max((each["epochs"] for each in settings.values() if "epochs" in each), default=None)
        return getattr(comparison.effort(arm), metric, None)

    def shown(self, comparison: Comparison) -> str:
        """Its value with its unit; empty where it was not measured."""
        found = self.of(comparison)
        if found is None:
            return ""
        if self.metric in SHARES:
            return in_brackets({"accuracy": accuracy(found)})
        if self.metric == "perplexity":
            found = comparison.metric(self.arm, self.set, "perplexity")
        estimated = self.metric == "update_s" and not comparison.update(self.arm).get("measured", True)
        found = found if self.metric in STATED else float(np.median(found))
        return METRICS[self.metric].shown(found) + " (estimated)" * estimated


def compare(comparison: Comparison, first: Quantity, second: Quantity) -> Interval | str:
    """How much higher the first quantity is than the second (for times and perplexities: how many times as high).

    Shares on one set are compared question by question. Single numbers have no width, costs that of their prices.

    Returns:
        The interval, or a sentence that says what was not measured.
    """
    one, other = first.of(comparison), second.of(comparison)
    if one is None or other is None:
        missing = [f"{q.words} of {q.arm}" for q, found in ((first, one), (second, other)) if found is None]
        return f"There is no {' and no '.join(missing)}."
    if isinstance(one, dict) and isinstance(other, dict) and not one.keys() & other.keys():
        return f"No world has both {first.arm} and {second.arm} on {first.set}."
    if METRICS[first.metric].ratio:
        return (perplexity_ratio if first.metric == "perplexity" else ratio)(one, other)
    if first.metric not in SHARES:
        gap = np.asarray(one - other)
        return {"value": float(np.median(gap)), "low": float(gap.min()), "high": float(gap.max()), "n": 0}
    if not second.arm:
        return {name: end - other * (name != "n") for name, end in accuracy(one).items()}
    same = (first.set, first.part) == (second.set, second.part)
    return difference(other, one) if same else unpaired(accuracy(other), accuracy(one))


def in_words(comparison: Comparison, quantities: Sequence[Quantity]) -> str:
    """Quantities with their intervals, those of one metric and set together; times and perplexities also as ratios.

    Ratios are those to the last quantity of their kind.

    Returns:
        Such as "accuracy on triage: base 0.00 [0.00, 0.06], customization 0.95 [0.86, 0.98]"; empty where nothing was
        measured.
    """
    groups: dict[str, list[Quantity]] = {}
    for quantity in dict.fromkeys(quantities):
        if quantity.arm:
            groups.setdefault(quantity.words, []).append(quantity)
    sentences = []
    for words, alike in groups.items():
        values = [quantity.shown(comparison) for quantity in alike]
        if METRICS[alike[0].metric].ratio and all(values):
            for place, one in enumerate(alike[:-1]):
                found = compare(comparison, one, alike[-1])
                span = "measured once" if math.isinf(found["high"]) else "[{low:.2f}, {high:.2f}]".format(**found)
                values[place] += f" ({found['value']:.2f} × {alike[-1].arm}, {span})"
        listed = ", ".join(f"{q.arm} {value or 'not measured'}" for q, value in zip(alike, values, strict=True))
        sentences += [f"{words}: {listed}"] if any(values) else []
    return "; ".join(sentences)
