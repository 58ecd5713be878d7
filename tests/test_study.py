"""The study: the same questions for every arm, nothing made twice, and an interruption that loses little.

A tiny random model answers here; what it says is nonsense, and how the study treats it is what is tested.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import interrupted_at, make_tiny

from helpers.analysis import read_comparison
from helpers.data import profiles
from helpers.data.documents import apply_updates, read_documents
from helpers.data.records import DataError, KitError, Result
from helpers.data.values import contains
from helpers.experiment import results
from helpers.experiment.arms import FEW_SHOT
from helpers.experiment.assistant import Assistant
from helpers.experiment.study import Study
from helpers.models.foundation_model import load_model
from helpers.rag.chunking import RagSettings

FIRST = ("base", "base:few_shot")


@pytest.fixture
def study(small_world, llama, embedder, monkeypatch, tmp_path):
    """Makes studies of the small world with a profile of few questions, results in one folder."""
    few = replace(profiles.PROFILES["quick"], questions_per_set=5, latency_questions=2, batch_size=2)
    monkeypatch.setitem(profiles.PROFILES, "quick", few)

    def make(out: Path = tmp_path / "out", **fields) -> Study:
        made = Study(small_world, **{"profile": "quick", "out": out, "model": llama, "progress": False} | fields)
        made.embedder = embedder
        return made

    return make


def files(folder: Path) -> dict[str, int]:
    """Each result file's name and the time of its last change."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.seed*.json")}


# ---- arms and folders


def test_unknown_names_say_what_there_is(study, tmp_path):
    with pytest.raises(KitError, match="unknown arm 'oracle': choose from constant, bag_of_words, base, "):
        study().run(["base", "oracle"])
    assert not (tmp_path / "out").exists(), "a wrong name must be found before anything is computed"
    with pytest.raises(DataError, match="no question set 'riddles'"):
        study().run(["base"], ["riddles"])


def test_the_experiment_names_what_must_agree(study, small_world, tmp_path):
    first = study()
    assert first.experiment == study(seed=8, out=tmp_path / "else").experiment
    changed = tmp_path / "changed"
    shutil.copytree(small_world, changed)
    assert Study(changed, "quick", model=first.model).experiment == first.experiment, "the place does not matter"
    with (changed / "documents" / "policy-01.md").open("a", encoding="utf-8") as file:
        file.write("\nOne more sentence.\n")
    assert Study(changed, "quick", model=first.model).experiment != first.experiment
    other = load_model(make_tiny("Llama", tmp_path / "other", seed=1), device="cpu", dtype="float32")
    assert study(model=other).experiment != first.experiment
    faster, shorter = study(), study()  # of a profile only what answers depend on makes another experiment
    faster.profile = replace(first.profile, latency_questions=99, left_out=("rag",), sweep_questions=99)
    shorter.profile = replace(first.profile, questions_per_set=4)
    assert faster.experiment == first.experiment != shorter.experiment


def test_the_index_can_lie_on_a_server(study, server, tmp_path):
    served = study(tmp_path / "served", vector_store=server)
    assert served.run_one("rag", "facts_heldout").effort.documents > 0
    assert not list((tmp_path / "served").rglob("store"))
    elsewhere = study(tmp_path / "elsewhere", vector_store=server)  # another machine, with the same server
    assert elsewhere.index()[1:] == served.index()[1:], "its report and effort came along"


# ---- a whole run, and a second one


def test_a_study_runs_reuses_and_grows(study, tmp_path, llama):
    weights = {name: tensor.clone() for name, tensor in llama.model.state_dict().items()}
    first = study()
    made = first.run(FIRST)
    sets = first.dataset.question_sets
    assert [(r.arm, r.question_set) for r in made] == [(a, s) for a in FIRST for s in sets]
    assert {(r.status, r.experiment) for r in made} == {("complete", first.experiment)}
    assert made == sorted(results.read_results(first.out), key=made.index)
    before = files(first.out)
    assert len(before) == len(made)

    with interrupted_at(llama, 1):  # a single pass through the model would stop this second run
        assert study().run(FIRST) == made
    assert files(first.out) == before

    grown = study().run([*FIRST, "rag"])
    assert {name: when for name, when in files(first.out).items() if name in before} == before
    assert len(grown) == len(made) + len(sets) and grown[: len(made)] == made
    for result in grown:
        assert [score.question for score in result.scores] == first.questions(result.question_set)
        check_result(result)
    table = read_comparison(first.out).table()
    assert set(table) == {*FIRST, "rag"} and all(set(row) == {*sets, "effort"} for row in table.values())

    (fewer,) = study(settings=RagSettings(k=2)).run(["rag"], ["facts_heldout"])
    assert {len(score.answer.passages) for score in fewer.scores} == {2}, "other settings must be run, not reused"

    assert study(seed=8).run(["base"], ["terms"])[0].seed == 8
    assert len(files(first.out)) == len(grown) + 1
    after = llama.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items()) and len(after) == len(weights)


