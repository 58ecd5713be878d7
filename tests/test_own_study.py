"""A study of your own data, from end to end and from the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import make_tiny, run_pythons, write

from helpers.analysis import Comparison, judge, read_claims
from helpers.data import profiles
from helpers.data.documents import read_documents
from helpers.data.own_data import OWN_ARMS, prepare_own_data
from helpers.data.records import DataError
from helpers.experiment import arms
from helpers.experiment.results import write_result
from helpers.experiment.study import Study
from helpers.models.foundation_model import load_model
from helpers.plots import report


@pytest.fixture
def study(monkeypatch, tmp_path, embedder):
    """Makes studies of own data with a tiny model and the shortest of trainings."""
    few = replace(
        profiles.PROFILES["quick"], questions_per_set=4, latency_questions=1, batch_size=4, training_share=0.01
    )
    monkeypatch.setitem(profiles.PROFILES, "quick", few)
    llama = load_model(make_tiny("Llama", tmp_path / "llama"), device="cpu", dtype="float32")

    def make(own) -> Study:
        made = Study(own.folder, "quick", out=own.out / "quick", model=llama, progress=False)
        made.embedder = embedder
        return made

    return make


def test_a_study_of_your_own_data_runs_from_end_to_end(study, tmp_path, folder, questions, pairs):
    own = prepare_own_data(folder, questions, pairs, "quick", tmp_path / "out")
    frame = study(own)
    assert arms.left_out(OWN_ARMS, frame.dataset, frame.question_sets) == {}
    made = frame.run(OWN_ARMS)
    assert {(r.arm, r.question_set) for r in made} == {(arm, name) for arm in OWN_ARMS for name in frame.question_sets}
    by = {(result.arm, result.question_set): result for result in made}
    found = by["rag", "facts_heldout"]
    assert all(score.answer.passages for score in found.scores) and 0 <= found.metrics["retrieval"]["mrr"] <= 1
    sources = {passage.document_id for score in found.scores for passage in score.answer.passages}
    assert sources <= {document.id for document in read_documents(folder)}
    assert by["customization", "general"].effort.labelled_examples == len(frame.dataset.examples("answers"))
    assert by["domain_adaptation", "facts_heldout"].metrics["perplexity"] > 0
    told = Comparison(made).caveats()
    assert any("`facts_heldout` has 4 questions, too few" in line for line in told)
    older = replace(made[0], experiment="e" * 64, seed=8)  # of another model or an older kit, in the same folder
    write_result(frame.out, older)
    path = report.write_report(frame.out, tmp_path / "page.html", comparison=Comparison(made))
    page = path.read_text(encoding="utf-8")
    assert f"{sum(len(r.scores) for r in made):,} scored answers" in page
    with pytest.raises(DataError, match="experiment|compared"):
        report.write_report(frame.out, tmp_path / "page.html")
    verdicts = judge(Comparison(made), claims=read_claims("own_data"))
    assert {v.claim.id for v in verdicts if v.verdict == "not measured"} == {"own-customization-trained"}
    text = report.page(Comparison(made), claims=read_claims("own_data"))
    assert (
        "Before you conclude" in text and "too few to conclude" in text and "invented" not in text.split("textbook")[0]
    )


def test_without_pairs_and_text_the_arms_that_need_them_are_left_out(study, tmp_path):
    folder = write(
        tmp_path / "short" / "a.md", "# A\n\nThe anchor of the old harbour was painted in the year 1901."
    ).parent
    frame = study(prepare_own_data(folder, profile="quick", out=tmp_path / "out"))
    left = arms.left_out(OWN_ARMS, frame.dataset, frame.question_sets)
    assert set(left) == {"base:few_shot", "customization", "domain_adaptation"}
    assert "instructions/answers.train.jsonl" in left["customization"] and "corpus/" in left["domain_adaptation"]
    told = Comparison(frame.run(["base", "rag"])).caveats()
    assert any("cloze questions" in line and "weak evidence" in line for line in told)


def test_the_command_refuses_what_does_not_go_together(tmp_path, folder):
    study = ["-m", "helpers", "study", "--out", tmp_path / "out"]
    for run in run_pythons([*study, "--questions", "q.csv"], [*study, "--documents", folder, "--data", tmp_path]):
        assert run.returncode == 2 and "--documents" in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()
