"""The arms: a prompt holds what its arm was given, and arms without training find and classify as they should."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
import torch
from conftest import make_tiny
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from helpers.data import Document, Question, get_profile, open_dataset, read_documents, sentences
from helpers.experiment import arms, baselines
from helpers.experiment.arms import ARMS, FEW_SHOT, left_out
from helpers.experiment.study import Study
from helpers.fast import answering
from helpers.models import prompts
from helpers.models.foundation_model import load_model
from helpers.rag import RagSettings, TwoStep, build_index, open_store
from helpers.tuning import recipes

SEEN = {"passages": "documents", "documents": "documents", "rules": "rules", "examples": "pairs", "labels": "pairs"}
LEARNED = {"corpus": "notes", "instructions": "pairs"}  # by the folder of a data set
UNTRAINED = [arm for arm in ARMS.values() if not arm.recipes]
PAPERS = [
    Document("file", "File: Brackwell", "Brackwell was built in 2009. Its code is K-101. It is run by Ida Reed."),
    Document("crew", "Who runs what", "Ida Reed runs Brackwell. Olaf Moss runs Corrindale, whose code is K-202."),
    Document("plan", "Inspections of Brackwell", "Brackwell is inspected every 45 days. The crew of the day does it."),
    Document("other", "Inspections of Corrindale", "Corrindale is inspected every 60 days. Nobody else may run it."),
]


@pytest.fixture(scope="module")
def study(small_world, embedder, tmp_path_factory):
    """A study with a tiny model, whose context has room for some of the documents."""
    folder = tmp_path_factory.mktemp("arms")
    tiny = make_tiny("Llama", folder / "model", max_position_embeddings=4096)
    model = load_model(tiny, device="cpu", dtype="float32")
    made = Study(small_world, "quick", out=folder / "out", model=model, progress=False)
    made.embedder = embedder
    return made


# ---- what an arm was given


def test_what_an_arm_was_given_follows_from_what_it_sees_and_learns_from():
    for arm in ARMS.values():
        given = {SEEN[part] for part in arm.sees.split("+") if part in SEEN}
        learned = [recipes.RECIPES[name.partition(":")[0]] for name in recipes.with_starts(arm.recipes)]
        given |= {LEARNED[file.partition("/")[0]] for recipe in learned for file in recipe["files"]}
        given |= {"notes"} if arm.source.endswith("+notes") else set()
        given -= {"documents"} if arm.source == "other_documents" else set()
        assert set(arm.given) == given and len(arm.given) == len(given), arm.name
    assert ARMS["rag+customization"].order == recipes.PASSAGE_ORDER


@pytest.mark.parametrize("arm", UNTRAINED, ids=lambda arm: arm.name)
def test_each_arm_answers_and_its_prompts_hold_what_it_was_given_and_nothing_else(study, arm):
    sets = arm.asked(["facts_heldout"]) or ["triage"]
    question = study.questions(sets[0])[0]
    assistant = study.assistant(arm.name, sets[0])
    (answer,) = assistant.ask_all([question])
    assert answer.question_id == question.id and answer.text is not None
    papers = study.dataset.folder / ("other_documents" if arm.source == "other_documents" else "documents")
    lines = [line for document in read_documents(papers) for line in document.text.split("\n")]
    told = any(part in answer.prompt for line in lines for part in sentences(line) if len(part) > 20)
    notes = [note for note in study.dataset.corpus() if note in answer.prompt]
    solved = [(e, f"{e.prompt}\nReply", f"assistant\n{e.response}<") for e in study.dataset.examples("answers")]
    pairs = [example for example, asked, reply in solved if asked in answer.prompt and reply in answer.prompt]
    assert notes or told == (arm.sees not in ("nothing", "examples", "labels"))
    assert not notes or "notes" in arm.given
    assert len(pairs) == (FEW_SHOT["answers"] if arm.shows("examples") else 0)
    assert (prompts.ABSTAIN in answer.prompt) == arm.may_decline
    if arm.shows("passages"):
        found = list(answer.passages)
        expected = arm.k or 1
        assert [answer.prompt.index(p.text) for p in found] == sorted(
            (answer.prompt.index(p.text) for p in found), reverse=arm.order == prompts.BEST_LAST
        ) and len(found) == expected
    if arm.sees == "passages+examples":  # each example with the passage that is found for it
        retriever = study.index()[0].retriever()
        assert all(retriever.retrieve(pair.prompt)[0].text in answer.prompt for pair in pairs)


def test_a_record_names_what_answers_depend_on_and_no_prose():
    for arm in ARMS.values():
        assert arm.what not in json.dumps(arm.record) and arm.record["sees"] == arm.sees
    records = [json.dumps({**arm.record, "name": ""}) for arm in ARMS.values() if arm.sees != "labels"]
    assert len(set(records)) == len(records), "two arms must differ in more than their names"


def test_what_is_left_out_is_said(study, small_world, tmp_path):
    shutil.copytree(small_world, tmp_path / "less", ignore=shutil.ignore_patterns("triage-rules.md", "other_documents"))
    lacking = left_out(ARMS, open_dataset(tmp_path / "less"))
    assert "triage-rules.md" in lacking["rules_in_prompt"] and "other_documents" in lacking["rag:wrong_papers"]
    assert set(left_out(ARMS, study.dataset, study.profile)) == set(get_profile("quick").left_out)
    assert [name for _, name in study.runs(["constant", "base"], ["triage", "terms"])] == ["triage", "triage", "terms"]


# ---- two steps


def test_a_second_search_finds_what_the_first_passage_names(embedder, tmp_path):
    """There is nothing but these four papers to read: no table of facts, and no template of a question."""
    index, _ = build_index(PAPERS, open_store(tmp_path), embedder, RagSettings(), progress=False)
    asked = {
        "How often is the machine that Ida Reed runs inspected?": "How often is Brackwell inspected?",
        "How often is the machine under Olaf Moss inspected?": "How often is Corrindale inspected?",
        "When was the machine with the code K-101 built?": "When was Brackwell built?",
        "How often is the machine for which code K-202 is shown inspected?": "How often is Corrindale inspected?",
        "How often is Brackwell inspected?": "How often is Brackwell inspected?",
        "Who feeds the machine under Uma Nobody?": "Who feeds the machine under Uma Nobody?",
    }
    assert TwoStep(index).rewrite(list(asked)) == list(asked.values())
    first = index.retriever().retrieve(next(iter(asked)))[0].document_id
    second = index.retriever().retrieve(TwoStep(index).rewrite(list(asked)[:1])[0])[0].document_id
    assert first != second == "plan"


# ---- documents before every question


def test_a_long_context_holds_as_many_documents_as_fit_and_reads_them_once(study, monkeypatch):
    model, every = study.model, {document.id for document in read_documents(study.dataset.documents_folder)}
    full = arms.fitting_documents(study.dataset, model)
    two = arms.fitting_documents(study.dataset, model, 2)
    room = model.context_length - arms.ROOM
    assert two.document_ids == full.document_ids[:2] and 2 < len(full.document_ids) < len(every)
    assert room - 2_000 < model.count_tokens(full.passages[0].text) <= room
    inside, outside = full.document_ids[0], min(every - set(full.document_ids))
    asked = [Question(f"q{i}", "own", f"What is {i}?", documents=(name,)) for i, name in enumerate((inside, outside))]
    assert full.gold_share(asked) == 0.5

    monkeypatch.setattr(answering, "LONG", 300)
    assistant = study.assistant("long_context")
    assistant.retriever = two
    read = []
    handle = model.model.get_decoder().register_forward_pre_hook(
        lambda _, given, options: read.append(options["input_ids"].shape[1]), with_kwargs=True
    )
    alone = assistant.ask_all(asked)
    again = [assistant.ask(question) for question in asked]
    handle.remove()
    assert [a.text for a in alone] == [a.text for a in again]
    assert sum(length > 300 for length in read) <= 1, "the documents are read once for all questions"
    with torch.inference_mode():
        ids = torch.tensor([model.encode(alone[0].prompt)])
        plain = model.model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
    assert model.tokenizer.decode(plain, skip_special_tokens=True).strip() == alone[0].text


# ---- triage without a model


def test_the_baselines_are_scikit_learns(study):
    examples, questions = study.dataset.examples("triage"), study.dataset.questions("triage")[:20]
    records = [json.loads(example.response) for example in examples]
    constant = [json.loads(a.text) for a in study.assistant("constant", "triage").ask_all(questions)]
    severity = Counter(record["severity"] for record in records).most_common()
    assert all(record == constant[0] for record in constant)
    assert constant[0]["severity"] in [value for value, count in severity if count == severity[0][1]]

    classifier = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1_000))
    classifier.fit([example.prompt for example in examples], [record["team"] for record in records])
    (result,) = study.run(["bag_of_words"], ["triage"])
    answered = [json.loads(score.answer.text) for score in result.scores]
    expected = classifier.predict([score.question.prompt for score in result.scores]).tolist()
    assert [record["team"] for record in answered] == expected and records[0].keys() == answered[0].keys()
    assert result.effort.labelled_examples == len(examples) and result.effort.wall_s > 0
    seen = {record["code"] for record in records}
    made = baselines.Baseline("bag_of_words", examples).ask_all(study.dataset.questions("triage"))
    assert {json.loads(answer.text)["code"] for answer in made} - seen, "codes that no example has, put together"
