"""Intervals cover what they promise, by simulation; paired differences find what is there and no more."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_compare import scores, wilson

from helpers.analysis import intervals
from helpers.data.records import DataError

CLUSTERS = {"facts_heldout": (10, 8), "two_hop": (24, 2), "general": (100, 1)}  # assets and questions an asset


def draw(generator: np.random.Generator, assets: int, each: int, shares: np.ndarray | float):
    """Right-or-wrong answers to `each` questions about every asset, right with the asset's own share."""
    values = generator.random((assets, each)) < np.reshape(np.broadcast_to(shares, assets), (assets, 1))
    names = [f"asset{i // each}" if each > 1 else "" for i in range(assets * each)]
    return scores(values.astype(float).ravel().tolist(), names)


def asset_shares(generator: np.random.Generator, share: float, assets: int, together: float) -> np.ndarray:
    """One share an asset around a common one (beta distributed); `together` is the intraclass correlation."""
    strength = (1 - together) / together
    return generator.beta(share * strength, (1 - share) * strength, assets)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("question_set", CLUSTERS)
def test_intervals_cover_the_truth_in_nine_draws_of_ten(monkeypatch, question_set, share):
    monkeypatch.setattr(intervals, "RESAMPLES", 300)  # the width hardly depends on it, the time does
    assets, each = CLUSTERS[question_set]
    generator = np.random.default_rng(5)
    covered, draws = 0, 1000
    for _ in range(draws):
        shares = asset_shares(generator, share, assets, 0.2) if each > 1 else share
        found = intervals.accuracy(draw(generator, assets, each, shares))
        covered += found["low"] <= share <= found["high"]
    assert covered / draws >= 0.9


def test_intervals_of_clusters_are_not_as_narrow_as_if_questions_were_independent(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 300)
    generator = np.random.default_rng(5)
    naive = 0
    for _ in range(300):
        found = intervals.accuracy(draw(generator, 10, 8, asset_shares(generator, 0.5, 10, 0.3)))
        low, high = wilson(round(found["value"] * 80), 80)
        naive += low <= 0.5 <= high
    assert naive / 300 < 0.85, "the clusters of this simulation would not need more than Wilson's formula"


@pytest.mark.parametrize(("first", "second"), [(0.02, 0.02), (0.02, 0.3), (0.5, 0.5), (0.3, 0.8), (0.9, 0.98)])
def test_differences_cover_the_truth_and_seldom_cry_wolf(monkeypatch, first, second):
    monkeypatch.setattr(intervals, "RESAMPLES", 300)
    generator = np.random.default_rng(3)
    covered, rejected, draws = 0, 0, 200
    for _ in range(draws):
        one, other = (draw(generator, 10, 8, asset_shares(generator, s, 10, 0.2)) for s in (first, second))
        found = intervals.difference(one, other)
        covered += found.low <= second - first <= found.high
        rejected += found.p < 0.05
    assert covered / draws >= 0.9
    if first == second:
        assert rejected / draws <= 0.08
    if second - first >= 0.5:
        assert rejected / draws >= 0.9


def test_a_difference_is_taken_question_by_question():
    one = scores([1, 0] * 20, [f"asset{i // 4}" for i in range(40)])
    other = scores([1, 1] * 20, [f"asset{i // 4}" for i in range(40)])
    found = intervals.difference(one, other)
    assert found.value == 0.5 and found.n == 40 and found.assets == 10 and found.low > 0 and found.p < 0.01
    back = intervals.difference(other, one)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert intervals.difference(one, list(reversed(one))).value == 0, "the order of the answers does not matter"


@pytest.mark.parametrize("values", [[0.0] * 24, [1.0] * 24, [1.0, 0.0] * 12])
def test_arms_that_answer_alike_are_not_certainly_alike(values):
    found = intervals.difference(scores(values), scores(values))
    assert found.value == 0 and found.p == 1 and found.low < -0.05 and found.high > 0.05


def test_differences_need_the_same_questions_and_numbers():
    with pytest.raises(DataError, match="same questions"):
        intervals.difference(scores([1, 0]), scores([1, 0, 1]))
    with pytest.raises(DataError, match="same questions"):
        intervals.difference([], [])
    with pytest.raises(DataError, match="'q1' is nan"):
        intervals.difference(scores([1, 0]), scores([1, math.nan]))
    with pytest.raises(DataError, match="'q0' is 1.5"):
        intervals.accuracy(scores([1.5]))


def test_seeds_that_disagree_widen_the_interval_and_a_single_question_is_allowed():
    assets = [f"asset{i // 4}" for i in range(40)]
    low, high = ([float(i % 4 < right) for i in range(40)] for right in (1, 3))
    middle = [float(i % 4 < 2) for i in range(40)]
    steady = intervals.accuracy(scores(middle, assets) * 3)
    unsteady = intervals.accuracy(scores(low, assets) + scores(middle, assets) + scores(high, assets))
    assert steady["value"] == pytest.approx(0.5) == unsteady["value"] and steady["n"] == 120
    assert unsteady["high"] - unsteady["low"] > 1.3 * (steady["high"] - steady["low"])
    assert intervals.seed_values(scores(low) + scores(high)) == [0.25, 0.75]
    one = intervals.accuracy(scores([1.0]))
    assert (one["low"], one["high"]) == pytest.approx(wilson(1, 1))


def test_a_difference_that_another_seed_could_reverse_is_not_sure():
    assets = [f"asset{i // 4}" for i in range(40)]
    base = [float((i * 7) % 10 < 3) for i in range(40)]
    steady, unsteady = [], []
    for right in (8, 8, 8):
        steady += scores([float((i * 7) % 10 < right) for i in range(40)], assets)
    for right in (4, 10, 10):
        unsteady += scores([float((i * 7) % 10 < right) for i in range(40)], assets)
    sure = intervals.difference(scores(base, assets), steady)
    unsure = intervals.difference(scores(base, assets), unsteady)
    assert sure.value == pytest.approx(unsure.value) == pytest.approx(0.5)
    assert sure.low > 0 and sure.p < 0.05
    assert unsure.low < 0 and unsure.p > 0.05, "the three trainings gained 0.1, 0.7 and 0.7"


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert intervals.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert intervals.holm([0.5, 0.6]) == [1.0, 1.0] and intervals.holm([]) == []


def test_spread_is_median_and_95th_percentile():
    found = intervals.spread([0.1 * number for number in range(1, 102)])
    assert found == {"median": pytest.approx(5.1), "p95": pytest.approx(9.6)} and intervals.spread([]) is None
    with pytest.raises(DataError, match="time is not a number"):
        intervals.spread([1.0, math.nan])
