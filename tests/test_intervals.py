"""Intervals cover what they promise, by simulation; paired differences find what is there and no more."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_comparison import scores

from helpers.analysis import intervals
from helpers.data.records import DataError

CLUSTERS = {"facts_heldout": (10, 8), "two_hop": (24, 2), "general": (100, 1)}  # assets and questions an asset


def wilson(right: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval as the textbooks write it."""
    p = right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


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
        covered += found["low"] <= second - first <= found["high"]
        rejected += found["p"] < 0.05
    assert covered / draws >= 0.9
    if first == second:
        assert rejected / draws <= 0.08
    if second - first >= 0.5:
        assert rejected / draws >= 0.9


def test_a_difference_is_taken_question_by_question():
    one = scores([1, 0] * 20, [f"asset{i // 4}" for i in range(40)])
    other = scores([1, 1] * 20, [f"asset{i // 4}" for i in range(40)])
    found = intervals.difference(one, other)
    assert found["value"] == 0.5 and found["n"] == 40 and found["low"] > 0 and found["p"] < 0.01
    back = intervals.difference(other, one)
    assert (back["value"], back["low"], back["high"]) == pytest.approx((-found["value"], -found["high"], -found["low"]))
    assert intervals.difference(one, list(reversed(one)))["value"] == 0, "the order of the answers does not matter"


@pytest.mark.parametrize("values", [[0.0] * 24, [1.0] * 24, [1.0, 0.0] * 12])
def test_arms_that_answer_alike_are_not_certainly_alike(values):
    found = intervals.difference(scores(values), scores(values))
    assert found["value"] == 0 and found["p"] == 1 and found["low"] < -0.05 and found["high"] > 0.05


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
    assert sure["value"] == pytest.approx(unsure["value"]) == pytest.approx(0.5)
    assert sure["low"] > 0 and sure["p"] < 0.05
    assert unsure["low"] < 0 and unsure["p"] > 0.05, "the three trainings gained 0.1, 0.7 and 0.7"


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert intervals.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert intervals.holm([0.5, 0.6]) == [1.0, 1.0] and intervals.holm([]) == []


def test_spread_is_median_and_95th_percentile():
    found = intervals.spread([0.1 * number for number in range(1, 102)])
    assert found == {"median": pytest.approx(5.1), "p95": pytest.approx(9.6)} and intervals.spread([]) is None
    with pytest.raises(DataError, match="time is not a number"):
        intervals.spread([1.0, math.nan])


@pytest.mark.parametrize(("right", "n"), [(1, 1), (0, 1), (3, 10), (10, 10), (0, 24), (24, 24), (57, 60), (1, 200)])
def test_independent_questions_get_wilsons_interval(right, n):
    found = intervals.accuracy(scores([1] * right + [0] * (n - right)))
    low, high = wilson(right, n)
    assert found == pytest.approx({"value": right / n, "low": max(0, low), "high": min(1, high), "n": n}, abs=1e-9)
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert found["low"] < found["high"], "an interval of no width claims too much"


def test_answers_that_go_together_by_asset_are_less_certain():
    values = [1] * 30 + [0] * 30
    alone = intervals.accuracy(scores(values))
    together = intervals.accuracy(scores(values, [f"asset{i // 6}" for i in range(60)]))
    assert together["value"] == alone["value"] and together["n"] == alone["n"] == 60
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])
    mixed = intervals.accuracy(scores(values, [f"asset{i % 10}" for i in range(60)]))
    assert mixed["high"] - mixed["low"] < alone["high"] - alone["low"] + 0.05


