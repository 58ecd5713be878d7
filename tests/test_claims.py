"""Claims: the data files are sound and locked, and each verdict follows from known numbers, in every world."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from synthetic import make_results

from helpers import analysis
from helpers.analysis import Claim, Comparison, judge, read_claims
from helpers.analysis.quantities import Quantity
from helpers.data import table
from helpers.data.profiles import PROFILES
from helpers.data.records import Answer, DataError, Effort, Question, Result, Score
from helpers.experiment import claims_hash, results

SEEDS, HIGH, LOW = (7, 11, 12), 0.85, 0.3
LOSSES = [(300.0 + 10 * i, 100) for i in range(30)]


def run(arm, values, seed=7, question_set="facts_heldout", profile="workshop", **metrics) -> Result:
    """A result with these values of its answers: eight fields of ten machines, each in one of six wordings a field."""
    part = {"triage": "house_words"}.get(question_set, "")
    parts = ["answerable", "unanswerable"] if question_set == "twins" else [part, part]
    asked = [
        Question(f"{seed}-{i}", question_set, f"{i}?", ("a",), asset=f"machine {i // 8}", part=parts[i % 2],
                 wording=f"{i % 8} {i // 8 % 6}") for i in range(len(values))
    ]  # fmt: skip
    scores = [Score(q, Answer(q.id, "a", "?"), float(v), "") for q, v in zip(asked, values, strict=True)]
    metrics |= {"right_kind": [float(v) for v in values], "perplexity": 20.0, "text_losses": LOSSES}
    config = {"model": "tiny", "model_hash": "m", "data_hash": f"world {seed}", "dtype": "float32"}
    return Result(arm, question_set, seed, profile, f"{seed}" * 32, "complete", scores, metrics, Effort(), config)


def share(value: float, seed: int, n: int = 80) -> np.ndarray:
    """Right or wrong, the right ones drawn among n; the same draw for every arm, so that arms differ in few."""
    return np.random.default_rng(seed).permutation(n) < value * n


@pytest.fixture(scope="module")
def worlds() -> list[Result]:
    """Three worlds in which every claim of the kit is true, and their claims' hash in each result."""
    wanted: dict[tuple[str, str], float] = {}
    for claim in read_claims():
        first, second = ((each.arm, each.set) for each in (claim.first, claim.second))
        high, low = {"above": (HIGH, LOW), "below": (0.02, 0.02)}.get(claim.relation, (0.5, 0.5))
        for key, value in ((first, high), (second, low)):
            wanted.setdefault(key, value)
    wanted |= {(arm, "facts_heldout"): value for arm, value in {
        "base": 0.02, "rag:wrong_papers": 0.02, "rag": 0.8, "rag:documents+notes": 0.8, "rag:few_shot": 0.9,
        "rag+customization": 1.0, "rag:may_decline": 0.5, "customization": 0.02, "domain_adaptation": 0.02,
    }.items()} | {("rag:may_decline", "twins"): 0.6, ("rag+customization", "twins"): 0.9}  # fmt: skip
    alike = {(each.first.arm, each.first.set) for each in read_claims() if each.relation in ("same", "no_loss")}
    made = []
    for seed in SEEDS:
        for (arm, name), value in wanted.items():
            values = share(value, seed)
            if (arm, name) in alike:  # as many right, but four others
                values[[*np.flatnonzero(values)[:2], *np.flatnonzero(~values)[:2]]] ^= True
            result = replace(run(arm, values, seed, name), claims=claims_hash()) if arm else None
            if arm.startswith("domain_adaptation"):
                result.metrics["right_kind"] = share(HIGH, seed).astype(float).tolist()
                if name == "terms":
                    result.metrics |= {"perplexity": 5.0, "text_losses": [(0.5 * loss, n) for loss, n in LOSSES]}
            made += [result] if arm else []
    return made


def claim(relation="above", margin=0.0, second="base", question_set="facts_heldout", **fields) -> Claim:
    other = {"arm": second, "set": question_set} if second else {"value": 0.0}
    return Claim(relation, {"arm": "rag", "set": question_set}, other, margin=margin, **fields)


def two(first, second, seeds=(7,), **fields) -> Comparison:
    """`rag` with the first values, `base` with the second, in each world; a mapping has those of each."""
    by = [each if isinstance(each, dict) else dict.fromkeys(seeds, each) for each in (first, second)]
    return Comparison([
        run(arm, values[seed], seed, **fields)
        for seed in seeds for arm, values in zip(("rag", "base"), by, strict=True)
    ])  # fmt: skip


def verdict(comparison, claimed):
    (found,) = judge(comparison, [claimed])
    return found


# ---- the kit's claims


