"""The comparison: what may not be compared, the table, contrasts, caveats and times."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import permutations

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, read_comparison
from helpers.analysis.validate import timing_conditions
from helpers.data.records import QUESTION_SETS, Answer, DataError, Effort, Question, Result, Score
from helpers.experiment import results
from helpers.experiment.latency import Timing, Timings, write_timings

ARMS = (
    "base", "base:few_shot", "rag", "rag:3_passages", "customization", "domain_adaptation", "rag+customization",
)  # fmt: skip


def scores(values, assets=None, question_set: str = "facts_heldout") -> list[Score]:
    """Scored answers with these values; questions of one asset go together where assets are named."""
    asked = [
        Question(f"q{i}", question_set, "?", ("a",), asset=assets[i] if assets else "") for i in range(len(values))
    ]
    return [Score(q, Answer(q.id, "a", "?"), value, "") for q, value in zip(asked, values, strict=True)]


def run(arm: str = "base", question_set: str = "facts_heldout", values=(1, 0, 1), **fields) -> Result:
    record = Result(
        arm, question_set, 7, "quick", "e" * 64, "complete", scores(values, question_set=question_set),
        {"exact_match": 0.5, "first_token_s": [0.1, 0.3], "total_s": [0.2, 0.4, 0.6]}, Effort(wall_s=2.0, documents=5),
        {"model": "tiny", "model_hash": "m", "data_hash": "d", "dtype": "float32"},
    )  # fmt: skip
    return replace(record, **fields)


@pytest.fixture(scope="module")
def made():
    return make_results(arms=ARMS, sets=("facts_heldout", "terms"))


# ---- what may not be compared


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"config": run().config | {"data_hash": "other"}}, "data_hash 'd' against 'other'"),
        ({"config": run().config | {"model": "big"}}, "model 'tiny' against 'big'"),
        ({"config": run().config | {"model_hash": "changed"}}, "model_hash"),
        ({"config": run().config | {"dtype": "bfloat16"}}, "dtype 'float32' against 'bfloat16'"),
        ({"profile": "full"}, "profile 'quick' against 'full'"),
        ({"schema": 0}, "schema 2 against 0"),
        ({}, "the prompts"),
    ],
)
def test_results_of_different_experiments_are_refused_by_name(fields, named):
    with pytest.raises(DataError, match=f"(?s)base/facts_heldout.*rag/facts_heldout.*{named}"):
        Comparison([run(), run("rag", experiment="f" * 64, **fields)])


def test_no_results_and_several_seeds_are_refused():
    with pytest.raises(DataError, match="no results"):
        Comparison([])
    with pytest.raises(DataError, match=r"seeds 7, 8, 9 and the same data.* seed 7, .*\*\.seed8\.\* and \*\.seed9\.\*"):
        Comparison([run(seed=seed) for seed in (8, 7, 9)])


def world(seed: int, arm: str = "base", values=(1, 0, 1), **config) -> Result:
    """A run on a data set of its own, with the trainings' seed."""
    config = run().config | {"data_hash": f"world {seed}", "adapter": {"domain": {"seed": seed, "epochs": 3}}} | config
    return run(arm, values=values, seed=seed, experiment=f"{seed}" * 32, config=config)


def test_worlds_are_pooled_with_equal_weight_and_each_is_beside_it():
    made = Comparison([
        each for seed, values in ((7, (1, 1, 1)), (11, (1, 0, 0, 0)), (12, (0, 0)))
        for each in (world(seed, values=values), world(seed, "rag", values=[1] * len(values)))
    ])  # fmt: skip
    base = made.table()["base"]["facts_heldout"]
    assert base["worlds"] == {"7": 1.0, "11": 0.25, "12": 0.0} and base["accuracy"]["value"] == pytest.approx(1.25 / 3)
    assert list(made.worlds) == [7, 11, 12] and made.worlds[11].text().count("0.25") == 1
    assert base["total_s"]["n"] == 9 and json.loads(json.dumps(made.table(), allow_nan=False)) == made.table()
    assert "1.00 0.25 0.00" in made.text() and "7, 11, 12" in made.text()
    assert made.contrasts().value.tolist() == [pytest.approx(1 - 1.25 / 3)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "big"}, "model 'tiny' against 'big'"),
        ({"rag": {"k": 3}}, "rag"),
        ({"adapter": {"domain": {"seed": 11, "epochs": 9}}}, "adapter.domain.epochs 3 against 9"),
    ],
)
def test_worlds_differ_in_their_data_and_in_the_seed_and_in_nothing_else(change, named):
    assert Comparison([world(7), world(11)])
    with pytest.raises(DataError, match=named):
        Comparison([world(7), world(11, **change)])
    with pytest.raises(DataError, match="the prompts"):
        Comparison([world(7), replace(world(7, "rag"), experiment="f" * 64)])


