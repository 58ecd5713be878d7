"""How sure a number is: intervals of shares, paired differences between arms, and correction for many comparisons.

Questions about one asset rise and fall together, so whole assets are resampled. `tests/test_intervals.py` checks by
simulation that the intervals cover what they promise.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..data import DataError, Score

CONFIDENCE = 0.95
RESAMPLES = 2000
FEW = 5  # with fewer right or fewer wrong answers, resampling sees too little to tell how answers go together
TOGETHER = 0.15  # how strongly the answers about one asset are then taken to agree (intraclass correlation)


@dataclass(frozen=True)
class Difference:
    """How much higher the second arm scores than the first, on the same questions.

    `value` is the difference of shares, `low` and `high` its 95 % interval, `p` the two-sided chance of such a
    difference if the arms were alike; `n` counts questions and `assets` what was resampled.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    assets: int


def accuracy(scores: Sequence[Score]) -> dict[str, float]:
    """Mean score with its 95 % interval.

    Wilson's score interval (Wilson 1927), in which a question counts once for all seeds. Where several questions are
    about one asset, whole assets are resampled (Efron & Tibshirani 1993, chapter 13) to see how many independent
    questions the sample is worth, and that number, corrected for few assets, stands in Wilson's formula (Korn &
    Graubard 1998, Survey Methodology 24, 193-201). The spread between seeds, where there are several, lowers it.

    Returns:
        `value`, `low`, `high`, `n` (the number of scored answers).

    Raises:
        DataError: There is nothing to average, or a score is no number between 0 and 1.
    """
    if not scores:
        raise DataError("there are no scored answers to average")
    check_values(scores)
    by_question, assets = _by_question(scores)
    value = float(np.mean(list(by_question.values())))
    groups = [assets[name] for name in by_question]
    if len(set(groups)) == 1 and len(groups) > 1 and 0 < value < 1:
        low, high = 0.0, 1.0
    else:
        low, high = wilson(value, _worth(np.array(list(by_question.values())), groups, seed_values(scores)))
    return {"value": value, "low": low, "high": high, "n": len(scores)}


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's score interval; for scores between 0 and 1, whose variance is smaller, it is a cautious one.

    Args:
        value: The share, 0..1.
        n: How many independent questions it rests on; need not be whole.
    """
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return (0.0 if value == 0 else max(0.0, middle - half)), (1.0 if value == 1 else min(1.0, middle + half))


def seed_values(scores: Sequence[Score]) -> list[float]:
    """The mean score of each seed, where scores of several seeds follow one another; one value where there is one."""
    seen: Counter[str] = Counter()
    rounds: dict[int, list[float]] = defaultdict(list)
    for score in scores:
        rounds[seen[score.question.id]].append(score.value)
        seen[score.question.id] += 1
    return [float(np.mean(values)) for values in rounds.values()]


def difference(first: Sequence[Score], second: Sequence[Score], seed: int = 0) -> Difference:
    """The paired difference of two arms on one question set.

    The interval resamples whole assets (scipy's bootstrap), at the wider level that makes a percentile interval honest
    for few assets (Hesterberg 2015, The American Statistician 69, section 3.4). Where fewer than `FEW` assets differ
    from the rest, resampling sees too little, and the two arms' own intervals are put together instead (Zou & Donner
    2008, Statistics in Medicine 27). `p` swaps the arms asset by asset (scipy's permutation test). Several seeds are
    averaged question by question; their spread, which another training would meet again, widens the interval, and `p`
    is at least that of a t-test on the seeds' means.

    Args:
        first: Scores of one arm.
        second: Scores of the other, on the same questions.
        seed: Seeds the resampling.

    Raises:
        DataError: The arms were not asked the same questions, or a score is no number.
    """
    for scores in (first, second):
        check_values(scores)
    one, assets = _by_question(first)
    other, _ = _by_question(second)
    if not one or set(one) != set(other):
        raise DataError("a difference needs two arms that were asked the same questions: run the study again")
    moved: dict[str, float] = defaultdict(float)
    for name in one:
        moved[assets[name]] += other[name] - one[name]
    sums, sizes = np.array(list(moved.values())), Counter(assets[name] for name in one)
    counts = np.array([sizes[asset] for asset in moved])
    value = float(sums.sum() / counts.sum())
    typical = Counter(np.round(sums / counts, 9)).most_common(1)[0][1]
    if len(sums) - typical < FEW:
        low, high = _from_shares(accuracy(first), accuracy(second))
    else:
        low, high = resampled_mean(sums, counts, seed)
        reach = _reach_of_seeds(first, second)
        low, high = value - math.hypot(value - low, reach), value + math.hypot(high - value, reach)
    p = max(_p_value(sums, seed), _p_of_seeds(value, first, second))
    return Difference(value, max(-1.0, min(low, value)), min(1.0, max(high, value)), p, len(one), len(sums))


def _seed_error(first: Sequence[Score], second: Sequence[Score]) -> tuple[float, int]:
    """The standard error that a difference has from the seeds alone, and its degrees of freedom; 0, 0: one seed."""
    several = [each for each in map(seed_values, (first, second)) if len(each) > 1]
    variance = sum(float(np.var(each, ddof=1)) / len(each) for each in several)
    return math.sqrt(variance), sum(len(each) - 1 for each in several)


def _reach_of_seeds(first: Sequence[Score], second: Sequence[Score]) -> float:
    error, free = _seed_error(first, second)
    return error * float(stats.t.ppf((1 + CONFIDENCE) / 2, free)) if free else 0.0


def _p_of_seeds(value: float, first: Sequence[Score], second: Sequence[Score]) -> float:
    error, free = _seed_error(first, second)
    return float(2 * stats.t.sf(abs(value) / error, free)) if error > 1e-12 else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values for the number of comparisons, in their order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def spread(seconds: Sequence[float] | None) -> dict[str, float] | None:
    """Median and 95th percentile of times in seconds; None where nothing was timed.

    Raises:
        DataError: A time is no number.
    """
    if not seconds:
        return None
    if not np.isfinite(seconds).all():
        raise DataError("a time is not a number. Delete the result file that it stands in, and run the study again.")
    return {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95))}


def honest_level(n: int) -> float:
    """The level at which a percentile interval from `n` draws covers as often as Student's t interval does."""
    t = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    return min(float(1 - 2 * stats.norm.cdf(-math.sqrt(n / (n - 1)) * t)), 1 - 1e-9)  # two draws would ask for 1


def resampled_mean(sums: np.ndarray, counts: np.ndarray, seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean when whole groups are drawn with replacement, at the level that is honest for few.

    Args:
        sums: The sum of each group.
        counts: How many values each group has.
        seed: Seeds the resampling (scipy's bootstrap).
    """

    def mean(s: np.ndarray, c: np.ndarray, axis: int) -> np.ndarray:
        return s.sum(axis) / c.sum(axis)

    found = stats.bootstrap(
        (sums, counts), mean, paired=True, n_resamples=RESAMPLES, confidence_level=honest_level(len(sums)),
        method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def check_values(scores: Sequence[Score], of: str = "") -> None:
    """Refuses scores that are no share; `of` says whose they are.

    Raises:
        DataError: A score is NaN, or not between 0 and 1.
    """
    for score in scores:
        if not 0 <= score.value <= 1:  # NaN too
            raise DataError(
                f"{of}the score of question {score.question.id!r} is {score.value}, not a number between 0 and 1. "
                "Delete the result file that it stands in, and run the study again."
            )


def _by_question(scores: Sequence[Score]) -> tuple[dict[str, float], dict[str, str]]:
    """The mean score of each question over its seeds, and what it is about (itself where no asset is named)."""
    values: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        values[score.question.id].append(score.value)
    assets = {score.question.id: score.question.asset or f"question {score.question.id}" for score in scores}
    return {name: float(np.mean(each)) for name, each in values.items()}, assets


def _worth(values: np.ndarray, groups: Sequence[str], seeds: Sequence[float]) -> float:
    """How many independent questions a sample is worth, at most as many as it has."""
    value, n, assets = float(values.mean()), len(values), len(set(groups))
    worth = float(n)
    if assets < n:
        if min(values.sum(), n - values.sum()) < FEW:
            worth = min(n, n / (1 + (n / assets - 1) * TOGETHER))
        else:
            few = (stats.norm.ppf((1 + CONFIDENCE) / 2) / stats.t.ppf((1 + CONFIDENCE) / 2, assets - 1)) ** 2
            variance = _variance_between(values, groups)
            worth = min(n, few * value * (1 - value) / variance) if variance > 1e-12 else n
    if len(seeds) > 1 and 0 < value < 1:
        spread_of_seeds = float(np.var(seeds, ddof=1)) / len(seeds)
        worth = value * (1 - value) / (value * (1 - value) / worth + spread_of_seeds)
    return worth


def _variance_between(values: np.ndarray, groups: Sequence[str]) -> float:
    """The variance of the mean when whole groups are drawn with replacement, corrected for their small number."""
    _, which = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(which, values), np.bincount(which)
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return float(means.var()) * len(counts) / (len(counts) - 1)


def _from_shares(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[float, float]:
    value = second["value"] - first["value"]
    down = math.hypot(second["value"] - second["low"], first["high"] - first["value"])
    up = math.hypot(second["high"] - second["value"], first["value"] - first["low"])
    return max(-1.0, value - down), min(1.0, value + up)


def _p_value(sums: np.ndarray, seed: int) -> float:
    """Two-sided; exact where there are few assets."""
    if not sums.any() or len(sums) == 1:
        return 1.0

    def total(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return (a - b).sum(axis)

    found = stats.permutation_test(
        (sums, np.zeros_like(sums)), total, permutation_type="samples", n_resamples=RESAMPLES,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(found.pvalue)
