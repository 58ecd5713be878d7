"""Intervals cover what they promise, by simulation; paired differences find what is there and no more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from test_comparison import scores

from helpers.analysis import intervals
from helpers.analysis.intervals import accuracy, difference, perplexity_ratio, ratio
from helpers.data.records import DataError
from tools.benchmarks.interval_coverage import DESIGNS, coverage


def wilson(right: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval as the textbooks write it."""
    p = right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def width(found) -> float:
    return found["high"] - found["low"]


@pytest.mark.parametrize(
    "design", [name for name, (_, wordings, same, _) in DESIGNS.items() if wordings > 1 and not same]
)
def test_intervals_cover_other_machines_and_other_wordings(design):
    for shares in ((0.3, 0.3), (0.8, 0.8), (0.05, 0.8)):
        share, both, sure = coverage(DESIGNS[design], shares, draws=300)
        assert share >= 0.93 and both >= 0.93, (shares, share, both)
        assert sure <= 0.07 if shares[0] == shares[1] else sure >= 0.9


def test_intervals_that_know_of_machines_alone_fail_where_wordings_differ():
    share, both, sure = coverage((24, 6, True, 1), (0.3, 0.3), draws=200, one_way=True)
    assert share < 0.75 and both < 0.8 and sure > 0.2


@pytest.mark.parametrize(("right", "n"), [(1, 1), (0, 1), (3, 10), (10, 10), (0, 24), (57, 60), (1, 200)])
def test_independent_questions_get_wilsons_interval(right, n):
    found = accuracy(scores([1] * right + [0] * (n - right)))
    low, high = wilson(right, n)
    assert found == pytest.approx({"value": right / n, "low": max(0, low), "high": min(1, high), "n": n}, abs=1e-9)
    assert found["low"] < found["high"], "an interval of no width claims too much"


def test_answers_that_go_together_by_asset_are_less_certain():
    values = [1] * 30 + [0] * 30
    alone = accuracy(scores(values))
    together = accuracy(scores(values, [f"asset{i // 6}" for i in range(60)]))
    assert together["value"] == alone["value"] and width(together) > 1.5 * width(alone)
    one = accuracy(scores([1, 0, 1], ["a", "a", "a"]))
    assert (one["low"], one["high"]) == (0, 1), "one asset says nothing about others"
    halves = accuracy(scores([0.5] * 24, [f"asset{i // 2}" for i in range(24)]))
    assert halves["low"] == pytest.approx(wilson(12, 24)[0])
    for value in (0, 1):
        assert width(accuracy(scores([value] * 20, [f"asset{i // 5}" for i in range(20)]))) > 0.1


def test_house_words_are_clusters_and_their_few_wordings_are_not():
    def asked(wordings, question_set, values=(1, 0, 1, 1, 0, 1) * 6):
        made = scores(values, [f"word {i // 3}" for i in range(36)], question_set)
        return [replace(s, question=replace(s.question, wording=f"{i % wordings}")) for i, s in enumerate(made)]

    assert accuracy(asked(3, "terms")) == accuracy(asked(36, "terms")) != accuracy(asked(3, "facts_heldout"))


def test_a_difference_is_taken_question_by_question():
    assets = [f"asset{i // 4}" for i in range(40)]
    one, other = scores([1, 0] * 20, assets), scores([1, 1] * 20, assets)
    found, back = difference(one, other), difference(other, one)
    assert found["value"] == 0.5 and found["n"] == 40 and found["low"] > 0 and found["p"] < 0.01
    assert (back["value"], back["low"], back["high"]) == pytest.approx((-0.5, -found["high"], -found["low"]))
    assert difference(one, list(reversed(one)))["value"] == 0, "the order of the answers does not matter"


@pytest.mark.parametrize("values", [[0.0] * 24, [1.0] * 24, [1.0, 0.0] * 12])
def test_arms_that_answer_alike_are_not_certainly_alike(values):
    found = difference(scores(values), scores(values))
    assert found["value"] == 0 and found["p"] == 1 and found["low"] < -0.05 and found["high"] > 0.05


def test_scores_that_cannot_be_used_are_refused():
    for first, second in ((scores([1, 0]), scores([1, 0, 1])), ([], [])):
        with pytest.raises(DataError, match="same questions"):
            difference(first, second)
    with pytest.raises(DataError, match="no scored answers"):
        accuracy([])


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert intervals.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert intervals.holm([0.5, 0.6]) == [1.0, 1.0] and intervals.holm([]) == []


def test_a_ratio_of_times_has_an_interval():
    generator = np.random.default_rng(0)
    found = ratio(generator.normal(3, 0.15, 40).tolist(), generator.normal(1, 0.05, 40).tolist())
    assert found["low"] < found["value"] < found["high"] and found["value"] == pytest.approx(3, rel=0.1)
    assert width(found) < 0.6 and found["n"] == 40
    assert ratio([2.0], [1.0]) == {"value": 2.0, "low": 0.0, "high": math.inf, "n": 1}
    with pytest.raises(DataError, match="timings of both"):
        ratio([], [1.0])


@pytest.mark.parametrize("truth", [0.3, 1.0])
def test_ratios_of_perplexities_cover_the_truth(truth):
    generator, covered, draws = np.random.default_rng(11), 0, 150
    for _ in range(draws):
        counts = generator.integers(50, 400, 30)
        hardness, moved = generator.normal(3.5, 0.5, 30), generator.normal(math.log(truth), 0.1, 30)
        base, other = (list(zip((each * counts).tolist(), counts.tolist(), strict=True))
                       for each in (hardness, hardness + moved))  # fmt: skip
        found = perplexity_ratio({7: other}, {7: base})
        covered += found["low"] <= truth <= found["high"]
    assert covered / draws >= 0.9 and found["n"] == 30


def test_a_ratio_of_perplexities_at_its_edges():
    base = {7: [(350.0, 100), (90.0, 30), (0.0, 0)]}
    assert perplexity_ratio(base, base) == {"value": 1, "low": 1, "high": 1, "n": 2, "df": 1}
    one = perplexity_ratio({7: [(math.log(2), 1)]}, {7: [(0.0, 1)]})
    assert one["value"] == pytest.approx(2) and (one["low"], one["high"]) == (0, math.inf)
    for first, second in ((base, {7: base[7][:2]}), ({}, {})):
        with pytest.raises(DataError, match="the same texts"):
            perplexity_ratio(first, second)