def test_intervals_do_not_move_from_call_to_call_and_grow_narrower_with_more_questions():
    assets = [f"asset{i // 3}" for i in range(240)]
    values = [i // 3 * 7 % 5 > i % 3 for i in range(240)]
    found = intervals.accuracy(scores(values, assets))
    assert found == intervals.accuracy(scores(values, assets))
    fewer = intervals.accuracy(scores(values[:60], assets[:60]))
    assert found["high"] - found["low"] < fewer["high"] - fewer["low"]


@pytest.mark.parametrize("value", [0, 1])
def test_all_right_and_all_wrong_are_not_certain_however_they_are_grouped(value):
    found = intervals.accuracy(scores([value] * 20, [f"asset{i // 5}" for i in range(20)]))
    assert found["value"] == value and found["high"] - found["low"] > 0.1


@pytest.mark.parametrize("values", [[1, 0] * 12, [0.5] * 24, [1 / 3, 2 / 3] * 12])
def test_no_interval_has_no_width(values):
    found = intervals.accuracy(scores(values, [f"asset{i // 2}" for i in range(24)]))
    assert found["value"] == pytest.approx(0.5)
    assert (found["low"], found["high"]) == pytest.approx(wilson(12, 24))


def test_one_asset_says_nothing_about_others():
    found = intervals.accuracy(scores([1, 0, 1], ["a", "a", "a"]))
    assert (found["low"], found["high"]) == (0, 1)


def test_shares_of_fields_get_an_interval_around_their_mean():
    found = intervals.accuracy(scores([1 / 3, 2 / 3, 1.0, 1.0, 0.0] * 8))
    assert found["value"] == pytest.approx(0.6)
    assert 0 < found["low"] < 0.6 < found["high"] < 1


def test_nothing_has_no_accuracy():
    with pytest.raises(DataError, match="no scored answers"):
        intervals.accuracy([])


def test_a_ratio_of_times_has_an_interval():
    generator = np.random.default_rng(0)
    fast, slow = generator.normal(1, 0.05, 40), generator.normal(3, 0.15, 40)
    found = intervals.ratio(slow.tolist(), fast.tolist())
    assert found["low"] < found["value"] < found["high"] and found["value"] == pytest.approx(3, rel=0.1)
    assert found["high"] - found["low"] < 0.6 and found["n"] == 40
    assert intervals.ratio([2.0], [1.0]) == {"value": 2.0, "low": 0.0, "high": math.inf, "n": 1}
    two = intervals.ratio([2.0, 2.2], [1.0, 1.1])
    assert two["low"] <= two["value"] <= two["high"] < math.inf
    with pytest.raises(DataError, match="timings of both"):
        intervals.ratio([], [1.0])


@pytest.mark.parametrize("truth", [0.3, 1.0, 1.2])
def test_ratios_of_perplexities_cover_the_truth(truth, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 300)
    generator = np.random.default_rng(11)
    covered, draws = 0, 200
    for _ in range(draws):
        counts = generator.integers(50, 400, 30)
        hardness, moved = generator.normal(3.5, 0.5, 30), generator.normal(math.log(truth), 0.1, 30)
        base = [(float(h * n), int(n)) for h, n in zip(hardness, counts, strict=True)]
        other = [(float((h + m) * n), int(n)) for h, m, n in zip(hardness, moved, counts, strict=True)]
        found = intervals.perplexity_ratio(other, base)
        assert found["low"] <= found["value"] <= found["high"] and found["n"] == 30
        covered += found["low"] <= truth <= found["high"]
    assert covered / draws >= 0.9


def test_a_ratio_of_perplexities_at_its_edges():
    base = [(350.0, 100), (90.0, 30), (0.0, 0)]
    same = intervals.perplexity_ratio(base, base)
    assert (same["value"], same["low"], same["high"], same["n"]) == (1, 1, 1, 2)
    one = intervals.perplexity_ratio([(math.log(2), 1)], [(0.0, 1)])
    assert one["value"] == pytest.approx(2) and (one["low"], one["high"]) == (0, math.inf)
    with pytest.raises(DataError, match="the same texts"):
        intervals.perplexity_ratio(base, base[:2])
    with pytest.raises(DataError, match="the same texts"):
        intervals.perplexity_ratio([], [])