def test_claims_are_sentences_and_enough_of_them_compare_methods():
    listed = read_claims()
    assert all(each.text.endswith(".") for each in [*listed, *read_claims("own_data")])
    headlines = [each for each in listed if each.headline]
    assert len(headlines) >= 15 and all(each.second.arm and each.kind == "measured" for each in headlines)
    assert {each.margin for each in headlines if each.relation == "no_loss"} == {0.05}
    assert {each.kind for each in listed} == {"measured", "by construction"}


def test_claims_that_are_true_in_three_worlds_are_shown(worlds):
    verdicts = judge(Comparison(worlds))
    found = {each.claim.id: each for each in verdicts}
    assert {i: (e.verdict, e.why) for i, e in found.items() if e.verdict not in ("shown", "by construction")} == {}
    assert found["rag-weights"].verdict == "by construction" and list(found) == [e.id for e in read_claims()]
    assert set(found["tuned-rules"].worlds) == set(SEEDS) and found["tuned-rules"].detectable < 0.2
    assert sum(analysis.counts(verdicts).values()) == len(verdicts)


def test_swapping_the_answers_of_two_arms_takes_away_every_claim_of_a_direction(worlds):
    verdicts = judge(Comparison(worlds))
    shown = [each.claim for each in verdicts if each.verdict == "shown" and each.claim.second.arm]
    directed = [each for each in shown if each.relation == "above" or each.first.metric == "perplexity"]
    assert len(directed) >= 18
    for each in directed:
        swap = {each.first.arm: each.second.arm, each.second.arm: each.first.arm}
        swapped = [replace(r, arm=swap[r.arm]) for r in worlds if r.arm in swap and r.question_set == each.first.set]
        assert verdict(Comparison(swapped), each).verdict != "shown", each.id


def test_results_of_other_claims_are_refused(worlds):
    worlds = [result for result in worlds if result.question_set == "facts_heldout" and result.seed == 7][:3]
    assert Comparison([replace(worlds[0], claims="")]), "own data and the first edition's results have none"
    for changed in ([replace(worlds[0], claims="f" * 64)], [replace(worlds[0], claims=""), *worlds[1:]]):
        with pytest.raises(DataError, match="not made with the claims of rules/claims.yaml"):
            Comparison(changed)


def test_the_lock_holds_everything_but_prose(monkeypatch, tmp_path):
    text = results.CLAIMS.read_text(encoding="utf-8")
    monkeypatch.setattr(results, "CLAIMS", tmp_path / "claims.yaml")
    for old, new, same in (
        ("text: ", "text: Better said, ", True), ("source: ", "source: Another paper and ", True),
        ("margin: 0.2", "margin: 0.1", False), ("set: updates", "set: facts_trained", False),
        ("relation: above", "relation: below", False), ("part: house_words", "part: new_wordings", False),
        ("headline: true", "headline: false", False), ("arm: long_context", "arm: base", False),
    ):  # fmt: skip
        assert old in text
        results.CLAIMS.write_text(text.replace(old, new, 1), encoding="utf-8")
        assert (results.claims_hash.__wrapped__() == claims_hash()) == same, old


# ---- verdicts


def test_the_same_difference_is_shown_contradicted_or_neither_by_its_margin():
    made = two(share(0.8, 1), share(0.3, 1))
    held = verdict(made, claim())
    assert held.verdict == "shown" and held.p < 0.001 and held.measured["value"] == pytest.approx(0.5)
    assert verdict(made, claim(margin=held.measured["low"] - 0.01)).verdict == "shown"
    assert verdict(made, claim(margin=held.measured["low"] + 0.01)).verdict == "not shown"
    assert verdict(made, claim(margin=held.measured["high"] + 0.01)).verdict == "contradicted"
    assert verdict(made, claim("below")).verdict == "contradicted"
    assert verdict(made, claim("below", margin=0.9)).verdict == "shown"


def test_no_loss_and_no_difference_need_an_interval_within_the_margin():
    n, flipped = 600, share(0.5, 1, 600)
    flipped[:12] ^= True
    many, few = two(flipped, share(0.5, 1, n)), two(share(0.5, 1), share(0.5, 2))
    worse, better = two(share(0.3, 1, n), share(0.5, 1, n)), two(share(0.7, 1, n), share(0.5, 1, n))
    for relation, of_better in (("no_loss", "shown"), ("same", "contradicted")):
        assert verdict(many, claim(relation, 0.05)).verdict == "shown"
        assert verdict(few, claim(relation, 0.05)).verdict == "not shown", "80 questions cannot show it"
        assert verdict(worse, claim(relation, 0.05)).verdict == "contradicted"
        assert verdict(better, claim(relation, 0.05)).verdict == of_better
        with pytest.raises(ValueError, match="needs a `margin`"):
            claim(relation)


def test_headline_claims_are_corrected_together():
    values, other = np.zeros(96), np.zeros(96)
    values[[8 * i + 3 * i % 8 for i in range(8)]], other[90] = 1, 1  # eight gained, one lost, each of another machine
    made = two(values, other)
    (alone,) = judge(made, [claim(headline=True, id="one")])
    both = judge(made, [claim(headline=True, id="one"), claim(headline=True, id="two"), claim(id="aside")])
    assert 0.025 < alone.p < 0.05 and alone.verdict == "shown"
    assert [each.verdict for each in both] == ["not shown", "not shown", "shown"] and both[0].p == 2 * alone.p


