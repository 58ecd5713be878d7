"""How sure a number is: 95 % intervals of shares, of paired differences and of ratios, as `value`, `low`, `high`, `n`.

Questions about one machine are right or wrong together, and so are questions in one wording. Both are samples, so both
are clusters (two-way: Cameron, Gelbach & Miller 2011, J. Business & Economic Statistics 29): an interval is about other
machines and wordings; where house words are asked about, about other words in the same wordings. It is not about
another training on the same data, nor about other fields: those asked about (supervisor, capacity, ...) are fixed and
no sample, and each counts alike. Several worlds are strata of equal weight, as are the halves of `twins`.
`tools/benchmarks/interval_coverage.py` shows by simulation that intervals cover what they promise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..data import DataError, Score

RESAMPLES = 2000
FEW = 5  # with fewer right or fewer wrong answers, a sample shows too little of how answers go together
ICC = (0.05, 0.1)  # how strongly answers about one machine, and in one wording, then agree (the benchmark's effects)
UPPER = 0.975  # the upper end of a 95 % interval
Z = float(stats.norm.ppf(UPPER))

Interval = dict[str, float]
Scores = Sequence[Score] | Mapping[int, Sequence[Score]]  # of one world, or by world
Losses = Sequence[tuple[float, int]] | Mapping[int, Sequence[tuple[float, int]]]


class Sample(NamedTuple):
    """Values with the number of the stratum, the machine and the wording that each belongs to; `n` questions."""

    values: np.ndarray
    strata: np.ndarray
    machines: np.ndarray
    wordings: np.ndarray
    n: int


def accuracy(scores: Scores | Sample) -> Interval:
    """Mean score with its 95 % interval; with several worlds, or both halves of `twins`, the mean of their means.

    Wilson's score interval (Wilson 1927), in whose formula stands the number of independent questions that the sample
    is worth by its two-way clustered variance, corrected for few clusters (Korn & Graubard 1998, Survey Methodology 24,
    193-201).

    Raises:
        DataError: There is nothing to average.
    """
    sample = scores if isinstance(scores, Sample) else _sample(_by_question(scores))
    value, variance, df = mean(sample)
    groups = [int(codes.max()) + 1 for codes in (sample.machines, sample.wordings)]
    low, high = wilson(value, _effective_n(sample, value, variance, df, groups))
    if min(groups) == 1 < sample.n and 0 < value < 1:
        low, high = 0.0, 1.0  # one machine, or one wording, says nothing about others
    return {"value": value, "low": low, "high": high, "n": sample.n}


def mean(sample: Sample, weights: np.ndarray | None = None) -> tuple[float, float, int]:
    """The mean over strata of equal weight, its two-way clustered variance, and the degrees of freedom of its t.

    These are those of the dimension with fewer clusters: one less than there are, or one less in each stratum where no
    cluster is in two. Neither dimension has more variance than both (Cameron & Miller 2015, J. Human Resources 50).
    """
    values, strata, *clusters, _ = sample
    weights = np.ones(len(values)) if weights is None else weights
    totals = np.bincount(strata, weights)
    means = np.bincount(strata, weights * values) / totals
    errors = weights * (values - means[strata]) / totals[strata] / len(totals)
    both = np.unique(clusters[0] * len(values) + clusters[1], return_inverse=True)[1]
    variances, free = zip(*(_one_way(errors, strata, codes) for codes in (*clusters, both)), strict=True)
    return float(means.mean()), max(variances[0] + variances[1] - variances[2], *variances), min(free[:2])


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share (0..1) that rests on `n` independent questions; `n` need not be whole."""
    middle = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(value * (1 - value) / n + Z * Z / (4 * n * n))
    return (0.0 if value == 0 else max(0.0, middle - half)), (1.0 if value == 1 else min(1.0, middle + half))


def difference(first: Scores | Sample, second: Scores | Sample) -> Interval:
    """How much higher the second arm scores than the first, on the same questions; `df` and `p` are those of its t.

    Where fewer than `FEW` questions differ from the rest, their variance is not known, and the intervals of the shares
    gained and lost are combined instead.

    Raises:
        DataError: The arms were asked other questions, or none.
    """
    if not isinstance(first, Sample):
        shared = _worlds(first).keys() & _worlds(second).keys()
        one, other = (_by_question({world: _worlds(arm)[world] for world in shared}) for arm in (first, second))
        if not one or one.keys() != other.keys():
            raise DataError("a difference needs two arms that were asked the same questions: run the study again")
        first, second = _sample(one), _sample({question: other[question] for question in one})
    changed = first._replace(values=second.values - first.values)
    value, variance, df = mean(changed)
    usual = np.unique(np.round(changed.values, 9), return_counts=True)[1].max()
    if len(changed.values) - usual < FEW or not df:
        gains, losses = (accuracy(changed._replace(values=np.maximum(way * changed.values, 0))) for way in (1, -1))
        found = unpaired(losses, gains) | {"df": math.inf}
    else:
        half = float(stats.t.ppf(UPPER, df)) * math.sqrt(variance)
        found = {"low": value - half, "high": value + half, "df": df}
    low, high = max(-1.0, min(found["low"], value)), min(1.0, max(found["high"], value))
    found |= {"value": value, "low": low, "high": high, "n": first.n}
    return found | {"p": p_value(found)}


def unpaired(first: Interval, second: Interval) -> Interval:
    """How much higher the second value is, where the two share no questions (Zou & Donner 2008, Stat. Med. 27)."""
    value = second["value"] - first["value"]
    down = math.hypot(second["value"] - second["low"], first["high"] - first["value"])
    up = math.hypot(second["high"] - second["value"], first["value"] - first["low"])
    return {"value": value, "low": value - down, "high": value + up, "n": min(first.get("n", 0), second.get("n", 0))}


