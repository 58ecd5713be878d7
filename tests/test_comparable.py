"""What may not be compared: swapped labels, other questions, renamed files, contexts that leak."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import make_results

from helpers.analysis import comparison as compare
from helpers.analysis.comparable import check_comparable, read_comparable
from helpers.data.records import DataError
from helpers.experiment import results

ARMS = (
    "base", "base:few_shot", "rag", "rag:3_passages", "customization", "domain_adaptation", "rag+customization",
)  # fmt: skip


@pytest.fixture
def made():
    return make_results(arms=ARMS, sets=("facts_heldout", "terms"))


def test_results_that_belong_together_are_accepted(made):
    check_comparable(made)
    assert list(compare.table(made)) == list(ARMS)


@pytest.mark.parametrize("first", ARMS)
@pytest.mark.parametrize("second", ARMS)
def test_swapped_labels_are_noticed(made, first, second):
    if first == second:
        return
    swap = {first: second, second: first}
    swapped = [replace(result, arm=swap.get(result.arm, result.arm)) for result in made]
    with pytest.raises(DataError, match="labels may be swapped"):
        check_comparable(swapped)


@pytest.mark.parametrize("pair", [("base", "rag"), ("customization", "rag+customization"), ("base", "customization"),
                                  ("base", "base:few_shot"), ("rag", "rag+customization"), ("rag", "rag:3_passages"),
                                  ("customization", "domain_adaptation")])  # fmt: skip
def test_labels_that_were_swapped_in_the_record_too_are_noticed_by_the_answers(made, pair):
    swap = dict(zip(pair, pair[::-1], strict=True))
    arms = {result.arm: result.config["arm"] for result in made}
    swapped = [
        replace(r, arm=swap.get(r.arm, r.arm), config=r.config | {"arm": arms[swap.get(r.arm, r.arm)]}) for r in made
    ]
    with pytest.raises(DataError, match="labels may be swapped"):
        check_comparable(swapped)


def test_an_arm_that_was_asked_other_questions_is_refused(made):
    score = made[0].scores[0]
    for changed in (
        replace(score.question, prompt="Another question?"), replace(score.question, answers=("another answer",))
    ):  # fmt: skip
        other = replace(made[0], scores=[replace(score, question=changed), *made[0].scores[1:]])
        with pytest.raises(DataError, match="same questions of facts_heldout"):
            check_comparable([other, *made[1:]])
    fewer = replace(made[0], scores=made[0].scores[1:])
    with pytest.raises(DataError, match="same questions"):
        check_comparable([fewer, *made[1:]])


def test_answers_beside_another_question_and_prompts_that_leak_are_refused(made):
    turned = replace(made[0].scores[0], answer=made[0].scores[1].answer)
    with pytest.raises(DataError, match="another one's"):
        check_comparable([replace(made[0], scores=[turned, *made[0].scores[1:]]), *made[1:]])
    tuned = next(r for r in made if r.arm == "customization")
    shown = [replace(s, answer=replace(s.answer, prompt="The answer is ... " + s.answer.prompt)) for s in tuned.scores]
    others = [r for r in made if r is not tuned]
    with pytest.raises(DataError, match="base and .*customization should read the same prompt"):
        check_comparable([*others, replace(tuned, scores=shown)])


def test_a_file_whose_name_and_record_disagree_is_refused(made, tmp_path):
    for result in made:
        results.write_result(tmp_path, result)
    assert len(read_comparable(tmp_path)) == len(made)
    path = tmp_path / results.file_name("base", "terms", 7, "e" * 64)
    path.rename(tmp_path / results.file_name("base", "terms", 8, "e" * 64))
    with pytest.raises(DataError, match="renamed, or its label changed"):
        read_comparable(tmp_path)


def test_results_of_another_schema_are_refused(made):
    with pytest.raises(DataError, match="schema"):
        check_comparable([made[0], replace(made[1], schema=0)])


def test_a_difference_that_no_field_names_is_named_from_the_answers(made):
    first = made[0]
    other = replace(first, experiment="f" * 64)
    with pytest.raises(DataError, match=f"(?s)of {first.created}.*the prompts, the limit of.*delete the files of"):
        check_comparable([first, other])
    with pytest.raises(DataError, match="how many questions were asked .(\\d+) against"):
        check_comparable([first, replace(other, scores=first.scores[1:])])
    read = [replace(s, answer=replace(s.answer, prompt="Else: " + s.answer.prompt)) for s in first.scores]
    with pytest.raises(DataError, match="they differ in the prompts. Keep"):
        check_comparable([first, replace(other, scores=read)])


def test_a_score_that_is_no_number_names_arm_question_set_and_seed(made):
    first = made[0]
    broken = replace(first, scores=[replace(first.scores[0], value=float("nan")), *first.scores[1:]])
    with pytest.raises(DataError, match=f"{first.arm}/{first.question_set} .seed 7.: the score of question .* is nan"):
        check_comparable([broken, *made[1:]])


def test_contrasts_are_corrected_for_their_number(made):
    found = compare.contrasts(made)
    assert {(c.question_set, c.second) for c in found} == {(s, a) for s in ("facts_heldout", "terms") for a in ARMS[1:]}
    assert all(c.p >= c.difference.p for c in found) and any(c.p > c.difference.p for c in found)
    rag = next(c for c in found if (c.question_set, c.second) == ("facts_heldout", "rag"))
    assert rag.clear and rag.difference.low > 0.5
    few = next(c for c in found if (c.question_set, c.second) == ("terms", "base:few_shot"))
    assert not few.clear
    with pytest.raises(DataError, match="no result of 'base'"):
        compare.contrasts([r for r in made if r.arm != "base"])


def test_seeds_are_shown_one_by_one_where_there_are_several():
    made = make_results(arms=("base", "rag"), sets=("facts_heldout",), seeds=(7, 8, 9))
    found = compare.seeds(made)
    assert len(found["rag"]["facts_heldout"]) == 3 and len(set(found["rag"]["facts_heldout"])) > 1
    mean = sum(found["rag"]["facts_heldout"]) / 3
    assert compare.table(made)["rag"]["facts_heldout"]["accuracy"]["value"] == pytest.approx(mean)
    assert compare.seeds(make_results(arms=("base",), sets=("terms",), profile="quick")) == {}


def test_runs_of_one_arm_may_differ_in_their_seed_alone():
    made = make_results(arms=("base", "rag", "customization"), sets=("facts_heldout",), seeds=(7, 8))
    check_comparable(made)
    for arm, change, key in (
        (
            "customization",
            {"adapter": {"triage": {"learning_rate": 1.0, "seed": 8}, "answers": {"seed": 8}}},
            "adapter",
        ),
        ("rag", {"rag": {"k": 1, "chunk_size": 64}}, "rag"),
    ):
        other = [replace(r, config=r.config | change) if (r.arm, r.seed) == (arm, 8) else r for r in made]
        with pytest.raises(DataError, match=f"different settings .`{key}`"):
            check_comparable(other)


def test_results_of_two_machines_are_not_compared_in_their_times(made):
    assert not any("machines" in told for told in compare.caveats(made))
    moved = [replace(made[0], hardware=made[0].hardware | {"processor": "another"}), *made[1:]]
    assert any("different machines" in told for told in compare.caveats(moved))


def test_a_perplexity_that_is_no_number_is_left_out(made):
    broken = [replace(r, metrics=r.metrics | {"perplexity": float("nan")}) for r in made]
    assert all("perplexity" not in figures for row in compare.table(broken).values() for figures in row.values())
