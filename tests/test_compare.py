"""Comparison: intervals that are right, results that may not be compared, and the JSON form."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from helpers.analysis import comparison as compare
from helpers.data.records import QUESTION_SETS, Answer, DataError, Effort, Question, Result, Score
from helpers.experiment import results


def scores(values, assets=None, question_set: str = "facts_heldout") -> list[Score]:
    """Scored answers with these values; questions of one asset go together where assets are named."""
    made = []
    for i, value in enumerate(values):
        question = Question(f"q{i}", question_set, "?", ("a",), asset=assets[i] if assets else "")
        made.append(Score(question, Answer(question.id, "a", "?"), value, "right" if value else "wrong"))
    return made


def run(arm: str = "base", question_set: str = "facts_heldout", values=(1, 0, 1), **fields) -> Result:
    record = Result(
        arm, question_set, 7, "quick", "e" * 64, "complete", scores(values, question_set=question_set),
        {"exact_match": 0.5, "first_token_s": [0.1, 0.3], "total_s": [0.2, 0.4, 0.6]}, Effort(wall_s=2.0, documents=5),
        {"model": "tiny", "model_hash": "m", "data_hash": "d", "dtype": "float32"},
    )  # fmt: skip
    return replace(record, **fields)


# ---- intervals


def wilson(right: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval as the textbooks write it."""
    p = right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


@pytest.mark.parametrize(("right", "n"), [(1, 1), (0, 1), (3, 10), (10, 10), (0, 24), (24, 24), (57, 60), (1, 200)])
def test_independent_questions_get_wilsons_interval(right, n):
    found = compare.accuracy(scores([1] * right + [0] * (n - right)))
    low, high = wilson(right, n)
    assert found == pytest.approx({"value": right / n, "low": max(0, low), "high": min(1, high), "n": n}, abs=1e-9)
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert found["low"] < found["high"], "an interval of no width claims too much"


def test_answers_that_go_together_by_asset_are_less_certain():
    values = [1] * 30 + [0] * 30
    alone = compare.accuracy(scores(values))
    together = compare.accuracy(scores(values, [f"asset{i // 6}" for i in range(60)]))
    assert together["value"] == alone["value"] and together["n"] == alone["n"] == 60
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])
    mixed = compare.accuracy(scores(values, [f"asset{i % 10}" for i in range(60)]))
    assert mixed["high"] - mixed["low"] < alone["high"] - alone["low"] + 0.05


def test_intervals_do_not_move_from_call_to_call_and_grow_narrower_with_more_questions():
    assets = [f"asset{i // 3}" for i in range(240)]
    values = [i // 3 * 7 % 5 > i % 3 for i in range(240)]
    found = compare.accuracy(scores(values, assets))
    assert found == compare.accuracy(scores(values, assets))
    fewer = compare.accuracy(scores(values[:60], assets[:60]))
    assert found["high"] - found["low"] < fewer["high"] - fewer["low"]


@pytest.mark.parametrize("value", [0, 1])
def test_all_right_and_all_wrong_are_not_certain_however_they_are_grouped(value):
    found = compare.accuracy(scores([value] * 20, [f"asset{i // 5}" for i in range(20)]))
    assert found["value"] == value and found["high"] - found["low"] > 0.1


@pytest.mark.parametrize("values", [[1, 0] * 12, [0.5] * 24, [1 / 3, 2 / 3] * 12])
def test_no_interval_has_no_width(values):
    found = compare.accuracy(scores(values, [f"asset{i // 2}" for i in range(24)]))
    assert found["value"] == pytest.approx(0.5)
    assert (found["low"], found["high"]) == pytest.approx(wilson(12, 24))


def test_one_asset_says_nothing_about_others():
    found = compare.accuracy(scores([1, 0, 1], ["a", "a", "a"]))
    assert (found["low"], found["high"]) == (0, 1)


def test_shares_of_fields_get_an_interval_around_their_mean():
    found = compare.accuracy(scores([1 / 3, 2 / 3, 1.0, 1.0, 0.0] * 8))
    assert found["value"] == pytest.approx(0.6)
    assert 0 < found["low"] < 0.6 < found["high"] < 1


def test_nothing_has_no_accuracy():
    with pytest.raises(DataError, match="no scored answers"):
        compare.accuracy([])


def test_times_are_summed_up_by_median_and_95th_percentile():
    assert compare.spread([]) is None and compare.spread(None) is None
    assert compare.spread([2.0]) == {"median": 2.0, "p95": 2.0}
    found = compare.spread([float(i) for i in range(101)])
    assert found == {"median": 50.0, "p95": 95.0}


# ---- what may not be compared


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"config": run().config | {"data_hash": "other"}}, "data_hash 'd' against 'other'"),
        ({"config": run().config | {"model": "big"}}, "model 'tiny' against 'big'"),
        ({"config": run().config | {"model_hash": "changed"}}, "model_hash"),
        ({"config": run().config | {"dtype": "bfloat16"}}, "dtype 'float32' against 'bfloat16'"),
        ({"profile": "full"}, "profile 'quick' against 'full'"),
        ({}, "the prompts"),
    ],
)
def test_results_of_different_experiments_are_refused_by_name(fields, named):
    other = run("rag", experiment="f" * 64, **fields)
    with pytest.raises(DataError, match=named) as caught:
        compare.table([run(), other])
    assert "base/facts_heldout" in str(caught.value) and "rag/facts_heldout" in str(caught.value)