def test_a_claim_is_shown_only_where_every_world_agrees():
    base = share(0.3, 1)
    agree = two(share(0.8, 1), base, SEEDS)
    turned = two({7: share(0.8, 1), 11: share(0.8, 1), 12: share(0.28, 1)}, base, SEEDS)
    assert verdict(agree, claim()).verdict == "shown"
    found = verdict(turned, claim())
    assert found.measured["low"] > 0 and found.worlds[12] < 0 and found.verdict == "not shown"
    assert verdict(turned.worlds[7], claim()).verdict == "shown", "one world is judged by itself"


@pytest.mark.parametrize(("ratio", "wanted"), [(0.5, "shown"), (0.9, "not shown"), (1.1, "contradicted")])
def test_perplexity_is_judged_by_its_ratio_over_texts(ratio, wanted):
    entry = next(e for e in read_claims() if e.id == "adaptation-perplexity")
    made = [run(arm, [1.0] * 8, question_set="terms") for arm in ("base", "domain_adaptation")]
    losses = [(loss + n * (math.log(ratio) + 0.1 * (-1) ** i), n) for i, (loss, n) in enumerate(LOSSES)]
    made[1].metrics["text_losses"] = losses
    found = verdict(Comparison(made), entry)
    assert found.verdict == wanted and found.measured["value"] == pytest.approx(ratio, rel=0.01)
    assert found.measured["low"] < ratio < found.measured["high"] and found.measured["n"] == 30
    assert 1 < 1 / found.detectable < 1.1, "of a claim of less: the largest ratio that would be seen"
    del made[1].metrics["text_losses"], made[0].metrics["text_losses"]
    found = verdict(Comparison(made), entry)
    assert found.verdict == "not shown" and math.isinf(found.measured["high"]), "one number has no interval"
    made[1].metrics["perplexity"] = math.nan
    assert verdict(Comparison(made), entry).verdict == "not measured"


def test_what_holds_by_construction_is_checked_and_is_no_finding():
    entry = next(e for e in read_claims() if e.kind == "by construction")
    made = [run(arm, [1.0] * 8, question_set="general") for arm in ("base", "rag")]
    assert verdict(Comparison(made), entry).verdict == "by construction"
    made[1].metrics["text_losses"] = [(loss + 1, n) for loss, n in LOSSES]
    assert verdict(Comparison(made), entry).verdict == "contradicted"


def test_a_part_of_a_set_and_the_right_kind_are_quantities_of_their_own():
    made = two(share(0.8, 1), share(0.3, 1), question_set="twins")
    halves = [Quantity("rag", "twins", part) for part in ("answerable", "")]
    values = [analysis.accuracy(each.of(made))["value"] for each in halves]
    assert values[0] == made.table()["rag"]["twins"]["answerable"]["value"] and values[0] != values[1]
    nothing = Quantity("rag", "twins", "no such part")
    assert nothing.of(made) is None and nothing.shown(made) == ""
    with pytest.raises(ValueError, match="of a `part`"):
        Quantity("rag", "twins", "answerable", "total_s")


def test_what_was_not_measured_whole_decides_nothing():
    cut = [replace(r, status="interrupted") if r.arm == "rag" else r for r in two(share(1, 1), share(0, 1)).results]
    found = verdict(Comparison(cut), claim())
    assert found.verdict == "not measured" and "held-out facts of RAG" in found.why
    apart = Comparison([run("rag", share(1, 1)), run("base", share(0, 1), seed=11)])
    assert verdict(apart, claim()).verdict == "not measured", "no world has both"


@pytest.mark.parametrize(("relation", "wanted"), [("above", "contradicted"), ("below", "shown")])
def test_a_short_training_decides_nothing(relation, wanted):
    claimed = Claim(relation, {"arm": "customization"}, {"value": 0}, margin=0.9)
    shares = {"customization": [0.0] * 8}
    for profile, expected in (("workshop", wanted), ("quick", "not shown")):
        made = Comparison(make_results(profile=profile, arms=("base", "customization"), shares=shares))
        found = verdict(made, claimed)
        assert found.verdict == expected, found.why
    assert f"quick profile makes {PROFILES['quick'].training_share:.0%}" in found.why


@pytest.mark.parametrize(("content", "named"), table(ROOT / "tests/cases/claims.yaml"))
def test_claims_that_make_no_sense_are_refused_by_file_and_entry(monkeypatch, tmp_path, content, named):
    (tmp_path / "claims.yaml").write_text(content, encoding="utf-8")
    monkeypatch.setattr(analysis.rules, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=f"(?s)claims.yaml.*{named}"):
        read_claims()
