"""What claims, the lecture's table and the advice speak of: quantities, in words and compared.

A quantity is data, such as `{arm: rag, set: facts_heldout}` (its accuracy), `{arm: rag, metric: wall_s}`, `{value: 1}`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from ..data import QUESTION_SETS, TIMED_SET, table
from ..experiment import plain_name
from .comparison import Comparison, in_brackets
from .cost import SIZES, cost_of, load_prices, span
from .intervals import Interval, accuracy, difference, perplexity_ratio, ratio


class Metric(NamedTuple):
    """What a metric is called, how it is written, what its sample is, and whether it is compared by ratio."""

    words: str
    shown: Callable[[float], str]
    counted: str = ""
    ratio: bool = False


def duration(seconds: float) -> str:
    """Seconds, or minutes where they are many."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} minutes"


FORMATS = {"duration": duration, "span": span}
METRICS = {
    name: Metric(**row | {"shown": FORMATS.get(row["shown"]) or row["shown"].format})
    for name, row in table(__file__).items()
}
SHARES = ("accuracy", "right_kind")  # measured question by question


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Quantity:
    """A metric of an arm on a question set, or a share of one `part` of it, or a constant `value`."""

    arm: str = ""
    set: Literal[*QUESTION_SETS] = TIMED_SET
    part: str = ""
    metric: Literal[*METRICS] = "accuracy"
    value: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.arm) == (self.value is not None):
            raise ValueError("a quantity is either an `arm` or a `value`")
        if self.part and self.metric not in SHARES:
            raise ValueError(f"only {' and '.join(SHARES)} are known of a `part`")
        return self

    @property
    def words(self) -> str:
        """What is measured, without the arm."""
        name = plain_name(self.set).lower()
        return METRICS[self.metric].words.format(set=f"{name} ({self.part.replace('_', ' ')})" if self.part else name)

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
        if metric == "passages":
            read = [len(score.answer.passages) for score in comparison.scores(arm, name)]
            return sum(read) / len(read) if read else None
        if metric == "update_s":
            return comparison.update(arm).get("effort", {}).get("wall_s")
        if METRICS[metric].shown is span:
            return self._stated(comparison)
        if metric == "epochs":
            trained = [run.config.get("adapter") or {} for run in comparison.runs(arm, name).values()]
            return max((t["epochs"] for each in trained for t in each.values() if "epochs" in t), default=None)
        return getattr(comparison.effort(arm), metric, None)

    def _stated(self, comparison: Comparison) -> Any:
        """A cost; a model of another size is taken to answer as well as the one that was run."""
        size = "135M" if self.metric == "lowest_usd" else self.metric.rpartition("_")[2]
        prices, effort = load_prices(), comparison.effort(self.arm)
        if self.metric == "training_gb_8B":
            return effort and SIZES[size].training_gb("all weights") * bool(effort.tokens_seen)
        cost = cost_of(comparison, self.arm, self.set, prices, size if size in SIZES else "")
        if not cost or self.metric == "effort_hours":
            return cost and cost.hours
        dollars = cost.thousand_right(prices["queries"][0], prices["changes"][0])
        return None if not cost.right else np.min(dollars) if self.metric == "lowest_usd" else dollars

    def shown(self, comparison: Comparison) -> str:
        """Its value with its unit; empty where it was not measured."""
        found = self.of(comparison)
        if found is None or self.metric in SHARES:
            return in_brackets({"accuracy": accuracy(found)}) if found else ""
        if self.metric == "perplexity":
            found = comparison.metric(self.arm, self.set, "perplexity")
        if METRICS[self.metric].shown is not span:  # a range
            found = float(np.median(found))
        estimated = self.metric == "update_s" and not comparison.update(self.arm).get("measured", True)
        return METRICS[self.metric].shown(found) + " (estimated)" * estimated


def compare(comparison: Comparison, first: Quantity, second: Quantity) -> Interval | str:
    """How much higher the first quantity is (times and perplexities: how many times as high), or why it is not known.

    Shares on one set are compared question by question. Single numbers have no width, costs that of their prices.
    """
    one, other = first.of(comparison), second.of(comparison)
    missing = [f"{q.words} of {plain_name(q.arm)}" for q, found in ((first, one), (second, other)) if found is None]
    if missing:
        return f"There is no {' and no '.join(missing)}."
    if isinstance(one, dict) and isinstance(other, dict) and not one.keys() & other.keys():
        return f"No world has both arms, {plain_name(first.arm)} and {plain_name(second.arm)}: {first.words}."
    if METRICS[first.metric].ratio:
        return (perplexity_ratio if first.metric == "perplexity" else ratio)(one, other)
    if first.metric not in SHARES:
        gap = np.asarray(one - other)
        return {"value": float(np.median(gap)), "low": float(gap.min()), "high": float(gap.max()), "n": 0}
    if not second.arm:
        return {name: end - other * (name != "n") for name, end in accuracy(one).items()}
    return difference(other, one)


def in_words(comparison: Comparison, quantities: Sequence[Quantity]) -> str:
    """Quantities such as "accuracy on triage: Base 0.00 [0.00, 0.06], RAG 0.95 [0.86, 0.98]"; empty where none is.

    Those of one metric and set stand together; times and perplexities also as ratios to the last one.
    """
    groups: dict[str, dict[Quantity, str]] = {}
    for quantity in quantities:
        if quantity.arm:
            groups.setdefault(quantity.words, {})[quantity] = quantity.shown(comparison)
    sentences = []
    for words, values in groups.items():
        *others, last = values
        for one in others if METRICS[last.metric].ratio and all(values.values()) else ():
            found = compare(comparison, one, last)
            reach = "measured once" if math.isinf(found["high"]) else "[{low:.2f}, {high:.2f}]".format(**found)
            values[one] += f" ({found['value']:.2f} × {plain_name(last.arm)}, {reach})"
        if any(values.values()):
            listed = (f"{plain_name(each.arm)} {value or 'not measured'}" for each, value in values.items())
            sentences.append(f"{words}: {', '.join(listed)}")
    return "; ".join(sentences)
