"""What claims, the textbook table and the advice speak of: a quantity of an arm, its value in words, and two compared.

A quantity is data, such as `{arm: rag, set: facts_heldout}` (its accuracy), `{arm: rag, metric: first_token_s}`, or
`{value: 0.5}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import fields
from typing import Any

import numpy as np
from pydantic import ConfigDict, field_validator, model_validator
from pydantic.dataclasses import dataclass

from ..data import QUESTION_SETS, TIMED_SET, Effort
from .comparison import Comparison, in_brackets
from .cost import Prices, costs
from .intervals import Interval, accuracy, difference, perplexity_ratio, ratio, unpaired


def duration(seconds: float) -> str:
    """Seconds, or minutes where they are many."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} minutes"


@plain_dataclass(frozen=True)
class Metric:
    """How a metric is called and written; `counted` is what a sample of it consists of; `ratio`: compared by ratio."""

    words: str
    shown: Callable[[float], str]
    counted: str = ""
    ratio: bool = False


METRICS = {
    "accuracy": Metric("accuracy on {set}", "{:.2f}".format, "questions"),
    "perplexity": Metric("perplexity of the texts of {set}", "{:.2f}".format, "texts", ratio=True),
    "first_token_s": Metric("median time to the first token", duration, "timed questions", ratio=True),
    "total_s": Metric("median time of a whole answer", duration, "timed questions", ratio=True),
    "wall_s": Metric("time to prepare", duration),
    "cpu_s": Metric("CPU time to prepare", duration),
    "labelled_examples": Metric("labelled pairs", "{:,.0f}".format),
    "documents": Metric("documents read", "{:,.0f}".format),
    "tokens_seen": Metric("tokens trained on", "{:,.0f}".format),
    "update_s": Metric("time to absorb the changed documents", duration),
    "passages": Metric("passages in a prompt", "{:.1f}".format),
    "passage_words": Metric("words of passages in a prompt", "{:.0f}".format),
    "hit_rate_1": Metric("hit rate at k = 1 on {set}", "{:.2f}".format),
    "preparation_usd": Metric("US dollars to prepare, at the stated prices", "{:.2f}".format),
    "thousand_answers_usd": Metric("US dollars for 1,000 answers, at the stated prices", "{:.3f}".format),
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Quantity:
    """A metric of an arm on a question set, or a constant `value`."""

    arm: str = ""
    set: str = TIMED_SET
    metric: str = "accuracy"
    value: float | None = None

    @field_validator("set")
    @classmethod
    def _known_set(cls, name: str) -> str:
        if name not in QUESTION_SETS:
            raise ValueError(f"there is no question set {name!r}: choose one of {', '.join(QUESTION_SETS)}")
        return name

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"there is no metric {name!r}: choose one of {', '.join(METRICS)}")
        return name

    @model_validator(mode="after")
    def _whole(self) -> Quantity:
        if bool(self.arm) == (self.value is not None):
            raise ValueError("a quantity is either an `arm` or a `value`")
        return self


def compare(comparison: Comparison, first: Quantity, second: Quantity, prices: Prices | None = None) -> Interval | str:
    """How much higher the first quantity is than the second (for times and perplexities: how many times as high).

    Accuracies of one set are compared question by question. Single numbers have an interval of no width.

    Returns:
        The interval, or a sentence that says what was not measured.
    """
    both = [q.value if q.arm == "" else sample(comparison, q, prices) for q in (first, second)]
    missing = [q for q, found in zip((first, second), both, strict=True) if found is None or found == []]
    if missing:
        names = (f"{METRICS[q.metric].words.format(set=q.set)} of {q.arm}" for q in missing)
        return f"There is no {' and no '.join(names)}."
    if METRICS[first.metric].ratio:
        return (perplexity_ratio if first.metric == "perplexity" else ratio)(*both)
    if first.metric != "accuracy":
        value = both[0] - both[1]
        return {"value": value, "low": value, "high": value, "n": 0}
    if second.arm and first.set == second.set:
        return difference(both[1], both[0])
    if second.arm:
        return unpaired(accuracy(both[1]), accuracy(both[0]))
    ends = {name: end - second.value for name, end in accuracy(both[0]).items()}
    return ends | {"n": len({score.question.id for score in both[0]})}


def sample(comparison: Comparison, quantity: Quantity, prices: Prices | None = None) -> Any:
    """What was measured of a quantity: scores, losses or seconds; a single number for other metrics.

    Returns:
        An empty list, or None for single numbers, where nothing was measured.
    """
    arm, name, metric = quantity.arm, quantity.set, quantity.metric
    if metric == "accuracy":
        return comparison.scores(arm, name)
    if metric == "perplexity":
        return comparison.losses(arm, name)
    if METRICS[metric].ratio:
        return comparison.seconds(arm, name, metric)
    if metric in {each.name for each in fields(Effort)}:
        return getattr(comparison.effort(arm), metric, None)
    if metric == "update_s":
        return comparison.update(arm).get("effort", {}).get("wall_s")
    if metric.endswith("_usd"):
        found = costs(comparison, prices).get(arm)
        return found and (found.computing + found.labels if metric == "preparation_usd" else 1000 * found.query)
    if metric == "hit_rate_1":
        return next(
            (r.metrics["retrieval"][metric] for r in comparison.runs(arm, name) if "retrieval" in r.metrics), None
        )
    read = [[len(p.text.split()) for p in score.answer.passages] for score in comparison.scores(arm, name)]
    return float(np.mean([len(words) if metric == "passages" else sum(words) for words in read])) if read else None


def in_words(comparison: Comparison, quantities: Sequence[Quantity], prices: Prices | None = None) -> str:
    """Quantities with their intervals, those of one metric and set together; times and perplexities also as ratios.

    Ratios are those to the last quantity of their kind.

    Returns:
        Such as "accuracy on triage: base 0.00 [0.00, 0.06], customization 0.95 [0.86, 0.98]"; empty where nothing was
        measured.
    """
    groups: dict[str, list[Quantity]] = {}
    for quantity in dict.fromkeys(quantities):
        if quantity.arm:
            groups.setdefault(METRICS[quantity.metric].words.format(set=quantity.set), []).append(quantity)
    sentences = []
    for words, alike in groups.items():
        values = [_shown(comparison, quantity, prices) for quantity in alike]
        if METRICS[alike[0].metric].ratio and all(values):
            for place, one in enumerate(alike[:-1]):
                values[place] += f" ({_times(compare(comparison, one, alike[-1]), alike[-1].arm)})"
        listed = ", ".join(f"{q.arm} {value or 'not measured'}" for q, value in zip(alike, values, strict=True))
        sentences += [f"{words}: {listed}"] if any(values) else []
    return "; ".join(sentences)


def _shown(comparison: Comparison, quantity: Quantity, prices: Prices | None) -> str:
    found = sample(comparison, quantity, prices)
    if found is None or found == []:
        return ""
    if quantity.metric == "accuracy":
        return in_brackets({"accuracy": accuracy(found)})
    if quantity.metric == "perplexity":
        found = math.exp(sum(loss for loss, _ in found) / sum(count for _, count in found))
    elif METRICS[quantity.metric].ratio:
        found = float(np.median(found))
    estimated = quantity.metric == "update_s" and not comparison.update(quantity.arm).get("measured", True)
    return METRICS[quantity.metric].shown(found) + " (estimated)" * estimated


def _times(found: Interval, arm: str) -> str:
    """A ratio with its interval, where it has one."""
    span = "measured once" if math.isinf(found["high"]) else f"[{found['low']:.2f}, {found['high']:.2f}]"
    return f"{found['value']:.2f} × {arm}, {span}"
