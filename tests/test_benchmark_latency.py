"""The curves of latency have a point where one was asked for, and say what does not fit."""

from __future__ import annotations

import pytest

from helpers.data import DataError
from tools.benchmarks.latency_curves import against_context, against_index_size


def test_time_against_context_leaves_out_what_does_not_fit(tiny):
    points = against_context(tiny, (32, 512, 4096), repeats=3)
    assert [round(p["x"], -1) for p in points] == [30, 510]
    assert all(p["low"] <= p["value"] <= p["high"] and p["n"] == 3 for p in points)
    assert points[1]["value"] > points[0]["value"], "a longer prompt takes longer to read"
    with pytest.raises(DataError, match="shorter than every length"):
        against_context(tiny, (5000,))


def test_time_against_index_size_has_a_point_a_size():
    from llama_index.core.embeddings import MockEmbedding

    points = against_index_size(MockEmbedding(embed_dim=16), ["Where?", "When?"], sizes=(200, 50))
    assert [p["x"] for p in points] == [50, 200]
    assert all(0 < p["low"] <= p["value"] <= p["high"] and p["n"] == 2 for p in points)
