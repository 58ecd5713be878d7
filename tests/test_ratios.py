"""Ratios of times and of perplexities cover the truth, by simulation, and hold at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from helpers.analysis import intervals
from helpers.analysis.ratios import perplexity_ratio, ratio
from helpers.data.records import DataError


def test_a_ratio_of_times_has_an_interval():
    generator = np.random.default_rng(0)
    fast, slow = generator.normal(1, 0.05, 40), generator.normal(3, 0.15, 40)
    found = ratio(slow.tolist(), fast.tolist())
    assert found["low"] < found["value"] < found["high"] and found["value"] == pytest.approx(3, rel=0.1)
    assert found["high"] - found["low"] < 0.6 and found["n"] == 40
    assert ratio([2.0], [1.0]) == {"value": 2.0, "low": 0.0, "high": math.inf, "n": 1}
    two = ratio([2.0, 2.2], [1.0, 1.1])
    assert two["low"] <= two["value"] <= two["high"] < math.inf
    with pytest.raises(DataError, match="timings of both"):
        ratio([], [1.0])


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
        found = perplexity_ratio(other, base)
        assert found["low"] <= found["value"] <= found["high"] and found["n"] == 30
        covered += found["low"] <= truth <= found["high"]
    assert covered / draws >= 0.9


def test_a_ratio_of_perplexities_at_its_edges():
    base = [(350.0, 100), (90.0, 30), (0.0, 0)]
    same = perplexity_ratio(base, base)
    assert (same["value"], same["low"], same["high"], same["n"]) == (1, 1, 1, 2)
    one = perplexity_ratio([(math.log(2), 1)], [(0.0, 1)])
    assert one["value"] == pytest.approx(2) and (one["low"], one["high"]) == (0, math.inf)
    with pytest.raises(DataError, match="the same texts"):
        perplexity_ratio(base, base[:2])
    with pytest.raises(DataError, match="the same texts"):
        perplexity_ratio([], [])
