"""How many times one arm is another: ratios of times and of perplexities, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from ..data import DataError
from .intervals import RESAMPLES, honest_level, resampled_mean


def ratio(first: Sequence[float], second: Sequence[float], seed: int = 0) -> dict[str, float]:
    """How many times the first median of seconds is the second, with a 95 % interval from scipy's bootstrap.

    Returns:
        `value`, `low`, `high`, `n` (the smaller number of timings).

    Raises:
        DataError: One of them was not timed.
    """
    if not first or not second:
        raise DataError("a ratio of times needs timings of both arms: run the study with this profile again")
    value, n = float(np.median(first) / np.median(second)), min(len(first), len(second))
    if n == 1:
        return {"value": value, "low": 0.0, "high": math.inf, "n": n}

    def of_medians(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.median(a, axis=axis) / np.median(b, axis=axis)

    found = stats.bootstrap(
        (first, second), of_medians, n_resamples=RESAMPLES, confidence_level=honest_level(n), method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return {"value": value, "low": float(found.low), "high": float(found.high), "n": n}


def perplexity_ratio(
    first: Sequence[tuple[float, int]], second: Sequence[tuple[float, int]], seed: int = 0
) -> dict[str, float]:
    """How many times the second perplexity the first is, on the same texts, with a 95 % interval.

    The logarithm of the ratio is the difference of the mean losses per token. Whole texts are resampled (scipy's
    bootstrap), both arms' losses of a text together, at the level that is honest for few texts.

    Args:
        first: Of each text its loss summed over its predicted tokens, and how many these are.
        second: The same of the other arm.
        seed: Seeds the resampling.

    Returns:
        `value`, `low`, `high`, `n` (the number of texts).

    Raises:
        DataError: There is no text, or the arms did not read the same ones.
    """
    told = [(one - other, count) for (one, count), (other, _) in zip(first, second, strict=False) if count]
    if not told or [count for _, count in first] != [count for _, count in second]:
        raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
    sums, counts = np.array([loss for loss, _ in told]), np.array([count for _, count in told])
    value = math.exp(sums.sum() / counts.sum())
    if len(told) == 1:
        return {"value": value, "low": 0.0, "high": math.inf, "n": 1}
    if np.ptp(sums / counts) < 1e-12:  # every text moved alike, as between an arm and itself
        return {"value": value, "low": value, "high": value, "n": len(told)}
    low, high = (math.exp(end) for end in resampled_mean(sums, counts, seed))
    return {"value": value, "low": min(low, value), "high": max(high, value), "n": len(told)}
