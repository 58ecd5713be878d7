"""Cloze questions for documents that came without questions."""

from __future__ import annotations

import pytest
from conftest import write

from helpers.cloze import PART, cloze_questions
from helpers.data import open_dataset
from helpers.metrics import contains
from helpers.own_data import prepare
from helpers.readers import read_documents
from helpers.records import DataError, Document


def test_cloze_questions_have_their_answer_in_the_document(tmp_path, folder):
    documents = read_documents(folder)
    made = cloze_questions(documents)
    texts = {document.id: document.text for document in documents}
    assert made and made == cloze_questions(documents) and len({q.id for q in made}) == len(made)
    for question in made:
        assert question.part == PART and contains(texts[question.documents[0]], question.answers)
        assert "____" not in question.prompt or not contains(question.prompt, question.answers)
    assert any("heading" in question.prompt for question in made)
    own = prepare(folder, out=tmp_path / "out")
    assert any("weak evidence" in note for note in own.notes)
    assert {q.part for q in open_dataset(own.folder).questions("facts_heldout")} == {PART}
    assert cloze_questions([Document("a", "A", "no sentence, only words")]) == []
    with pytest.raises(DataError, match="no whole sentence was found"):
        prepare(write(tmp_path / "bare" / "a.md", "only words").parent, out=tmp_path / "out")
