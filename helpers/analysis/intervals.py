"""How sure a number is: 95 % intervals of shares, of paired differences and of ratios, as `value`, `low`, `high`, `n`.

Questions about one asset are right or wrong together, so whole assets are resampled. `tests/test_intervals.py` checks
by simulation that the intervals cover what they promise.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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

    Wilson's score interval (Wilson 1927), in which a question counts once for all seeds. Where several questions are
    about one asset, whole assets are resampled (Efron & Tibshirani 1993, chapter 13) to see how many independent
    questions the sample is worth, and that number, corrected for few assets, goes into Wilson's formula (Korn &
    Graubard 1998, Survey Methodology 24, 193-201). The spread between seeds, where there are several, lowers it.

    Returns:
        `value`, `low`, `high`, `n` (the number of scored answers).

    Raises:
        DataError: There is nothing to average, or a score is not a number between 0 and 1.
    """
    if not scores:
        raise DataError("there are no scored answers to average")
    values, assets = _by_question(scores)
    value = float(np.mean(list(values.values())))
    sums, counts = _by_asset(values, assets)
    if len(sums) == 1 and len(values) > 1 and 0 < value < 1:
        low, high = 0.0, 1.0  # one asset says nothing about others
    else:
        low, high = wilson(value, _effective_n(value, sums, counts, seed_values(scores)))
    return {"value": value, "low": low, "high": high, "n": len(scores)}


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share (0..1) that rests on `n` independent questions.

    `n` need not be whole, which scipy's `binomtest(...).proportion_ci` asks for: it is an effective sample size.
    """
    middle = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(value * (1 - value) / n + Z * Z / (4 * n * n))
    return (0.0 if value == 0 else max(0.0, middle - half)), (1.0 if value == 1 else min(1.0, middle + half))


def difference(first: Sequence[Score], second: Sequence[Score], seed: int = 0) -> Interval:
    """How much higher the second arm scores than the first, on the same questions.

    The interval resamples whole assets. Where fewer than `FEW` assets differ from the rest, resampling sees too
    little, and the two arms' own intervals are combined instead (`unpaired`). `p` swaps the arms asset by asset
    (scipy's permutation test). Several seeds are averaged question by question; their spread, which another training
    would meet again, widens the interval, and `p` is at least that of a t-test on the seeds' means.

    Returns:
        `value`, `low`, `high`, `n` (the number of questions), `p` (two-sided).

    Raises:
        DataError: The arms were not asked the same questions, or a score is not a number between 0 and 1.
    """
    (one, assets), (other, _) = _by_question(first), _by_question(second)
    if not one or set(one) != set(other):
        raise DataError("a difference needs two arms that were asked the same questions: run the study again")
    sums, counts = _by_asset({name: other[name] - one[name] for name in one}, assets)
    value = float(sums.sum() / counts.sum())
    reach, p_of_seeds = _chance_of_seeds(value, seed_values(first), seed_values(second))
    typical = Counter(np.round(sums / counts, 9)).most_common(1)[0][1]
    if len(sums) - typical < FEW:
        found = unpaired(accuracy(first), accuracy(second))
        low, high = found["low"], found["high"]
    else:
        low, high = _ends(resample(_mean, sums, counts, seed=seed))
        low, high = value - math.hypot(value - low, reach), value + math.hypot(high - value, reach)
    low, high = max(-1.0, min(low, value)), min(1.0, max(high, value))
    return {"value": value, "low": low, "high": high, "n": len(one), "p": max(_permutation_p(sums, seed), p_of_seeds)}


def unpaired(first: Interval, second: Interval) -> Interval:
    """How much higher the second value is, where the two share no questions (Zou & Donner 2008, Stat. Med. 27)."""
    value = second["value"] - first["value"]
    down = math.hypot(second["value"] - second["low"], first["high"] - first["value"])
    up = math.hypot(second["high"] - second["value"], first["value"] - first["low"])
    return {"value": value, "low": value - down, "high": value + up, "n": min(first.get("n", 0), second.get("n", 0))}


def ratio(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """How many times the first median of seconds is the second; one timing has no interval, so 0 to infinity.

    Raises:
        DataError: One of them was not timed.
    """
    if not first or not second:
        raise DataError("a ratio of times needs timings of both arms: run the study with this profile again")
    value, n, low, high = float(np.median(first) / np.median(second)), min(len(first), len(second)), 0.0, math.inf
    if n > 1:
        found = resample(
            lambda a, b, axis: np.median(a, axis) / np.median(b, axis), first, second, paired=False, seed=seed
        )
        low, high = _ends(found)
    return {"value": value, "low": low, "high": high, "n": n}


def perplexity_ratio(
    first: Sequence[tuple[float, int]], second: Sequence[tuple[float, int]], seed: int = 0
) -> Interval:
    """How many times the first perplexity is the second, on the same texts; one text has no interval.

    The logarithm of the ratio is the difference of the mean losses per token. Whole texts are resampled, both arms'
    losses of a text together.

    Args:
        first: For each text its loss summed over its predicted tokens, and how many these are.
        second: The same of the other arm.
        seed: Seeds the resampling.

    Raises:
        DataError: There is no text, or the arms did not read the same ones.
    """
    pairs = [(one - other, count) for (one, count), (other, _) in zip(first, second, strict=False) if count]
    if not pairs or [count for _, count in first] != [count for _, count in second]:
        raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
    sums, counts = (np.array(column) for column in zip(*pairs, strict=True))
    value, low, high = math.exp(sums.sum() / counts.sum()), 0.0, math.inf
    if len(pairs) > 1 and np.ptp(sums / counts) < 1e-12:  # every text moved alike, as between an arm and itself
        low = high = value
    elif len(pairs) > 1:
        low, high = (math.exp(end) for end in _ends(resample(_mean, sums, counts, seed=seed)))
    return {"value": value, "low": min(low, value), "high": max(high, value), "n": len(pairs)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values for the number of comparisons, in their order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def resample(statistic: Callable[..., Any], *samples: Sequence[float], paired: bool = True, seed: int = 0) -> Any:
    """scipy's bootstrap of a statistic, at the level that makes a percentile interval honest for few draws.

    Hesterberg 2015, The American Statistician 69, section 3.4: it then covers as often as Student's t interval.
    """
    n = min(map(len, samples))
    level = 1 - 2 * stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(UPPER, n - 1))
    return stats.bootstrap(
        samples, statistic, paired=paired, n_resamples=RESAMPLES, method="percentile",
        confidence_level=min(float(level), 1 - 1e-9), rng=np.random.default_rng(seed),  # two draws would ask for 1
    )  # fmt: skip


def seed_values(scores: Sequence[Score]) -> list[float]:
    """The mean score of each seed, where scores of several seeds follow one another; one value where there is one."""
    seen: Counter[str] = Counter()
    rounds: dict[int, list[float]] = defaultdict(list)
    for score in scores:
        rounds[seen[score.question.id]].append(score.value)
        seen[score.question.id] += 1
    return [float(np.mean(values)) for values in rounds.values()]


def _by_question(scores: Sequence[Score]) -> tuple[dict[str, float], dict[str, str]]:
    """The mean score of each question over its seeds, and what it is about (itself where no asset is named)."""
    values: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if not 0 <= score.value <= 1:  # NaN too
            raise DataError(
                f"the score of question {score.question.id!r} is {score.value}, not a number between 0 and 1. "
                "Delete the result file that holds it, and run the study again."
            )
        values[score.question.id].append(score.value)
    assets = {score.question.id: score.question.asset or f"question {score.question.id}" for score in scores}
    return {name: float(np.mean(each)) for name, each in values.items()}, assets


def _by_asset(values: dict[str, float], assets: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The sum over each asset's questions, and how many they are."""
    _, which = np.unique([assets[name] for name in values], return_inverse=True)
    return np.bincount(which, list(values.values())), np.bincount(which)


def _mean(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis) / counts.sum(axis)


def _ends(found: Any) -> tuple[float, float]:
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _effective_n(value: float, sums: np.ndarray, counts: np.ndarray, seeds: Sequence[float]) -> float:
    """How many independent questions a sample is worth, at most as many as it has."""
    n, assets = int(counts.sum()), len(sums)
    worth, binomial = float(n), value * (1 - value)
    if assets < n and min(sums.sum(), n - sums.sum()) < FEW:
        worth = min(n, n / (1 + (n / assets - 1) * ICC))
    elif assets < n:
        variance = float(resample(_mean, sums, counts).bootstrap_distribution.var()) * assets / (assets - 1)
        few = (Z / stats.t.ppf(UPPER, assets - 1)) ** 2
        worth = min(n, few * binomial / variance) if variance > 1e-12 else n
    if len(seeds) > 1 and binomial:
        worth = binomial / (binomial / worth + float(np.var(seeds, ddof=1)) / len(seeds))
    return worth


def _chance_of_seeds(value: float, *seeds: Sequence[float]) -> tuple[float, float]:
    """Half the interval that a difference has from the seeds alone, and its p-value; 0, 0 with one seed each."""
    several = [each for each in seeds if len(each) > 1]
    error = math.sqrt(sum(float(np.var(each, ddof=1)) / len(each) for each in several))
    free = sum(len(each) - 1 for each in several)
    if error < 1e-12:
        return 0.0, 0.0
    return error * float(stats.t.ppf(UPPER, free)), float(2 * stats.t.sf(abs(value) / error, free))


def _permutation_p(sums: np.ndarray, seed: int) -> float:
    """Two-sided; exact where there are few assets."""
    if not sums.any() or len(sums) == 1:
        return 1.0
    found = stats.permutation_test(
        (sums, np.zeros_like(sums)), lambda a, b, axis: (a - b).sum(axis), permutation_type="samples",
        n_resamples=RESAMPLES, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(found.pvalue)