def test_an_arm_that_was_asked_other_questions_is_refused(made):
    with pytest.raises(DataError, match="facts_heldout and .*facts_heldout were not asked the same questions"):
        Comparison([run(), run("rag", values=(1, 0))])
    with pytest.raises(DataError, match="questions of other sets"):
        Comparison([replace(made[0], question_set="terms")])
    for changed in ({"prompt": "Another question?"}, {"answers": ("another answer",)}):
        first, *others = made[0].scores
        changed = replace(first, question=replace(first.question, **changed))
        with pytest.raises(DataError, match="not asked the same questions"):
            Comparison([replace(made[0], scores=[changed, *others]), *made[1:]])


@pytest.mark.parametrize(("first", "second"), list(permutations(ARMS, 2)))
def test_swapped_labels_are_noticed_even_where_the_record_was_swapped_too(made, first, second):
    records, swap = {result.arm: result.config["arm"] for result in made}, {first: second, second: first}
    swapped = [replace(result, arm=swap.get(result.arm, result.arm)) for result in made]
    for each in (swapped, [replace(r, config=r.config | {"arm": records[r.arm]}) for r in swapped]):
        with pytest.raises(DataError, match="labels may be swapped"):
            Comparison(each)


@pytest.mark.parametrize(
    ("arm", "change", "key"),
    [
        ("customization", {"adapter": {"triage": {"epochs": 9}, "answers": {}}}, "adapter.triage.epochs"),
        ("rag", {"rag": {"k": 1, "chunk_size": 64}}, "rag.mode 'hybrid' against None"),
    ],
)
def test_runs_of_one_arm_with_other_settings_are_refused(made, arm, change, key):
    other = [replace(r, config=r.config | change) if (r.arm, r.question_set) == (arm, "terms") else r for r in made]
    with pytest.raises(DataError, match=f"{arm}/facts_heldout and {arm}/terms .*settings .{key}"):
        Comparison(other)


def test_a_file_whose_name_and_record_disagree_is_refused(made, tmp_path):
    for result in made:
        results.write_result(tmp_path, result)
    read = read_comparison(tmp_path)
    assert len(read.results) == len(made) and read.arms == list(ARMS) and "own runs" in read.timed
    shares = [[table[arm][name]["accuracy"] for arm in ARMS for name in ("facts_heldout", "terms")]
              for table in (read.table(), Comparison(made).table())]  # fmt: skip
    assert shares[0] == shares[1]
    path = tmp_path / results.file_name("base", "terms", 7, "e" * 64)
    path.rename(tmp_path / results.file_name("base", "terms", 8, "e" * 64))
    with pytest.raises(DataError, match="renamed, or its label changed"):
        read_comparison(tmp_path)


# ---- the table


def test_the_table_has_the_form_that_is_documented_and_the_text_shows_its_numbers():
    runs = [
        run(), run(question_set="terms", metrics={"perplexity": 9.5}), run("rag", metrics=run().metrics | {
            "retrieval": {"hit_rate_1": 0.5, "hit_rate_5": 1.0, "mrr": 0.7, "ndcg": 0.8}}),
        run("rag", "triage", values=(0.5, 1, 0), metrics={"valid_json": 0.9}),
    ]  # fmt: skip
    table = Comparison(runs).table()
    assert list(table) == ["base", "rag"]
    for arm, row in table.items():
        assert set(row["effort"]) == set(Effort.__dataclass_fields__)
        for name in set(row) - {"effort"}:
            assert name in QUESTION_SETS and "worlds" not in row[name]
            assert set(row[name]["accuracy"]) == {"value", "low", "high", "n"}
            for times in ("first_token_s", "total_s"):
                assert row[name][times] is None or set(row[name][times]) == {"median", "p95", "n"}, (arm, name)
    assert table["base"]["facts_heldout"]["total_s"] == {"median": 0.4, "p95": pytest.approx(0.58), "n": 3}
    assert table["base"]["terms"]["first_token_s"] is None and table["base"]["terms"]["perplexity"] == 9.5
    assert table["rag"]["triage"]["valid_json"] == 0.9 and table["rag"]["triage"]["accuracy"]["value"] == 0.5
    assert table["rag"]["facts_heldout"]["retrieval"]["hit_rate_5"] == 1.0
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    (line,) = (line for line in Comparison(runs).text().splitlines() if line.startswith("rag"))
    assert "{value:.2f} [{low:.2f}, {high:.2f}]".format(**table["rag"]["facts_heldout"]["accuracy"]) in line
    assert "twins" not in Comparison(runs).text()


