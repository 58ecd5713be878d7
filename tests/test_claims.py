"""Claims: the data files are sound, and each verdict follows from known numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from synthetic import SHARES, make_results

from helpers import analysis
from helpers.analysis import Claim, Comparison, judge, read_claims
from helpers.data.profiles import PROFILES
from helpers.data.records import DataError

ONE = "- {id: one, relation: above, first: {arm: rag}, second: {value: 0}}"


def claim(first="rag", second=None, relation="above", margin=0.2, question_set="facts_heldout") -> Claim:
    other = {"arm": second, "set": question_set} if second else {"value": 0.0}
    return Claim(relation, {"arm": first, "set": question_set}, other, margin=margin)


def verdict(comparison, claimed):
    (found,) = judge(comparison, [claimed])
    return found


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results())


def changed(comparison, arm, question_set, **metrics):
    run = comparison.run(arm, question_set)
    return Comparison([replace(r, metrics=r.metrics | metrics) if r is run else r for r in comparison.results])


def test_every_claim_has_a_source_and_speaks_of_arms_that_exist():
    listed = read_claims()
    assert all(e.text.endswith(".") and "arXiv:" in e.source for e in [*listed, *read_claims("own_data")])
    named = {q.arm for e in listed for q in (e.first, e.second) if q and q.arm}
    assert named <= set(SHARES) and len(named) >= 7


def test_a_world_that_behaves_as_designed_contradicts_nothing(made):
    verdicts = judge(made)
    found = {each.claim.id: each.verdict for each in verdicts}
    assert list(found) == [e.id for e in read_claims()] and "contradicted" not in found.values()
    assert sum(analysis.counts(verdicts).values()) == len(verdicts)
    for sure in ("rag-heldout", "customization-stale", "both-heldout", "adaptation-perplexity"):
        assert found[sure] == "supported", sure


def test_a_world_that_behaves_otherwise_contradicts_what_it_should():
    shares = {"rag": [0.05] * 8, "customization": [0.9] * 8}
    broken = Comparison(make_results(arms=("base", "rag", "customization"), shares=shares))
    found = {each.claim.id: each.verdict for each in judge(broken)}
    against = {name for name, each in found.items() if each == "contradicted"}
    assert against >= {"rag-heldout", "rag-updates", "customization-stale", "customization-heldout"}
    assert found["base-heldout"] != "contradicted" and found["both-heldout"] == "not measured"


def test_the_same_difference_is_supported_contradicted_or_open_by_its_margin(made):
    held = verdict(made, claim(second="base"))
    assert held.verdict == "supported" and held.measured["low"] > 0.2
    assert verdict(made, claim(margin=0.999)).verdict == "contradicted"
    assert verdict(made, claim(second="base", relation="below")).verdict == "contradicted"
    short = verdict(made, claim(second="base", margin=held.measured["value"] + 0.03))
    value, high, n = (short.measured[name] for name in ("value", "high", "n"))
    needed = math.ceil(n * ((high - value) / (short.claim.margin - value)) ** 2)  # the upper end decides: it lies below
    assert short.verdict == "not decided" and f"About {needed:,} questions" in short.why
    assert "No feasible number" in verdict(made, claim(second="base", margin=held.measured["value"])).why


@pytest.mark.parametrize(("share", "wanted"), [(0.5, "supported"), (0.9, "not decided"), (1.1, "contradicted")])
def test_perplexity_is_judged_by_its_ratio_over_texts(made, share, wanted):
    entry = next(e for e in read_claims() if e.id == "adaptation-perplexity")
    base = made.losses("base", "terms")
    losses = [(loss + n * (math.log(share) + 0.1 * (-1) ** i), n) for i, (loss, n) in enumerate(base)]
    perplexity = math.exp(sum(loss for loss, _ in losses) / sum(n for _, n in losses))
    found = verdict(changed(made, "domain_adaptation", "terms", perplexity=perplexity, text_losses=losses), entry)
    assert found.verdict == wanted and found.measured["value"] == pytest.approx(share, rel=0.01)
    assert found.measured["low"] < found.measured["value"] < found.measured["high"]
    assert found.measured["n"] == len(base)


def test_what_was_not_measured_whole_decides_nothing(made):
    cut = [replace(r, status="interrupted") if r.arm == "rag" else r for r in made.results if r.arm in ("base", "rag")]
    found = verdict(Comparison(cut), claim())
    assert found.verdict == "not measured" and "facts_heldout of rag" in found.why
    entry = next(e for e in read_claims() if e.id == "adaptation-perplexity")
    bare = [replace(r, metrics={k: v for k, v in r.metrics.items() if k != "text_losses"}) for r in made.results]
    found = verdict(Comparison(bare), entry)
    assert found.verdict == "not decided" and found.measured["value"] < 1 and math.isinf(found.measured["high"])
    broken = [replace(r, metrics=r.metrics | {"perplexity": math.nan}) for r in made.results]
    assert verdict(Comparison(broken), entry).verdict == "not measured"


@pytest.mark.parametrize(("relation", "wanted"), [("above", "contradicted"), ("below", "supported")])
def test_a_short_training_decides_nothing(relation, wanted):
    claimed = claim("customization", relation=relation, margin=0.9)
    shares = {"customization": [0.0] * 8}
    for profile, expected in (("workshop", wanted), ("quick", "not decided")):
        made = Comparison(make_results(profile=profile, arms=("base", "customization"), shares=shares))
        found = verdict(made, claimed)
        assert found.verdict == expected, found.why
    assert f"quick profile makes {PROFILES['quick'].training_share:.0%}" in found.why


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("- {id: one, relation: beside, first: {arm: rag}, second: {value: 0}}", "entry 1.relation"),
        ("- {id: one, relation: above, first: {arm: rag, set: guesses}, second: {value: 0}}", "guesses"),
        ("- {id: one, relation: above, second: {value: 0}}", "entry 1.first: Field required"),
        ("- {id: one, relation: above, first: {}, second: {value: 0}}", "either an `arm` or a `value`"),
        ("- {id: one, relation: above, first: {arm: rag}, second: {arm: rag, metric: wall_s}}", "same metric"),
        (f"{ONE}\n{ONE[:-1]}, color: red}}", "entry 2.color"),
        (f"{ONE}\n{ONE}", "'one' is used twice"),
        ("- {", "cannot be read"),
    ],
)
def test_claims_that_make_no_sense_are_refused_by_file_and_entry(tmp_path, content, named):
    (tmp_path / "expectations.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=f"(?s)expectations.yaml.*{named}"):
        read_claims(folder=tmp_path)
