"""The comparison: what may not be compared, the table, contrasts, seeds and caveats."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, freshness_steps, pareto_front, read_comparison
from helpers.data.records import QUESTION_SETS, Answer, DataError, Effort, Question, Result, Score
from helpers.experiment import results

ARMS = (
    "base", "base:few_shot", "rag", "rag:3_passages", "customization", "domain_adaptation", "rag+customization",
)  # fmt: skip


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


@pytest.fixture
def made():
    return make_results(arms=ARMS, sets=("facts_heldout", "terms"))


# ---- what may not be compared


def refuses(made, match):
    with pytest.raises(DataError, match=match):
        Comparison(made)


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
    refuses([run(), run("rag", experiment="f" * 64, **fields)], f"(?s)base/facts_heldout.*rag/facts_heldout.*{named}")


def test_no_results_and_results_of_another_schema_are_refused(made):
    refuses([made[0], replace(made[1], schema=0)], "schema")
    refuses([], "no results")


def test_an_arm_that_was_asked_other_questions_is_refused(made):
    refuses([run(), run("rag", values=(1, 0))], "not asked the same questions of facts_heldout")
    score = made[0].scores[0]
    for changed in ({"prompt": "Another question?"}, {"answers": ("another answer",)}):
        other = replace(score, question=replace(score.question, **changed))
        refuses([replace(made[0], scores=[other, *made[0].scores[1:]]), *made[1:]], "same questions of facts_heldout")


def test_swapped_labels_are_noticed_even_where_the_record_was_swapped_too(made):
    records = {result.arm: result.config["arm"] for result in made}
    for first, second in permutations(ARMS, 2):
        swap = {first: second, second: first}
        swapped = [replace(result, arm=swap.get(result.arm, result.arm)) for result in made]
        refuses(swapped, "labels may be swapped")
        refuses([replace(r, config=r.config | {"arm": records[r.arm]}) for r in swapped], "labels may be swapped")


def test_answers_beside_another_question_and_prompts_that_leak_are_refused(made):
    turned = replace(made[0].scores[0], answer=made[0].scores[1].answer)
    refuses([replace(made[0], scores=[turned, *made[0].scores[1:]]), *made[1:]], "belongs to another one")
    tuned = next(r for r in made if r.arm == "customization")
    shown = [replace(s, answer=replace(s.answer, prompt="The answer is ... " + s.answer.prompt)) for s in tuned.scores]
    others = [r for r in made if r is not tuned]
    refuses([*others, replace(tuned, scores=shown)], "base and .*customization should read the same prompt")


def test_a_score_that_is_not_a_number_names_arm_question_set_and_seed(made):
    first = made[0]
    broken = replace(first, scores=[replace(first.scores[0], value=float("nan")), *first.scores[1:]])
    named = f"{first.arm}/{first.question_set} .seed 7.: the score of question .* is nan"
    refuses([broken, *made[1:]], named)


@pytest.mark.parametrize(
    ("arm", "change", "key"),
    [
        ("customization", {"adapter": {"triage": {"epochs": 9}, "answers": {"seed": 8}}}, "adapter.triage.epochs"),
        ("rag", {"rag": {"k": 1, "chunk_size": 64}}, "rag.mode"),
    ],
)
def test_runs_of_one_arm_may_differ_in_their_seed_alone(arm, change, key):
    made = make_results(arms=("base", "rag", "customization"), sets=("facts_heldout",), seeds=(7, 8))
    assert Comparison(made).arms == ["base", "rag", "customization"]
    other = [replace(r, config=r.config | change) if (r.arm, r.seed) == (arm, 8) else r for r in made]
    refuses(other, f"different settings .{key}")


def test_a_file_whose_name_and_record_disagree_is_refused(made, tmp_path):
    for result in made:
        results.write_result(tmp_path, result)
    read = read_comparison(tmp_path)
    assert len(read.results) == len(made) and read.arms == list(ARMS) and "own runs" in read.timed
    assert read.table() == Comparison(made).table()
    path = tmp_path / results.file_name("base", "terms", 7, "e" * 64)
    path.rename(tmp_path / results.file_name("base", "terms", 8, "e" * 64))
    with pytest.raises(DataError, match="renamed, or its label changed"):
        read_comparison(tmp_path)


# ---- the table


def test_the_table_has_the_form_that_is_documented():
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
            assert name in QUESTION_SETS
            assert set(row[name]["accuracy"]) == {"value", "low", "high", "n"}
            for times in ("first_token_s", "total_s"):
                assert row[name][times] is None or set(row[name][times]) == {"median", "p95", "n"}, (arm, name)
    assert table["base"]["facts_heldout"]["total_s"]["median"] == pytest.approx(0.4)
    assert table["base"]["terms"]["first_token_s"] is None and table["base"]["terms"]["perplexity"] == 9.5
    assert table["rag"]["triage"]["valid_json"] == 0.9 and table["rag"]["triage"]["accuracy"]["value"] == 0.5
    assert table["rag"]["facts_heldout"]["retrieval"]["hit_rate_5"] == 1.0
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_seeds_are_pooled_and_shown_one_by_one():
    figures = Comparison([run(seed=7, values=(1, 1, 0, 0)), run(seed=8, values=(1, 1, 1, 0))]).table()["base"]
    assert figures["facts_heldout"]["accuracy"]["value"] == 5 / 8 and figures["facts_heldout"]["accuracy"]["n"] == 8
    one, three = (
        Comparison([run(seed=seed, values=(1, 1, 1, 1)) for seed in seeds]).table()["base"]["facts_heldout"]["accuracy"]
        for seeds in ((7,), (7, 8, 9))
    )
    assert three["low"] == pytest.approx(one["low"]), "the same questions asked again do not count as new ones"
    comparison = Comparison(make_results(arms=("base", "rag"), sets=("facts_heldout",), seeds=(7, 8, 9)))
    by_seed = comparison.seeds()["rag"]["facts_heldout"]
    assert len(by_seed) == 3 and len(set(by_seed)) > 1
    assert comparison.table()["rag"]["facts_heldout"]["accuracy"]["value"] == pytest.approx(sum(by_seed) / 3)
    assert Comparison(make_results(arms=("base",), sets=("terms",), profile="quick")).seeds() == {}


def test_interrupted_runs_are_listed_and_left_out():
    runs = [run(), run(question_set="terms", status="interrupted", values=(1,)), run("rag", "terms")]
    table = Comparison(runs).table()
    assert table["base"]["interrupted"] == ["terms"]
    assert "terms" not in table["base"] and "terms" in table["rag"] and "interrupted" not in table["rag"]
    assert "base: terms" in Comparison(runs).text()


def test_a_perplexity_that_is_not_a_number_is_left_out(made):
    comparison = Comparison([replace(r, metrics=r.metrics | {"perplexity": float("nan")}) for r in made])
    assert all("perplexity" not in figures for row in comparison.table().values() for figures in row.values())
    assert any("perplexity" in caveat and "base/terms" in caveat for caveat in comparison.caveats())


def test_the_text_shows_the_numbers_of_the_table():
    comparison = Comparison([run(), run("rag", values=(1, 1, 1)), run("rag", "terms")])
    accuracy = comparison.table()["rag"]["facts_heldout"]["accuracy"]
    rag = [line for line in comparison.text().splitlines() if line.startswith("rag")]
    assert f"1.00 [{accuracy['low']:.2f}, 1.00]" in rag[0]
    assert "0.40" in rag[1] and "2.0" in rag[1]


# ---- what follows from it


def test_contrasts_are_corrected_for_their_number(made):
    found = Comparison(made).contrasts()
    assert {(c.question_set, c.second) for c in found} == {(s, a) for s in ("facts_heldout", "terms") for a in ARMS[1:]}
    assert all(c.p >= c.difference["p"] for c in found) and any(c.p > c.difference["p"] for c in found)
    rag = next(c for c in found if (c.question_set, c.second) == ("facts_heldout", "rag"))
    assert rag.clear and rag.difference["low"] > 0.5
    few = next(c for c in found if (c.question_set, c.second) == ("terms", "base:few_shot"))
    assert not few.clear
    with pytest.raises(DataError, match="no result of 'base'"):
        Comparison([r for r in made if r.arm != "base"]).contrasts()


def test_caveats_name_machines_small_samples_and_differences_that_are_not_clear(made):
    told = Comparison(made).caveats()
    assert not any("machines" in caveat for caveat in told)
    assert any("`terms`" in caveat and "base:few_shot" in caveat for caveat in told)
    moved = [replace(made[0], hardware=made[0].hardware | {"processor": "another"}), *made[1:]]
    assert any("different machines" in caveat for caveat in Comparison(moved).caveats())
    few = Comparison([run()]).caveats()
    assert any("`facts_heldout` has 3 questions" in caveat and "93 questions" in caveat for caveat in few)


def test_the_front_holds_arms_that_no_other_beats():
    points = {"base": (1.0, 0.1), "rag": (3.0, 0.8), "slow": (4.0, 0.8), "worse": (3.0, 0.2), "best": (9.0, 0.9)}
    assert pareto_front(points) == ["base", "rag", "best"]
    assert pareto_front({"one": (1, 1), "same": (1, 1)}) == ["one", "same"]


def test_freshness_separates_arms_that_were_brought_up_to_date_from_those_that_were_not():
    updated = run("rag", "updates", metrics={"update": {"effort": {"wall_s": 2.0}, "measured": True, "reembedded": 3}})
    stale = run("customization", "updates", metrics={"update": {"effort": {"wall_s": 300.0}, "measured": False}})
    steps = freshness_steps(Comparison([updated, stale, run("base", "updates")]).table())
    assert list(steps) == ["rag", "customization"]
    assert steps["rag"]["fresh"] and not steps["rag"]["estimated"] and steps["rag"]["seconds"] == 2.0
    assert not steps["customization"]["fresh"] and steps["customization"]["estimated"]