def test_interrupted_runs_and_perplexities_that_are_no_number_are_left_out(made):
    runs = [run(), run(question_set="terms", status="interrupted", values=(1,)), run("rag", "terms")]
    table = Comparison(runs).table()
    assert table["base"]["interrupted"] == ["terms"] and "interrupted" not in table["rag"]
    assert "terms" not in table["base"] and "terms" in table["rag"] and "base: terms" in Comparison(runs).text()
    comparison = Comparison([replace(r, metrics=r.metrics | {"perplexity": math.nan}) for r in made])
    assert all("perplexity" not in figures for row in comparison.table().values() for figures in row.values())
    assert comparison.losses("base", "terms") == {}
    assert any("perplexity" in caveat and "base/terms" in caveat for caveat in comparison.caveats())


# ---- what follows from it


def test_contrasts_are_corrected_for_their_number(made):
    found = Comparison(made).contrasts()
    assert set(zip(found.question_set, found.arm, strict=True)) == {
        (name, arm) for name in ("facts_heldout", "terms") for arm in ARMS[1:]
    }
    assert (found.p_holm >= found.p).all() and (found.p_holm > found.p).any()
    by = found.set_index(["question_set", "arm"])
    assert by.clear["facts_heldout", "rag"] and by.low["facts_heldout", "rag"] > 0.5
    assert not by.clear["terms", "base:few_shot"]
    assert Comparison([run()]).contrasts().empty
    with pytest.raises(DataError, match="no result of 'base'"):
        Comparison([r for r in made if r.arm != "base"]).contrasts()


def test_caveats_name_machines_small_samples_and_differences_that_are_not_clear(made):
    told = Comparison(made).caveats()
    assert not any("machines" in caveat for caveat in told)
    assert any("House terms" in caveat and "Few-shot" in caveat for caveat in told)
    moved = [replace(made[0], hardware=made[0].hardware | {"processor": "another"}), *made[1:]]
    assert any("different machines" in caveat for caveat in Comparison(moved).caveats())
    few = Comparison([run()]).caveats()
    assert any("Held-out facts: 3 questions" in caveat and "93 show" in caveat for caveat in few)


# ---- times


def test_rounds_of_one_question_count_once():
    taken = [
        Timing(arm, f"q{question}", 0.0, base / 2, None, base + question + turn, 10, 1)
        for arm, base in (("slow", 3.0), ("fast", 1.0)) for question in range(3) for turn in range(3)
    ]  # fmt: skip
    aside = [replace(taken[-1], question_set="triage"), replace(taken[-1], equal_length=True)]
    assert Timings({}, taken + aside).seconds("total_s") == {"slow": [4.0, 5.0, 6.0], "fast": [2.0, 3.0, 4.0]}
    uneven = [*taken, replace(taken[-1], total_s=90.0), replace(taken[-1], total_s=91.0)]
    assert max(Timings({}, uneven).seconds("total_s")["fast"]) < 90


def test_times_of_the_turns_replace_those_of_the_runs_they_were_made_about(tmp_path):
    runs = make_results(arms=("base", "rag"), sets=("facts_heldout", "terms"), profile="quick")
    asked = [score.question.id for score in runs[0].scores][:2]
    timings = [Timing("rag", name, 0.0, 0.5, None, 1.5 + turn, 9, 2) for name in asked for turn in (0, 2)]
    write_timings(tmp_path, Timings(timing_conditions(runs), timings))
    comparison = Comparison(runs).with_timings(tmp_path)
    assert comparison.timed == "The arms were timed in turns. Timed in their own runs: Base."
    assert comparison.seconds("rag") == [2.5, 2.5] and comparison.seconds("rag", phase="first_token_s") == [0.5, 0.5]
    changed = [after for before, after in zip(runs, comparison.results, strict=True) if before != after]
    assert [(r.arm, r.question_set) for r in changed] == [("rag", "facts_heldout")], "the others took no turn"
    others = [replace(r, experiment="f" * 64) for r in runs]
    unchanged = Comparison(others).with_timings(tmp_path)
    assert unchanged.results == others and "is about other results" in unchanged.timed
    assert Comparison(others).with_timings(tmp_path / "absent").timed.endswith("the times are those of their own runs.")
