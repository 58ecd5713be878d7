"""How sure a number is: 95 % intervals of shares, of paired differences and of ratios, as `value`, `low`, `high`, `n`.

Questions about one machine are right or wrong together, and so are those in one wording: both are samples, so both are
clusters (two-way: Cameron, Gelbach & Miller 2011, J. Business & Economic Statistics 29). An interval is about other
machines and wordings; of house words about other words in the same wordings; never about another training or other
fields: those asked about are fixed, and each counts alike. Several worlds are strata of equal weight, as are the halves
of `twins`. `tools/benchmarks/interval_coverage.py` shows by simulation that intervals cover what they promise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
Losses = Mapping[int, Sequence[tuple[float, int]]]  # of each text, summed over its tokens, and their number


class Sample(NamedTuple):
    """Values with the number of the stratum, machine and wording of each; `n` questions."""

    values: np.ndarray
    strata: np.ndarray
    machines: np.ndarray
    wordings: np.ndarray
    n: int


def accuracy(scores: Scores | Sample) -> Interval:
    """Mean score with its 95 % interval; with several worlds, or both halves of `twins`, the mean of their means.

    Wilson's score interval (Wilson 1927), in whose formula stands the number of independent questions that the sample
    is worth by its two-way clustered variance, corrected for few clusters (Korn & Graubard 1998, Survey Methodology 24,
    193-201). A `DataError` says that there is nothing to average.
    """
    sample = scores if isinstance(scores, Sample) else _sample(_by_question(scores))
    value, variance, df = mean(sample)
    groups = [int(codes.max()) + 1 for codes in (sample.machines, sample.wordings)]
    n = _effective_n(sample, value, variance, df, groups)
    middle = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(value * (1 - value) / n + Z * Z / (4 * n * n))
    low, high = max(0.0, middle - half) if value else 0.0, min(1.0, middle + half) if value < 1 else 1.0
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


def difference(first: Scores | Sample, second: Scores | Sample) -> Interval:
    """How much higher the second arm scores than the first, on the same questions; `df` and `p` are those of its t.

    Where fewer than `FEW` questions differ from the rest, their variance is not known, and the intervals of the shares
    gained and lost are combined (Zou & Donner 2008, Statistics in Medicine 27). A `DataError` says that the arms were
    asked other questions, or none.
    """
    changed = _changed(first, second)
    value, variance, df = mean(changed)
    usual = np.unique(np.round(changed.values, 9), return_counts=True)[1].max()
    if len(changed.values) - usual < FEW or not df:
        gains, losses = (accuracy(changed._replace(values=np.maximum(way * changed.values, 0))) for way in (1, -1))
        df = math.inf
        down = math.hypot(gains["value"] - gains["low"], losses["high"] - losses["value"])
        up = math.hypot(gains["high"] - gains["value"], losses["value"] - losses["low"])
    else:
        down = up = float(stats.t.ppf(UPPER, df)) * math.sqrt(variance)
    found = {"value": value, "low": max(-1.0, value - down), "high": min(1.0, value + up), "n": changed.n, "df": df}
    return found | {"p": p_value(found)}


def resampled(first: Scores, second: Scores) -> np.ndarray:
    """How much higher the second arm scores, in each of `RESAMPLES` resamples of machines and, apart, of wordings.

    Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1, 386-411.
    """
    changed, generator = _changed(first, second), np.random.default_rng(0)
    times = np.ones((RESAMPLES, len(changed.values)))
    coarse = [codes for codes in (changed.machines, changed.wordings) if codes.max() + 1 < changed.n]
    for codes in coarse or [changed.machines]:
        count = int(codes.max()) + 1
        times *= generator.multinomial(count, [1 / count] * count, RESAMPLES)[:, codes]
    strata = np.eye(int(changed.strata.max()) + 1)[changed.strata]
    return (times * changed.values @ strata / np.maximum(times @ strata, 1)).mean(axis=1)


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
    Statistician 69, section 3.4). A `DataError` says that one of the two was not timed.
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

    The logarithm of the ratio is the difference of the mean losses per token. Texts are the clusters of its t interval.
    A `DataError` says that the arms read other texts, or none.
    """
    pairs = {world: (first[world], second[world]) for world in first.keys() & second.keys()}
    same = all([count for _, count in one] == [count for _, count in other] for one, other in pairs.values())
    rows = [(world, text, (loss - base) / count, count) for world, losses in pairs.items()
            for text, ((loss, count), (base, _)) in enumerate(zip(*losses, strict=False)) if count]  # fmt: skip
    if not rows or not same:
        raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
    *names, changes, counts = map(np.array, zip(*rows, strict=True))
    strata, texts = (np.unique(each, return_inverse=True)[1] for each in names)
    value, variance, df = mean(Sample(changes, strata, texts, texts, int(texts.max()) + 1), counts)
    half = float(stats.t.ppf(UPPER, df)) * math.sqrt(variance) if df else math.inf
    ends = {"value": value, "low": value - half, "high": value + half}
    return {name: math.exp(end) for name, end in ends.items()} | {"n": int(texts.max()) + 1, "df": df}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values for the number of comparisons, in their order."""
    p, order = np.array(p_values), np.argsort(p_values)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)].tolist()


def _by_question(scores: Scores) -> dict[tuple[int, str, str], Score]:
    worlds = scores if isinstance(scores, Mapping) else {0: scores}
    return {(world, each.question.id, each.question.prompt): each for world in worlds for each in worlds[world]}


def _changed(first: Scores | Sample, second: Scores | Sample) -> Sample:
    """The second arm's scores minus the first's, question by question, in the worlds that both were asked in."""
    if isinstance(first, Sample):
        return first._replace(values=second.values - first.values)
    one, other = _by_question(first), _by_question(second)
    shared = {world for world, *_ in one} & {world for world, *_ in other}
    before, after = ({key: score for key, score in arm.items() if key[0] in shared} for arm in (one, other))
    if not before or before.keys() != after.keys():
        raise DataError("a difference needs two arms that were asked the same questions: run the study again")
    return _sample({key: replace(after[key], value=after[key].value - score.value) for key, score in before.items()})


def _sample(scores: Mapping[tuple[int, str, str], Score]) -> Sample:
    """Where no machine or wording is named, the question is its own cluster; wordings about house words are fixed."""
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
