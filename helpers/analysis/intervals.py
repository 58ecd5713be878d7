"""How sure a number is: 95 % intervals of shares, of paired differences and of ratios, as `value`, `low`, `high`, `n`.

Questions about one machine are right or wrong together, and so are questions in one wording. Both are samples, so both
are clusters (two-way: Cameron, Gelbach & Miller 2011, J. Business & Economic Statistics 29). An interval speaks of other
machines and other wordings of the same kinds of question. The fields (supervisor, capacity, ...) are fixed and no sample:
it says nothing about fields that were not asked, and nothing about another training on the same data. Several worlds are
strata of equal weight, and so are the halves of `twins`. `tests/test_intervals.py` checks by simulation that intervals
cover what they promise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..data import DataError, Score

RESAMPLES = 2000
FEW = 5  # with fewer right or fewer wrong answers, a sample shows too little of how answers go together
ICC = (0.15, 0.3)  # how strongly answers about one machine, and in one wording, are then assumed to agree
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


def accuracy(scores: Scores) -> Interval:
    """Mean score with its 95 % interval; with several worlds, or both halves of `twins`, the mean of their means.

    Wilson's score interval (Wilson 1927), in whose formula stands the number of independent questions that the sample
    is worth by its two-way clustered variance, corrected for few clusters (Korn & Graubard 1998, Survey Methodology 24,
    193-201).

    Raises:
        DataError: There is nothing to average.
    """
    return share(_sample(_table(scores)))


def share(sample: Sample) -> Interval:
    """See `accuracy`."""
    value, variance, df = mean(sample)
    n, groups = sample.n, [int(codes.max()) + 1 for codes in (sample.machines, sample.wordings)]
    low, high = wilson(value, _effective_n(sample, value, variance, df, groups))
    if min(groups) == 1 < n and 0 < value < 1:
        low, high = 0.0, 1.0  # one machine, or one wording, says nothing about others
    return {"value": value, "low": low, "high": high, "n": n}


def mean(sample: Sample) -> tuple[float, float, int]:
    """The mean over strata of equal weight, its two-way clustered variance, and the degrees of freedom of its t.

    These are those of the dimension with fewer clusters: one less than there are, one less in each stratum if no cluster
    is in two.
    No dimension alone may have more variance than both (Cameron & Miller 2015, J. Human Resources 50, section V).
    """
    values, strata, *clusters, _ = sample
    counts = np.bincount(strata)
    means = np.bincount(strata, values) / counts
    errors = (values - means[strata]) / counts[strata] / len(counts)
    both = np.unique(clusters[0] * len(values) + clusters[1], return_inverse=True)[1]
    variances, free = zip(*(_one_way(errors, strata, codes) for codes in (*clusters, both)), strict=True)
    return float(means.mean()), max(variances[0] + variances[1] - variances[2], *variances), min(free[:2])


def wilson(value: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share (0..1) that rests on `n` independent questions; `n` need not be whole."""
    middle = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(value * (1 - value) / n + Z * Z / (4 * n * n))
    return (0.0 if value == 0 else max(0.0, middle - half)), (1.0 if value == 1 else min(1.0, middle + half))


def difference(first: Scores, second: Scores) -> Interval:
    """How much higher the second arm scores than the first, on the same questions; `df` and `p` are those of its t.

    Where fewer than `FEW` questions differ from the rest, their variance is not known, and the two arms' own intervals
    are combined instead (`unpaired`).

    Raises:
        DataError: The arms were asked other questions, or none.
    """
    one, other = _table(first), _table(second)
    worlds = set(one.index.get_level_values(0)) & set(other.index.get_level_values(0))
    one, other = (each[each.index.get_level_values(0).isin(worlds)] for each in (one, other))
    if not len(one) or set(one.index) != set(other.index):
        raise DataError("a difference needs two arms that were asked the same questions: run the study again")
    return paired(_sample(one), _sample(other.loc[one.index]))