def p_value(found: Interval, threshold: float = 0.0) -> float:
    """The two-sided p-value of a threshold: 0.05 where the interval ends there. Without `df` it is the normal's."""
    distance, df = found["value"] - threshold, found.get("df", math.inf)
    reach = found["value"] - found["low"] if distance > 0 else found["high"] - found["value"]
    errors = abs(distance) / reach if reach else math.inf if distance else 0.0
    return float(2 * stats.t.sf(stats.t.ppf(UPPER, df) * errors, df))


def detectable(found: Interval) -> float:
    """The smallest difference that this many questions show with a power of 0.8 (Bloom 1995, Evaluation Review 19)."""
    df = found.get("df", math.inf)
    return float((found["high"] - found["low"]) / 2 * (1 + stats.t.ppf(0.8, df) / stats.t.ppf(UPPER, df)))


def ratio(first: Sequence[float], second: Sequence[float]) -> Interval:
    """How many times the first median of seconds is the second; one timing has no interval, so 0 to infinity.

    The bootstrap's percentiles, at the level that makes them honest for few timings (Hesterberg 2015, The American
    Statistician 69, section 3.4).

    Raises:
        DataError: One of the two was not timed.
    """
    if not first or not second:
        raise DataError("a ratio of times needs timings of both arms: run the study with this profile again")
    value, n, low, high = float(np.median(first) / np.median(second)), min(len(first), len(second)), 0.0, math.inf
    if n > 1:
        level = 1 - 2 * stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(UPPER, n - 1))
        low, high = stats.bootstrap(
            (first, second), lambda one, other, axis: np.median(one, axis) / np.median(other, axis),
            n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0),
            confidence_level=min(float(level), 1 - 1e-9),  # two timings would ask for 1
        ).confidence_interval  # fmt: skip
    return {"value": value, "low": float(low), "high": float(high), "n": n}


def perplexity_ratio(first: Losses, second: Losses) -> Interval:
    """How many times the first perplexity is the second, on the same texts; one text has no interval.

    The logarithm of the ratio is the difference of the mean losses per token. Texts are the clusters of its t interval;
    for each text both arms have its loss, summed over its tokens, beside their number.

    Raises:
        DataError: The arms read other texts, or none.
    """
    ours, theirs = _worlds(first), _worlds(second)
    both = {world: (ours[world], theirs[world]) for world in ours if world in theirs}
    same = all([count for _, count in one] == [count for _, count in other] for one, other in both.values())
    rows = [(world, text, (loss - base) / count, count) for world, losses in both.items()
            for text, ((loss, count), (base, _)) in enumerate(zip(*losses, strict=False)) if count]  # fmt: skip
    if not rows or not same:
        raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
    worlds, texts, changes, counts = map(np.array, zip(*rows, strict=True))
    strata, texts = (np.unique(each, return_inverse=True)[1] for each in (worlds, texts))
    value, variance, df = mean(Sample(changes, strata, texts, texts, int(texts.max()) + 1), counts)
    half = float(stats.t.ppf(UPPER, df)) * math.sqrt(variance) if df else math.inf
    ends = {"value": value, "low": value - half, "high": value + half}
    return {name: math.exp(end) for name, end in ends.items()} | {"n": int(texts.max()) + 1, "df": df}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values for the number of comparisons, in their order."""
    p, order = np.array(p_values), np.argsort(p_values)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)].tolist()


def _worlds(measured: Sequence | Mapping[int, Sequence]) -> Mapping[int, Sequence]:
    return measured if isinstance(measured, Mapping) else {0: measured}


def _by_question(scores: Scores) -> dict[tuple[int, str, str], Score]:
    return {
        (w, each.question.id, each.question.prompt): each for w, listed in _worlds(scores).items() for each in listed
    }


def _sample(scores: Mapping[tuple[int, str, str], Score]) -> Sample:
    """Where no machine or no wording is named, the question is its own cluster, in all worlds that ask it.

    The few wordings of the questions about house words are fixed, not a sample.
    """
    if not scores:
        raise DataError("there are no scored answers to average")
    rows = []
    for (world, name, prompt), score in scores.items():
        asked, own = score.question, f"{name} {prompt}"
        half = asked.part if asked.set == "twins" else ""
        machine = f"{world} {asked.asset}" if asked.asset else own
        wording = own if asked.set.startswith("terms") else asked.wording or own
        rows.append((f"{world} {half}", machine, wording, own))
    *codes, questions = (np.unique(column, return_inverse=True)[1] for column in zip(*rows, strict=True))
    return Sample(np.array([score.value for score in scores.values()], float), *codes, int(questions.max()) + 1)


def _one_way(errors: np.ndarray, strata: np.ndarray, codes: np.ndarray) -> tuple[float, int]:
    """The variance of a sum of errors of which those in one cluster go together, and its degrees of freedom."""
    groups, apart = int(codes.max()) + 1, len(np.unique(strata * len(codes) + codes))
    free = groups - (int(strata.max()) + 1 if apart == groups else 1)
    return float((np.bincount(codes, errors) ** 2).sum()) * groups / max(free, 1), free


def _effective_n(sample: Sample, value: float, variance: float, df: int, groups: Sequence[int]) -> float:
    """How many independent questions a sample is worth, at most as many as it has."""
    n, right = sample.n, float(sample.values.sum())
    if min(groups) == len(sample.values) and not sample.strata.any():
        return n
    if min(right, len(sample.values) - right) < FEW or not df:
        return n / (1 + sum(max(0, n / clusters - 1) * icc for clusters, icc in zip(groups, ICC, strict=True)))
    few = (Z / stats.t.ppf(UPPER, df)) ** 2
    return min(n, few * value * (1 - value) / variance) if variance > 1e-12 else n
