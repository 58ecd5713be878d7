"""How sure a number is: 95 % intervals of shares, of paired differences and of ratios, as `value`, `low`, `high`, `n`.

Questions about one asset are right or wrong together, so whole assets are resampled. An interval is about other
questions, not about another training. `tests/test_intervals.py` checks by simulation that they cover what they promise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ..data import DataError, Score

RESAMPLES = 2000
FEW = 5  # with fewer right or fewer wrong answers, resampling sees too little to show how answers go together
ICC = 0.15  # how strongly the answers about one asset are then assumed to agree (intraclass correlation)
UPPER = 0.975  # the upper end of a 95 % interval
Z = float(stats.norm.ppf(UPPER))

Interval = dict[str, float]


def accuracy(scores: Sequence[Score]) -> Interval:
    """Mean score with its 95 % interval.

    Wilson's score interval (Wilson 1927). Where several questions are about one asset, whole assets are resampled
    (Efron & Tibshirani 1993, chapter 13) to see how many independent questions the sample is worth, and that number,
    corrected for few assets, goes into Wilson's formula (Korn & Graubard 1998, Survey Methodology 24, 193-201).

    Raises:
        DataError: There is nothing to average.
    """
    if not scores:
        raise DataError("there are no scored answers to average")
    values = _by_question(scores)
    sums, counts = _by_asset(values)
    value, n = float(values["value"].mean()), len(values)
    low, high = wilson(value, _effective_n(value, sums, counts))
    if len(sums) == 1 and n > 1 and 0 < value < 1:
        low, high = 0.0, 1.0  # one asset says nothing about others
    return {"value": value, "low": low, "high": high, "n": n}


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share (0..1) that rests on `n` independent questions; `n` need not be whole."""
    middle = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(value * (1 - value) / n + Z * Z / (4 * n * n))
    return (0.0 if value == 0 else max(0.0, middle - half)), (1.0 if value == 1 else min(1.0, middle + half))


def difference(first: Sequence[Score], second: Sequence[Score]) -> Interval:
    """How much higher the second arm scores than the first, on the same questions, and the two-sided p-value `p`.

    The interval resamples whole assets. Where fewer than `FEW` assets differ from the rest, resampling sees too
    little, and the two arms' own intervals are combined instead (`unpaired`). `p` swaps the arms asset by asset
    (scipy's permutation test).

    Raises:
        DataError: The arms were asked other questions, or none.
    """
    one, other = _by_question(first), _by_question(second)
    if not len(one) or set(one.index) != set(other.index):
        raise DataError("a difference needs two arms that were asked the same questions: run the study again")
    sums, counts = _by_asset(one.assign(value=other["value"] - one["value"]))
    value = float(sums.sum() / counts.sum())
    typical = Counter(np.round(sums / counts, 9)).most_common(1)[0][1]
    if len(sums) - typical < FEW:
        combined = unpaired(accuracy(first), accuracy(second))
        low, high = combined["low"], combined["high"]
    else:
        low, high = resample(_mean, sums, counts).confidence_interval
    low, high = max(-1.0, min(float(low), value)), min(1.0, max(float(high), value))
    return {"value": value, "low": low, "high": high, "n": len(one), "p": _permutation_p(sums)}


def unpaired(first: Interval, second: Interval) -> Interval:
    """How much higher the second value is, where the two share no questions (Zou & Donner 2008, Stat. Med. 27)."""
    value = second["value"] - first["value"]
    down = math.hypot(second["value"] - second["low"], first["high"] - first["value"])
    up = math.hypot(second["high"] - second["value"], first["value"] - first["low"])
    return {"value": value, "low": value - down, "high": value + up, "n": min(first.get("n", 0), second.get("n", 0))}


def ratio(first: Sequence[float], second: Sequence[float]) -> Interval:
    """How many times the first median of seconds is the second; one timing has no interval, so 0 to infinity.

    Raises:
        DataError: One of the two was not timed.
    """
    if not first or not second:
        raise DataError("a ratio of times needs timings of both arms: run the study with this profile again")
    value, n, low, high = float(np.median(first) / np.median(second)), min(len(first), len(second)), 0.0, math.inf
    if n > 1:
        low, high = resample(_median_ratio, first, second, paired=False).confidence_interval
    return {"value": value, "low": float(low), "high": float(high), "n": n}


def perplexity_ratio(first: Sequence[tuple[float, int]], second: Sequence[tuple[float, int]]) -> Interval:
    """How many times the first perplexity is the second, on the same texts; one text has no interval.

    The logarithm of the ratio is the difference of the mean losses per token. Whole texts are resampled, both arms'
    losses of a text (summed over its tokens, beside their number) together.

    Raises:
        DataError: The arms read other texts, or none.
    """
    pairs = [(one - other, count) for (one, count), (other, _) in zip(first, second, strict=False) if count]
    if not pairs or [count for _, count in first] != [count for _, count in second]:
        raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
    sums, counts = np.array(pairs).T
    value, low, high = math.exp(_mean(sums, counts)), 0.0, math.inf
    if len(pairs) > 1:
        low, high = map(math.exp, resample(_mean, sums, counts).confidence_interval)
    return {"value": value, "low": min(low, value), "high": max(high, value), "n": len(pairs)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values for the number of comparisons, in their order."""
    p, order = np.array(p_values), np.argsort(p_values)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)].tolist()


def resample(statistic: Callable[..., Any], *samples: Sequence[float], paired: bool = True) -> Any:
    """scipy's bootstrap of a statistic, at the level that makes a percentile interval honest for few draws.

    Hesterberg 2015, The American Statistician 69, section 3.4: it then covers as often as Student's t interval.
    """
    n = min(map(len, samples))
    level = 1 - 2 * stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(UPPER, n - 1))
    return stats.bootstrap(
        samples, statistic, paired=paired, n_resamples=RESAMPLES, method="percentile",
        confidence_level=min(float(level), 1 - 1e-9), rng=np.random.default_rng(0),  # two draws would ask for 1
    )  # fmt: skip


def _by_question(scores: Sequence[Score]) -> pd.DataFrame:
    """The score of each question, and its asset (itself where none is named), by question."""
    rows = {s.question.id: (s.question.asset or f"question {s.question.id}", s.value) for s in scores}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["asset", "value"])


def _by_asset(questions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The sum over each asset's questions, and how many they are."""
    values = questions.groupby("asset")["value"]
    return values.sum().to_numpy(), values.count().to_numpy()


def _mean(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis) / counts.sum(axis)


def _median_ratio(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
    return np.median(first, axis) / np.median(second, axis)


def _effective_n(value: float, sums: np.ndarray, counts: np.ndarray) -> float:
    """How many independent questions a sample is worth, at most as many as it has."""
    n, assets = int(counts.sum()), len(sums)
    if assets == n:
        return n
    if min(sums.sum(), n - sums.sum()) < FEW or assets == 1:
        return min(n, n / (1 + (n / assets - 1) * ICC))
    variance = float(resample(_mean, sums, counts).bootstrap_distribution.var()) * assets / (assets - 1)
    few = (Z / stats.t.ppf(UPPER, assets - 1)) ** 2
    return min(n, few * value * (1 - value) / variance) if variance > 1e-12 else n


def _permutation_p(sums: np.ndarray) -> float:
    """Two-sided; exact where there are few assets."""
    if not sums.any() or len(sums) == 1:
        return 1.0
    found = stats.permutation_test(
        (sums, np.zeros_like(sums)), lambda own, none, axis: (own - none).sum(axis), permutation_type="samples",
        n_resamples=RESAMPLES, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)
