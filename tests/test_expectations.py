"""Expectations: the file is sound, and each verdict follows from numbers whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from synthetic import SHARES, make_results

from helpers.analysis import expectations, rules
from helpers.analysis.comparison import losses_of
from helpers.analysis.expectations import Expectation, as_text, counts, judge, load_expectations
from helpers.data.profiles import PROFILES
from helpers.data.records import DataError
from helpers.experiment.results import Curve, read_curves, write_curve

POINTS = [{"x": x, "value": v, "low": v - 0.1, "high": v + 0.1, "n": 80} for x, v in ((1, 0.2), (4, 0.5), (8, 0.7))]
RISING = {"restatements": Curve("restatements", "restatements", "accuracy", "domain_adaptation", POINTS)}


def expect(first="rag", second=None, relation="above", margin=0.2, question_set="facts_heldout") -> Expectation:
    other = {"arm": second, "set": question_set} if second else {"value": 0.0}
    return Expectation("e", "A claim.", relation, margin, "a page", {"arm": first, "set": question_set}, other)


@pytest.fixture(scope="module")
def made():
    return make_results()


def test_the_file_states_every_right_answer_of_the_design():
    listed = load_expectations()
    assert {e.answer for e in listed} == set(range(1, 9))
    assert all(e.claim.endswith(".") and "arXiv:" in e.source for e in listed)
    named = {q["arm"] for e in listed for q in (e.first, e.second) if "arm" in q}
    assert named <= set(SHARES) and len(named) >= 7


def test_a_world_that_behaves_as_designed_fails_nothing(made):
    verdicts = judge(made, RISING)
    assert [each.expectation.id for each in verdicts] == [e.id for e in load_expectations()]
    found = {each.expectation.id: each.verdict for each in verdicts}
    assert "failed" not in found.values(), as_text(verdicts)
    for sure in ("rag-heldout", "customization-stale", "both-heldout", "adaptation-perplexity", "both-restatements"):
        assert found[sure] == "held", sure
    assert found["retention-epochs"] == "not measured"


def test_a_world_that_behaves_otherwise_fails_what_it_should():
    broken = make_results(arms=("base", "rag", "customization"), shares={"rag": [0.05] * 8, "customization": [0.9] * 8})
    found = {each.expectation.id: each.verdict for each in judge(broken)}
    assert found["rag-heldout"] == found["rag-updates"] == found["customization-stale"] == "failed"
    assert found["customization-heldout"] == "failed" and found["base-heldout"] != "failed"
    assert found["both-heldout"] == "not measured"


def test_the_same_difference_is_held_failed_or_open_by_its_margin(made):
    arms = [r for r in made if r.arm in ("base", "rag")]
    (held,), (failed,) = judge(arms, None, [expect(second="base")]), judge(arms, None, [expect(margin=0.999)])
    assert held.verdict == "held" and held.low > 0.2 and failed.verdict == "failed"
    (below,) = judge(arms, None, [expect(relation="below", margin=0.2)])
    assert below.verdict == "failed"
    value = held.value
    (near,) = judge(arms, None, [expect(second="base", margin=round(value - 0.03, 3))])
    assert near.verdict == "not decided" and near.needed > near.n == 80
    assert f"{near.needed:,} questions" in near.why
    (short,) = judge(arms, None, [expect(second="base", margin=round(value + 0.03, 3))])
    assert short.verdict == "not decided"
    facing = short.high - short.value  # the value lies below: the upper end decides
    assert short.needed == math.ceil(short.n * (facing / (short.expectation.margin - short.value)) ** 2)
    (at,) = judge(arms, None, [expect(second="base", margin=value)])
    assert at.verdict == "not decided" and at.needed is None


def test_fewer_questions_decide_less():
    few = judge(make_results(profile="quick"))
    many = judge(make_results(profile="workshop"))
    assert counts(few)["not decided"] > counts(many).get("not decided", 0)


def with_losses(made, losses, arm="domain_adaptation"):
    """The results, with other losses of the domain texts that an arm read."""
    perplexity = math.exp(sum(loss for loss, _ in losses) / sum(count for _, count in losses))
    changed = {"perplexity": perplexity, "text_losses": losses}
    return [replace(r, metrics=r.metrics | changed) if (r.arm, r.question_set) == (arm, "terms") else r for r in made]


def test_perplexity_is_judged_by_its_ratio_over_texts(made):
    entry = next(e for e in load_expectations() if e.id == "adaptation-perplexity")
    base = losses_of(made, "base", "terms")
    for share, verdict in ((0.5, "held"), (0.9, "not decided"), (1.1, "failed")):
        noise = [0.1 * (-1) ** i for i in range(len(base))]
        losses = [(loss + n * (math.log(share) + d), n) for (loss, n), d in zip(base, noise, strict=True)]
        (found,) = judge(with_losses(made, losses), None, [entry])
        assert found.verdict == verdict and found.value == pytest.approx(share, rel=0.01), share
        assert found.low < found.value < found.high and found.n == len(base)
        assert "a ratio of" in found.why and "texts" in found.why


def test_where_one_seed_kept_no_texts_none_count(made):
    (run,) = [r for r in made if (r.arm, r.question_set) == ("base", "terms")]
    bare = replace(run, seed=8, metrics={"perplexity": 9.0})
    (read,) = losses_of([run, bare], "base", "terms")
    assert read == (pytest.approx((math.log(run.metrics["perplexity"]) + math.log(9.0)) / 2), 1)


def test_a_perplexity_without_its_texts_decides_nothing(made):
    entry = next(e for e in load_expectations() if e.id == "adaptation-perplexity")
    bare = [replace(r, metrics={k: v for k, v in r.metrics.items() if k != "text_losses"}) for r in made]
    (found,) = judge(bare, None, [entry])
    assert found.verdict == "not decided" and found.value < 1 and math.isinf(found.high)
    broken = [replace(r, metrics=r.metrics | {"perplexity": math.nan}) for r in made]
    assert judge(broken, None, [entry])[0].verdict == "not measured"


def test_interrupted_runs_and_missing_arms_are_not_measured(made):
    cut = [replace(r, status="interrupted") if r.arm == "rag" else r for r in made if r.arm in ("base", "rag")]
    (found,) = judge(cut, None, [expect()])
    assert found.verdict == "not measured" and "rag on facts_heldout" in found.why


def test_entries_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(DataError, match="above or below"):
        expect(relation="beside")
    with pytest.raises(DataError, match="question set 'guesses'"):
        expect(question_set="guesses")
    with pytest.raises(DataError, match="`first` and `second`"):
        Expectation("e", "A claim.", "above", 0.1, "a page")
    (tmp_path / "expectations.yaml").write_text("- id: one\n  claim: A claim.\n", encoding="utf-8")
    with pytest.raises(DataError, match="entry 1: `relation` is missing"):
        expectations.load_expectations(tmp_path)
    whole = "- {id: one, claim: A., relation: above, margin: 0.1, source: a page, color: red}\n"
    (tmp_path / "expectations.yaml").write_text(whole, encoding="utf-8")
    with pytest.raises(DataError, match="expectations.yaml: .*color"):
        expectations.load_expectations(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        rules.load("nowhere", folder=tmp_path)


def test_curves_are_kept_and_judged_by_their_ends(tmp_path):
    write_curve(tmp_path, RISING["restatements"])
    read = read_curves(tmp_path)
    assert read == RISING
    entry = next(e for e in load_expectations() if e.curve == "restatements")
    (found,) = judge([], read, [entry])
    assert found.verdict == "held" and found.value == pytest.approx(0.5)
    short = replace(read["restatements"], about={"profile": "quick"})
    (open_still,) = judge([], {"restatements": short}, [entry])
    assert open_still.verdict == "not decided" and "quick profile" in open_still.why
    flat = Curve("restatements", "x", "y", "base", [POINTS[0], POINTS[0] | {"x": 3}])
    assert judge([], {"restatements": flat}, [entry])[0].verdict == "not decided"
    (tmp_path / "torn.curve.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="torn.curve.json"):
        read_curves(tmp_path)
    with pytest.raises(DataError, match="no points"):
        Curve("empty", "x", "y", "base", [])
    with pytest.raises(DataError, match="`low` is no number"):
        Curve("gap", "x", "y", "base", [{"x": 1, "value": 1.0, "low": float("nan"), "high": 1.0}])


@pytest.mark.parametrize(("relation", "verdict"), [("above", "failed"), ("below", "held")])
def test_a_short_training_decides_nothing(relation, verdict):
    shares = {"customization": [0.0] * 8}
    for profile, wanted in (("workshop", verdict), ("quick", "not decided")):
        results = make_results(profile=profile, arms=("base", "customization"), shares=shares)
        (found,) = judge(results, None, [expect("customization", relation=relation, margin=0.9)])
        assert found.verdict == wanted, found.why
    share = PROFILES["quick"].training_share
    assert f"quick profile makes {share:.0%} of a training's passes" in found.why
