"""A study of your own data, from end to end and from the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import make_tiny, write

from helpers import verbs
from helpers.analysis import Comparison, judge, read_claims
from helpers.data import profiles
from helpers.data.documents import read_documents
from helpers.data.own_data import OWN_ARMS, prepare_own_data
from helpers.data.records import DataError, KitError
from helpers.experiment import arms
from helpers.experiment.results import read_results, write_result
from helpers.experiment.study import Study
from helpers.plots import report


@pytest.fixture
def llama(monkeypatch, tmp_path):
    """The folder of a tiny model, in a profile with few questions and the shortest of trainings."""
    few = replace(
        profiles.PROFILES["quick"], questions_per_set=4, latency_questions=1, batch_size=4, training_share=0.01
    )
    monkeypatch.setitem(profiles.PROFILES, "quick", few)
    return make_tiny("Llama", tmp_path / "llama")


def test_a_study_of_your_own_data_runs_from_end_to_end(llama, tmp_path, folder, questions, pairs, capsys):
    out = tmp_path / "out"
    verbs.study(documents=folder, questions=str(questions), pairs=pairs, out=out, model=str(llama), profile="quick")
    printed = capsys.readouterr().out
    own = prepare_own_data(folder, questions, pairs, "quick", out)
    results = own.out / "quick"
    made = read_results(results)
    frame = Study(own.folder, "quick", out=results, model=str(llama), progress=False)
    assert arms.left_out(OWN_ARMS, frame.dataset) == {}
    sets = frame.dataset.question_sets
    assert {(r.arm, r.question_set) for r in made} == {(arm, name) for arm in OWN_ARMS for name in sets}
    by = {(result.arm, result.question_set): result for result in made}
    found = by["rag", "facts_heldout"]
    assert all(score.answer.passages for score in found.scores) and 0 <= found.metrics["retrieval"]["mrr"] <= 1
    sources = {passage.document_id for score in found.scores for passage in score.answer.passages}
    assert sources <= {document.id for document in read_documents(folder)}
    assert by["customization", "general"].effort.labelled_examples == len(frame.dataset.examples("answers"))
    assert by["domain_adaptation", "facts_heldout"].metrics["perplexity"] > 0
    assert "Held-out facts: 4 questions, too few" in printed
    assert f"{len(made)} result files in {results}" in printed
    page = (results / "comparison.html").read_text(encoding="utf-8")
    assert f"{sum(len(r.scores) for r in made):,} scored answers" in page
    older = replace(made[0], experiment="e" * 64, seed=8)  # of another model or an older kit, in the same folder
    write_result(frame.out, older)
    with pytest.raises(DataError, match="same data"):
        report.write_report(frame.out, tmp_path / "page.html")
    verdicts = judge(Comparison(made), read_claims("own_data"))
    assert {v.claim.id for v in verdicts if v.verdict == "not measured"} == {"own-customization-trained"}


def test_without_pairs_and_text_the_arms_that_need_them_are_left_out(llama, tmp_path, capsys):
    text = "# Heron\n\nThe heron of the old harbour was painted in the year 1901."
    folder, out = write(tmp_path / "short" / "a.md", text).parent, tmp_path / "out"
    asked = write(tmp_path / "q.csv", "question,answer,document\nWhen was the heron painted?,1901,a\n")
    verbs.study(documents=folder, questions=str(asked), out=out, model=str(llama), profile="quick")
    said = capsys.readouterr().err
    for arm, missing in (("customization", "instructions/answers.train.jsonl"), ("domain_adaptation", "corpus/")):
        assert any(line.startswith(f"left out: {arm},") and missing in line for line in said.splitlines())
    made = read_results(prepare_own_data(folder, asked, profile="quick", out=out).out / "quick")
    assert {result.arm for result in made} == {"base", "rag"}


def test_what_does_not_go_together_is_refused(tmp_path, folder):
    for options in ({"questions": "q.csv"}, {"documents": folder, "data": tmp_path}, {"documents": folder}):
        with pytest.raises(KitError, match="--documents|--questions"):
            verbs.study(out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