def test_other_questions_are_refused():
    with pytest.raises(DataError, match="not asked the same questions of facts_heldout"):
        compare.table([run(), run("rag", values=(1, 0))])


def test_no_results_are_refused():
    with pytest.raises(DataError, match="no results"):
        compare.table([])


# ---- the table


def test_the_table_has_the_form_that_is_documented():
    runs = [
        run(), run(question_set="terms", metrics={"perplexity": 9.5}), run("rag", metrics=run().metrics | {
            "retrieval": {"hit_rate_1": 0.5, "hit_rate_5": 1.0, "mrr": 0.7, "ndcg": 0.8}}),
        run("rag", "triage", values=(0.5, 1, 0), metrics={"valid_json": 0.9}),
    ]  # fmt: skip
    table = compare.table(runs)
    assert list(table) == ["base", "rag"]
    for arm, row in table.items():
        assert set(row["effort"]) == set(Effort.__dataclass_fields__)
        for name in set(row) - {"effort"}:
            assert name in QUESTION_SETS
            assert set(row[name]["accuracy"]) == {"value", "low", "high", "n"}
            for times in ("first_token_s", "total_s"):
                assert row[name][times] is None or set(row[name][times]) == {"median", "p95", "n"}, (arm, name)
    assert table["base"]["facts_heldout"]["total_s"]["median"] == pytest.approx(0.4)
    assert table["base"]["terms"]["first_token_s"] is None and table["base"]["terms"]["total_s"] is None
    assert table["base"]["terms"]["perplexity"] == 9.5
    assert table["rag"]["triage"]["valid_json"] == 0.9
    assert table["rag"]["triage"]["accuracy"]["value"] == 0.5
    assert table["rag"]["facts_heldout"]["retrieval"]["hit_rate_5"] == 1.0
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_seeds_are_pooled():
    table = compare.table([run(seed=7, values=(1, 1, 0, 0)), run(seed=8, values=(1, 1, 1, 0))])
    figures = table["base"]["facts_heldout"]
    assert figures["accuracy"]["value"] == 5 / 8 and figures["accuracy"]["n"] == 8
    single = compare.accuracy(scores([1, 1, 1, 1, 1, 0, 0, 0]))
    assert figures["accuracy"]["high"] - figures["accuracy"]["low"] > single["high"] - single["low"], (
        "a second seed asks the same questions again: it must not count as new ones"
    )
    right = compare.table([run(seed=seed, values=(1, 1, 1, 1)) for seed in (7, 8, 9)])["base"]["facts_heldout"]
    assert right["accuracy"]["low"] == pytest.approx(wilson(4, 4)[0])


def test_interrupted_runs_are_listed_and_left_out():
    table = compare.table([run(), run(question_set="terms", status="interrupted", values=(1,)), run("rag", "terms")])
    assert table["base"]["interrupted"] == ["terms"]
    assert "terms" not in table["base"] and "terms" in table["rag"] and "interrupted" not in table["rag"]
    text = compare.as_text(table)
    assert "interrupted" in text and "base: terms" in text


def test_a_folder_is_compared_as_its_results_are(tmp_path):
    runs = [run(), run("rag", values=(1, 1, 1)), run("rag", "terms")]
    for one in runs:
        results.write_result(tmp_path, one)
    assert compare.compare(tmp_path) == compare.table(results.read_results(tmp_path))
    assert json.dumps(compare.compare(tmp_path), sort_keys=True) == json.dumps(compare.table(runs), sort_keys=True)


def test_the_text_shows_the_numbers_of_the_table():
    table = compare.table([run(), run("rag", values=(1, 1, 1)), run("rag", "terms")])
    lines = compare.as_text(table).splitlines()
    accuracy = table["rag"]["facts_heldout"]["accuracy"]
    rag = [line for line in lines if line.startswith("rag")]
    assert f"1.00 [{accuracy['low']:.2f}, 1.00]" in rag[0]
    assert "0.40" in rag[1] and "2.0" in rag[1]
    assert len({len(line) for line in lines[:3]}) == 1, "columns must line up"


def test_the_front_holds_arms_that_no_other_beats():
    points = {"base": (1.0, 0.1), "rag": (3.0, 0.8), "slow": (4.0, 0.8), "worse": (3.0, 0.2), "best": (9.0, 0.9)}
    assert compare.pareto_front(points) == ["base", "rag", "best"]
    assert compare.pareto_front({"one": (1, 1), "same": (1, 1)}) == ["one", "same"]


def test_freshness_tells_arms_that_were_brought_up_to_date_from_those_that_were_not():
    effort = {"wall_s": 2.0}
    updated = run("rag", "updates", metrics={"update": {"effort": effort, "measured": True, "reembedded": 3}})
    stale = run("customization", "updates", metrics={"update": {"effort": {"wall_s": 300.0}, "measured": False}})
    steps = compare.freshness_steps(compare.table([updated, stale, run("base", "updates")]))
    assert list(steps) == ["rag", "customization"]
    assert steps["rag"]["fresh"] and not steps["rag"]["estimated"] and steps["rag"]["seconds"] == 2.0
    assert not steps["customization"]["fresh"] and steps["customization"]["estimated"]
