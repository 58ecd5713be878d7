"""Your own documents: originals are only read, and the data set that is made of them keeps its parts apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import ROOT, TOPICS, write

from helpers.data import profiles
from helpers.data.dataset import open_dataset
from helpers.data.documents import read_documents
from helpers.data.own_data import prepare_own_data
from helpers.data.records import DataError, KitError
from helpers.data.values import contains, normalise

KIT = ROOT / "datasets" / "sklearn_descriptions"


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """What must not change: time and hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


def test_what_is_made_has_the_same_documents_and_leaves_the_originals_alone(tmp_path, folder, questions):
    text = "---\nid: my/note\n---\n# Note\n\nA line with --- in it.\n\n---\n\nBelow a rule."
    write(folder / "deep" / "note.md", text)
    write(folder / "table.csv", "id,place,text\nr1,Gullow,The north quay.\nr2,Hern,\n")
    write(folder / "slash.md", "---\nid: /\n---\nA name of nothing.")
    before = state(folder)
    own = prepare_own_data(folder, questions, out=tmp_path / "out")
    assert state(folder) == before, "originals are only read"
    originals = {document.id: document.text for document in read_documents(folder)}
    assert {"my/note", "table.csv#r1", "table.csv#r2", "/"} < set(originals)
    assert {document.id: document.text for document in read_documents(own.folder / "documents")} == originals


def test_what_cannot_be_used_is_refused_before_anything_is_written(tmp_path, folder, questions):
    write(folder / "empty.md", "")
    with pytest.raises(DataError, match="empty.md holds no text"):
        prepare_own_data(folder, questions, out=tmp_path / "out")
    with pytest.raises(DataError, match="no questions about .*mine.*question, answer and document.*--questions"):
        prepare_own_data(folder, None, out=tmp_path / "out")
    with pytest.raises(KitError, match="only read: choose another folder"):
        prepare_own_data(folder, questions, out=folder / "results")
    assert not (tmp_path / "out").exists() and not (folder / "results").exists()


def test_questions_among_the_documents_are_not_read_as_documents(tmp_path, folder, questions, pairs):
    plain = prepare_own_data(folder, questions, pairs, out=tmp_path / "plain")
    inside = write(folder / "asked.csv", questions.read_text(encoding="utf-8"))
    own = prepare_own_data(folder, inside, pairs, out=tmp_path / "out")
    assert open_dataset(own.folder).hash == open_dataset(plain.folder).hash
    assert any("asked.csv is among the documents and is not read as one" in note for note in own.notes)


def test_sets_leaks_and_held_out_parts(tmp_path, folder, questions, pairs):
    with questions.open("a", encoding="utf-8") as file:
        file.write("Where is the heron kept?,40,heron\nState the shed of the heron.,40,heron\n")
    own = prepare_own_data(folder, questions, pairs, out=tmp_path / "out")
    dataset = open_dataset(own.folder)
    trained, heldout = dataset.questions("facts_trained"), dataset.questions("facts_heldout")
    assert {q.prompt for q in trained} == {"Where is the heron kept?", "State the shed of the heron."}
    assert len(heldout) == 6 and {q.documents for q in heldout} == {(d.id,) for d in read_documents(folder)}
    train, held = dataset.examples("answers"), dataset.examples("answers", "validation")
    assert len(train) + len(held) == 11 and held, "the pair that asks a question of the test is left out"
    assert any("1 labelled pairs ask a question" in note for note in own.notes)
    prompts = {normalise(q.prompt) for q in trained + heldout}
    assert not prompts & {normalise(pair.prompt) for pair in train + held}
    corpus, watched = dataset.corpus("train"), dataset.corpus("validation")
    assert corpus and watched and not set(corpus) & set(watched)
    gold = {answer for q in trained + heldout for answer in q.answers}
    assert not any(contains(text, sorted(gold)) for text in watched), "no asked fact is hidden from the training"
    assert {text.split(".")[0] for text in corpus} == {document.title for document in read_documents(folder)}
    assert len(dataset.questions("general")) > 50


def test_without_enough_pairs_no_fact_counts_as_trained(tmp_path, folder, questions):
    told = [f"When was the {topic} painted by the crew?,{1900 + n}" for n, topic in enumerate(TOPICS[:3])]
    few = write(tmp_path / "few.csv", "prompt,response\n" + "\n".join(told) + "\n")
    own = prepare_own_data(folder, questions, few, out=tmp_path / "out")
    dataset = open_dataset(own.folder)
    assert "facts_trained" not in dataset.question_sets and len(dataset.questions("facts_heldout")) == len(TOPICS)
    assert any("3 labelled pairs; 8 are the least" in note for note in own.notes)


def test_the_same_data_make_the_same_folder_and_others_another(tmp_path, folder, questions):
    first, again = (prepare_own_data(folder, questions, out=tmp_path / "out") for _ in range(2))
    assert first.folder == again.folder and first.out.name.startswith("mine-")
    write(folder / "new.md", "# New\n\nOne more document.")
    assert prepare_own_data(folder, questions, out=tmp_path / "out").folder != first.folder
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(folders) == 2, "nothing half-made is left behind"


def test_a_profile_limits_questions_and_training_but_no_documents(tmp_path):
    documents = tmp_path / "many"
    for number in range(120):
        text = f"The code of paper {number} is K-{number + 5000}. " + "It was filed on the upper shelf. " * 30
        write(documents / f"d{number:03}.md", f"# Paper {number}\n\n{text}")
    rows = "".join(f"What is the code of paper {n}?,K-{n + 5000},d{n:03}\n" for n in range(0, 120, 2))
    asked = write(tmp_path / "q.csv", "question,answer,document\n" + rows)
    quick, whole = (prepare_own_data(documents, asked, profile=name, out=tmp_path) for name in ("quick", "full"))
    size = profiles.PROFILES["quick"]
    asks = {len(open_dataset(own.folder).questions("facts_heldout")) for own in (quick, whole)}
    assert asks == {size.questions_per_set, 60}
    assert any(f"asks {size.questions_per_set} of the 60 questions" in note for note in quick.notes)
    words = [sum(len(text.split()) for text in open_dataset(own.folder).corpus()) for own in (quick, whole)]
    assert words[0] <= size.own_words + 110 < words[1]
    assert len(read_documents(quick.folder / "documents")) == 120


def test_the_kits_own_folder_is_as_its_card_says(tmp_path):
    card = (KIT / "README.md").read_text(encoding="utf-8")
    own = prepare_own_data(KIT / "documents", KIT / "questions.csv", KIT / "pairs.jsonl", out=tmp_path / "out")
    dataset = open_dataset(own.folder)
    documents = {document.id: document.text for document in read_documents(KIT / "documents")}
    heldout, trained = dataset.questions("facts_heldout"), dataset.questions("facts_trained")
    assert own.out.name == "sklearn_descriptions-0e59e630", "what others made of it before is found again"
    assert f"{len(heldout) + len(trained)} with a gold answer and its document, 8 that no" in card
    assert f"{len(trained)} questions ask in other words" in card and f"the other {len(heldout)} ask" in card
    pairs = dataset.examples("answers") + dataset.examples("answers", "validation")
    assert f"| {len(pairs)} |" in card and f"{len(documents)} descriptions" in card
    for question in heldout + trained:
        assert contains(documents[question.documents[0]], question.answers[:1]), question
    assert not set(own.notes), "nothing is left out of it"
    learned = {normalise(pair.response) for pair in dataset.examples("answers")}
    for question in trained:
        assert learned & {normalise(answer) for answer in question.answers}, "a trained fact was learned from"
