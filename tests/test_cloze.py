"""Cloze questions for documents that came without questions."""

from __future__ import annotations

import pytest
from conftest import write

from helpers.data.dataset import open_dataset
from helpers.data.documents import read_documents
from helpers.data.own_data import prepare_own_data
from helpers.data.records import DataError, Document
from helpers.data.text import ABOUT, CLOZE_PART, cloze_questions, contains


def test_cloze_questions_have_their_answer_in_the_document(tmp_path, folder):
    documents = read_documents(folder)
    made = cloze_questions(documents)
    texts = {document.id: document.text for document in documents}
    assert made and made == cloze_questions(documents) and len({q.id for q in made}) == len(made)
    for question in made:
        assert question.part == CLOZE_PART and contains(texts[question.documents[0]], question.answers)
        assert "____" not in question.prompt or not contains(question.prompt, question.answers)
    assert any("heading" in question.prompt for question in made)
    own = prepare_own_data(folder, out=tmp_path / "out")
    assert any("weak evidence" in note for note in own.notes)
    assert {q.part for q in open_dataset(own.folder).questions("facts_heldout")} == {CLOZE_PART}
    assert cloze_questions([Document("a", "A", "no sentence, only words")]) == []
    with pytest.raises(DataError, match="no whole sentence was found"):
        prepare_own_data(write(tmp_path / "bare" / "a.md", "only words").parent, out=tmp_path / "out")


def test_many_documents_are_asked_about_evenly_and_only_so_many():
    told = "# Pump {0}\n\nThe pump with the number {0} stands in the northern hall of the works.\n"
    documents = [Document(f"pump-{n}", f"Pump {n}", told.format(n)) for n in range(10 * ABOUT)]
    made = cloze_questions(documents)
    asked = [int(question.documents[0].partition("-")[2]) for question in made]
    assert len(made) == ABOUT == len(set(asked)) and asked == sorted(asked)
    tenths = [sum(n // ABOUT == tenth for n in asked) for tenth in range(10)]
    assert min(tenths) > 0, tenths
    assert made == cloze_questions(documents)
    mute = [Document(f"list-{n}", "List", "no sentence, only words") for n in range(10 * ABOUT)]
    assert len(cloze_questions([*mute, *documents[:ABOUT]])) == ABOUT, "documents without sentences take no place"
