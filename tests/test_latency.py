"""The latency job: arms take turns, every phase is taken, and points lie where they were asked for."""

from __future__ import annotations

import pytest

from helpers.data.records import DataError, Passage, Question
from helpers.experiment import latency
from helpers.experiment.assistant import Assistant
from helpers.experiment.latency import read_timings
from tools.benchmarks import arm_times

QUESTIONS = [Question(f"q{i}", "facts_heldout", f"What is the site number {i}?", ("a",)) for i in range(6)]


class OnePassage:
    """A retriever that finds the same passage for every question."""

    def retrieve_all(self, questions):
        return [[Passage("manual", "node", "The site lies at the mouth of the river. " * 8, 1.0)] for _ in questions]


@pytest.fixture(scope="module")
def timings(tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm_times, "A_TURN", 2)
        return arm_times.time_arms({"base": Assistant(tiny), "rag": Assistant(tiny, retriever=OnePassage())}, QUESTIONS)


def test_every_arm_is_asked_every_question_and_arms_take_turns(timings):
    asked = {(t.arm, t.question_id, t.equal_length) for t in timings}
    assert len(asked) == len(timings) == 2 * 6 * 2
    turns = [timing.arm for timing in timings[::4]]
    assert [t.arm for t in timings] == [arm for arm in turns for _ in range(4)], "a turn is one arm's"
    assert set(turns[::2]) == {"base", "rag"}, "neither always comes first"
    assert {t.new_tokens for t in timings if t.equal_length} == {arm_times.EQUAL_TOKENS}
    for t in timings:  # the phases are parts of the whole
        assert 0 <= t.retrieval_s <= t.first_token_s <= t.total_s
        if t.new_tokens > 1:
            assert t.first_token_s + (t.new_tokens - 1) * t.per_token_s == pytest.approx(t.total_s)
    rag = [t for t in timings if t.arm == "rag"]
    assert min(t.prompt_tokens for t in rag) > max(t.prompt_tokens for t in timings if t.arm == "base")
    assert all(t.retrieval_s > 0 for t in rag)


def test_nothing_to_time_is_refused(tiny):
    choice = Question("c", "terms", "Which?", ("a",), choices=("a", "b"))
    base = {"base": Assistant(tiny)}
    for asked in (({}, QUESTIONS), (base, []), (base, [choice])):
        with pytest.raises(DataError, match="at least one|choices"):
            arm_times.time_arms(*asked)


def test_timings_are_kept(tmp_path, timings):
    path = latency.write_timings(tmp_path, latency.Timings({"processor": "none"}, timings))
    assert read_timings(tmp_path).timings == timings and read_timings(tmp_path / "absent").timings == []
    path.write_text('{"timings": [{"arm": 1}]}', encoding="utf-8")
    with pytest.raises(DataError, match="latency.json"):
        read_timings(tmp_path)