def check_result(result: Result) -> None:
    """What a result says besides its scores."""
    choices = result.question_set in ("terms", "general")
    assert len(result.metrics.get("total_s", ())) == (2 if result.question_set == "facts_heldout" else 0)
    assert ("perplexity" in result.metrics) == ("text_losses" in result.metrics) == choices
    assert ("valid_json" in result.metrics) == (result.question_set == "triage")
    shown = {len(score.answer.passages) for score in result.scores}
    assert shown == ({result.config["rag"]["k"]} if result.arm == "rag" else {0})
    first = result.scores[0].answer
    assert all(passage.text in first.prompt for passage in first.passages)
    if result.arm == "rag":
        assert result.effort.documents > 40 and result.effort.wall_s > 0 and result.effort.artefact_bytes > 0
        assert ("retrieval" in result.metrics) == any(score.question.documents for score in result.scores)
    elif result.arm == "base:few_shot":
        assert result.effort.labelled_examples == sum(FEW_SHOT.values())
        assert result.scores[0].question.choices or len(first.prompt) > 200


# ---- updates


def test_the_updates_are_asked_after_the_documents_were_updated(study, small_world):
    made = study()
    index, report, effort = made.index(updated=True)
    before = {document.id: document.text for document in read_documents(small_world / "documents")}
    updated = apply_updates(read_documents(small_world / "documents"), small_world / "updates")
    later = {document.id: document.text for document in updated}
    indexed = {node.ref_doc_id for node in index.nodes}
    assert indexed == later.keys() and before.keys() - later.keys(), "a withdrawn document is no longer in the index"
    changed = {name for name in later if name in before and later[name] != before[name]}
    counts = (len(changed), len(later.keys() - before.keys()), len(before.keys() - later.keys()))
    assert (report.changed, report.added, report.deleted) == counts
    assert report.reembedded == report.changed + report.added == effort.documents
    assert report.unchanged == len(later.keys() & before.keys()) - len(changed)

    again = study().index(updated=True)
    assert again[1:] == (report, effort), "the report of the update itself is kept for later calls"
    assert {node.ref_doc_id for node in study().index()[0].nodes} == set(before), "the first index is left as it was"
    for question in made.dataset.questions("updates"):  # the gold documents state the new values
        for name in question.documents:
            text = " ".join(node.get_content() for node in index.nodes if node.ref_doc_id == name)
            assert contains(text, question.answers), (question.id, name)
    (result,) = study().run(["rag"], ["updates"])
    assert result.metrics["update"]["changed"] == report.changed
    assert {p.document_id for s in result.scores for p in s.answer.passages} <= indexed


# ---- interruptions


def test_an_interrupted_run_is_kept_labelled_and_completed(study, llama):
    frame = study()
    passes = []  # the last of them belongs to the timing, when every score is there already
    Assistant(llama).ask("What all chats begin with is read once.")
    handle = llama.model.get_decoder().register_forward_pre_hook(lambda *_: passes.append(1))
    whole = study(out=frame.out.with_name("whole")).run(["base"], ["facts_heldout"])[0]
    handle.remove()
    with interrupted_at(llama, len(passes)), pytest.raises(KeyboardInterrupt):
        frame.run(["base"], ["facts_heldout"])
    (kept,) = results.read_results(frame.out)
    assert kept.status == "interrupted" and 0 < len(kept.scores) <= len(whole.scores)
    assert [score.question for score in kept.scores] == [s.question for s in whole.scores[: len(kept.scores)]]
    table = read_comparison(frame.out).table()
    assert table["base"]["interrupted"] == ["facts_heldout"] and "facts_heldout" not in table["base"]

    (done,) = study().run(["base"], ["facts_heldout"])
    assert done.status == "complete" and results.read_results(frame.out) == [done]
    assert [score.answer.text for score in done.scores] == [score.answer.text for score in whole.scores]


def test_an_interruption_before_the_first_answer_leaves_no_file_and_a_damaged_one_is_named(study, llama):
    frame = study()
    with interrupted_at(llama, 1), pytest.raises(KeyboardInterrupt):
        frame.run(["base"], ["terms"])
    assert files(frame.out) == {}
    frame.run(["base"], ["terms"])
    (name,) = files(frame.out)
    (frame.out / name).write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as a result"):
        study().run(["base"], ["terms"])