def paired(first: Sample, second: Sample) -> Interval:
    """See `difference`; value i of both belongs to the same question."""
    changed = first._replace(values=second.values - first.values)
    value, variance, df = mean(changed)
    usual = np.unique(np.round(changed.values, 9), return_counts=True)[1].max()
    if len(changed.values) - usual < FEW or not df:
        found = unpaired(share(first), share(second)) | {"df": math.inf}
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
    """The two-sided p-value of a threshold: 0.05 where the interval ends at it. `df` are those of t, else the normal."""
    distance, df = found["value"] - threshold, found.get("df", math.inf)
    reach = found["value"] - found["low"] if distance > 0 else found["high"] - found["value"]
    if not reach or math.isinf(reach):
        return float(not distance or math.isinf(reach))
    return float(2 * stats.t.sf(stats.t.ppf(UPPER, df) * abs(distance) / reach, df))


def detectable(found: Interval) -> float:
    """The smallest difference that this many questions show with a power of 0.8 (Bloom 1995, Evaluation Review 19)."""
    df = found.get("df", math.inf)
    error = (found["high"] - found["low"]) / 2 / stats.t.ppf(UPPER, df)
    return float(error * (stats.t.ppf(UPPER, df) + stats.t.ppf(0.8, df)))


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
    texts = []
    for world, losses in _worlds(first).items():
        others = _worlds(second).get(world, ())
        if [count for _, count in losses] != [count for _, count in others]:
            raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
        texts += [(world, i, a - b, n) for i, ((a, n), (b, _)) in enumerate(zip(losses, others, strict=True)) if n]
    if not texts:
        raise DataError("a ratio of perplexities needs two arms that read the same texts: run the study again")
    table = pd.DataFrame(texts, columns=["world", "text", "loss", "tokens"])
    total = table.groupby("world")[["loss", "tokens"]].transform("sum")
    number = table["world"].nunique()
    errors = (table["loss"] - total["loss"] / total["tokens"] * table["tokens"]) / total["tokens"] / number
    logarithm = float((table["loss"] / total["tokens"]).sum() / number)
    variance, df = _one_way(errors.to_numpy(), np.zeros(len(table), int), pd.factorize(table["text"])[0])
    half = float(stats.t.ppf(UPPER, df)) * math.sqrt(variance) if df else math.inf
    ends = {"value": logarithm, "low": logarithm - half, "high": logarithm + half}
    return {name: math.exp(end) for name, end in ends.items()} | {"n": df + 1, "df": df}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values for the number of comparisons, in their order."""
    p, order = np.array(p_values), np.argsort(p_values)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)].tolist()


def _worlds(measured: Sequence | Mapping[int, Sequence]) -> Mapping[int, Sequence]:
    return measured if isinstance(measured, Mapping) else {0: measured}


def _table(scores: Scores) -> pd.DataFrame:
    """A row a question, by world and question: its value, its half of `twins`, machine and wording.

    Where no machine or no wording is named, the question is its own cluster, in all worlds that ask it.
    """
    rows = [
        (world, each.question.id, each.question.prompt, each.question.part if each.question.set == "twins" else "",
         each.question.asset and f"{world} {each.question.asset}", each.question.wording, each.value)
        for world, listed in _worlds(scores).items() for each in listed
    ]  # fmt: skip
    names = ["world", "id", "prompt", "half", "machine", "wording", "value"]
    table = pd.DataFrame(rows, columns=names).set_index(names[:3])
    own = pd.Series([f"{i} {prompt}" for _, i, prompt in table.index], index=table.index, dtype=object)
    return table.assign(own=own, **{name: table[name].where(table[name] != "", own) for name in names[4:6]})


def _sample(table: pd.DataFrame) -> Sample:
    if table.empty:
        raise DataError("there are no scored answers to average")
    strata = table.groupby([table.index.get_level_values(0), "half"]).ngroup()
    codes = (strata, *(pd.factorize(table[name])[0] for name in ("machine", "wording")))
    return Sample(table["value"].to_numpy(float), *map(np.asarray, codes), table["own"].nunique())


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
