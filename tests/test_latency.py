"""The latency job: arms take turns, every phase is taken, and points lie where they were asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import make_results

from helpers.analysis.intervals import spread
from helpers.data.records import DataError, Passage, Question
from helpers.experiment import latency
from helpers.experiment.assistant import Assistant
from helpers.experiment.latency import IN_A_ROW, Timing, read_timings, slower, summary, time_arms, write_timings

QUESTIONS = [Question(f"q{i}", "facts_heldout", f"What is the site number {i}?", ("a",)) for i in range(4)]


class OnePassage:
    """A retriever that finds the same passage for every question."""

    def retrieve_all(self, questions):
        return [[Passage("manual", "node", "The site lies at the mouth of the river. " * 8, 1.0)] for _ in questions]


@pytest.fixture(scope="module")
def timings(tiny):
    return time_arms({"base": Assistant(tiny), "rag": Assistant(tiny, retriever=OnePassage())}, QUESTIONS, repeats=3)


def test_every_arm_is_asked_every_question_in_every_round(timings):
    asked = {(t.arm, t.question_id, t.round) for t in timings}
    assert len(asked) == len(timings) == 2 * 4 * 3
    assert {(t.round, t.question_id) for t in timings[:8]} == {(0, q.id) for q in QUESTIONS}
    turns = [timings[start : start + IN_A_ROW] for start in range(0, len(timings), IN_A_ROW)]
    assert all(len({t.arm for t in turn}) == 1 for turn in turns), "an arm is asked a few questions in its turn"
    assert all({turns[i][0].arm, turns[i + 1][0].arm} == {"base", "rag"} for i in range(0, len(turns), 2))
    firsts = [timings[start].arm for start in range(0, len(timings), 2)]
    assert set(firsts) == {"base", "rag"}, "neither arm always comes first"


def test_phases_are_parts_of_the_whole(timings):
    for t in timings:
        assert 0 <= t.retrieval_s <= t.first_token_s <= t.total_s
        if t.new_tokens > 1:
            assert t.first_token_s + (t.new_tokens - 1) * t.per_token_s == pytest.approx(t.total_s)
    rag = [t for t in timings if t.arm == "rag"]
    assert min(t.prompt_tokens for t in rag) > max(t.prompt_tokens for t in timings if t.arm == "base")
    assert all(t.retrieval_s > 0 for t in rag)
    found = summary(timings)
    assert (
        set(found["rag"]) == set(latency.PHASES)
        and found["base"]["total_s"]["p95"] >= found["base"]["total_s"]["median"]
    )


def test_a_ratio_is_that_of_the_medians():
    made = [
        Timing(arm, f"q{i}", 0, 0.0, base / 2, None, base + i / 10, 10, 1)
        for arm, base in (("slow", 3.0), ("fast", 1.0))
        for i in range(3)
    ]
    found = slower(made, "slow", "fast")
    assert found["value"] == pytest.approx(3.1 / 1.1) and found["low"] <= found["value"] <= found["high"]
    assert summary(made)["slow"]["per_token_s"] is None
    with pytest.raises(DataError, match="both arms"):
        slower(made, "slow", "absent")
    with pytest.raises(DataError, match="no phase 'lunch_s'"):
        slower(made, "slow", "fast", "lunch_s")


def test_nothing_to_time_is_refused(tiny):
    choice = Question("c", "terms", "Which?", ("a",), choices=("a", "b"))
    for assistants, questions, repeats in (({}, QUESTIONS, 1), ({"base": Assistant(tiny)}, [], 1),
                                           ({"base": Assistant(tiny)}, QUESTIONS, 0)):  # fmt: skip
        with pytest.raises(DataError, match="at least one"):
            time_arms(assistants, questions, repeats)
    with pytest.raises(DataError, match="choices"):
        time_arms({"base": Assistant(tiny)}, [choice])


def test_timings_are_kept(tmp_path, timings):
    path = latency.write_timings(tmp_path / "latency.json", timings, {"processor": "none"})
    assert read_timings(path) == timings and read_timings(tmp_path / "absent.json") == []
    path.write_text('{"timings": [{"arm": 1}]}', encoding="utf-8")
    with pytest.raises(DataError, match="latency.json"):
        read_timings(path)


def test_rounds_of_one_question_count_once():
    made = [Timing("a", f"q{q}", turn, 0.0, 0.1, None, 1.0 + q + turn, 10, 1) for q in range(3) for turn in range(3)]
    assert latency.by_question(made, "a") == {"q0": 2.0, "q1": 3.0, "q2": 4.0}
    assert slower(made + [replace(t, arm="b") for t in made], "a", "b")["n"] == 3
    uneven = [*made, replace(made[0], round=3, total_s=90.0), replace(made[0], round=4, total_s=91.0)]
    by_question = list(latency.by_question(uneven, "a").values())
    assert summary(uneven)["a"]["total_s"] == spread(by_question) and max(by_question) < 90


def test_times_of_the_turns_replace_those_of_the_runs_they_were_made_about(tmp_path):
    results = make_results(arms=("base", "rag"), sets=("facts_heldout", "terms"), profile="quick")
    asked = [score.question.id for score in results[0].scores][:2]
    timings = [
        Timing(arm, q, turn, 0.0, 0.5, None, 1.5 + turn, 9, 2) for arm in ("rag",) for q in asked for turn in (0, 2)
    ]
    write_timings(tmp_path / latency.FILE, timings, latency.about(results))
    made = {(r.arm, r.question_set): r.metrics for r in latency.in_turns(results, tmp_path)}
    before = {(r.arm, r.question_set): r.metrics for r in results}
    assert made["rag", "facts_heldout"]["total_s"] == [2.5, 2.5]
    assert made["rag", "facts_heldout"]["first_token_s"] == [0.5, 0.5]
    assert made["base", "facts_heldout"] == before["base", "facts_heldout"], "it took no turn"
    assert made["rag", "terms"] == before["rag", "terms"]
    others = [replace(r, experiment="f" * 64) for r in results]
    assert latency.in_turns(others, tmp_path) == others, "a job of another experiment is left alone"
    assert latency.told(results, tmp_path) == "The arms were timed in turns. Timed in their own runs: base."
    assert "is about other results" in latency.told(others, tmp_path)
    assert latency.told(others, tmp_path / "absent").endswith("the times are those of their own runs.")
    assert read_timings(tmp_path / latency.FILE) == timings and read_timings(tmp_path / latency.FILE, {}) == []
