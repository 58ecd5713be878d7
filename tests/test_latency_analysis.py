"""What follows from timings: ratios of medians over questions, and interleaved times put into their results."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import make_results

from helpers.analysis import Comparison
from helpers.analysis.validate import by_question, interleaved, latency_ratio, timing_conditions
from helpers.data.records import DataError
from helpers.experiment.latency import LATENCY_FILE, Timing, read_timings, write_timings


def test_a_ratio_is_that_of_the_medians_and_rounds_of_one_question_count_once():
    made = [
        Timing(arm, f"q{question}", turn, 0.0, base / 2, None, base + question + turn, 10, 1)
        for arm, base in (("slow", 3.0), ("fast", 1.0))
        for question in range(3)
        for turn in range(3)
    ]
    assert by_question(made, "fast") == [2.0, 3.0, 4.0] and by_question(made, "fast", "per_token_s") == []
    found = latency_ratio(made, "slow", "fast")
    assert (
        found["value"] == pytest.approx(5 / 3) and found["low"] <= found["value"] <= found["high"] and found["n"] == 3
    )
    uneven = [*made, replace(made[-1], round=3, total_s=90.0), replace(made[-1], round=4, total_s=91.0)]
    assert max(by_question(uneven, "fast")) < 90
    with pytest.raises(DataError, match="both arms"):
        latency_ratio(made, "slow", "absent")


def test_times_of_the_turns_replace_those_of_the_runs_they_were_made_about(tmp_path):
    results = make_results(arms=("base", "rag"), sets=("facts_heldout", "terms"), profile="quick")
    asked = [score.question.id for score in results[0].scores][:2]
    timings = [
        Timing(arm, q, turn, 0.0, 0.5, None, 1.5 + turn, 9, 2) for arm in ("rag",) for q in asked for turn in (0, 2)
    ]
    write_timings(tmp_path / LATENCY_FILE, timings, timing_conditions(results))
    updated, how = interleaved(results, tmp_path)
    made = {(r.arm, r.question_set): r.metrics for r in updated}
    before = {(r.arm, r.question_set): r.metrics for r in results}
    assert made["rag", "facts_heldout"]["total_s"] == [2.5, 2.5]
    assert made["rag", "facts_heldout"]["first_token_s"] == [0.5, 0.5]
    assert made["base", "facts_heldout"] == before["base", "facts_heldout"], "it took no turn"
    assert made["rag", "terms"] == before["rag", "terms"]
    assert how == "The arms were timed in turns. Timed in their own runs: base."
    comparison = Comparison(results).with_timings(tmp_path)
    assert comparison.results == updated and comparison.timed == how
    others = [replace(r, experiment="f" * 64) for r in results]
    unchanged, how = interleaved(others, tmp_path)
    assert unchanged == others and "is about other results" in how, "timings of another experiment are left alone"
    assert interleaved(others, tmp_path / "absent")[1].endswith("the times are those of their own runs.")
    assert read_timings(tmp_path / LATENCY_FILE) == timings and read_timings(tmp_path / LATENCY_FILE, {}) == []
