"""Your own questions and pairs: every format, the guessed columns, and each fault by file, line and field."""

from __future__ import annotations

import json

import pytest
from conftest import write

from helpers.data.dataset import open_dataset
from helpers.data.own_data import prepare_own_data
from helpers.data.records import DataError


def test_columns_are_guessed_shown_and_overridden(tmp_path, folder, questions, pairs):
    own = prepare_own_data(folder, questions, pairs, out=tmp_path / "out")
    shown = [str(each) for each in own.columns]
    assert shown[0] == "questions: prompt from 'Question', answers from 'Gold Answer', documents from 'Doc'"
    assert shown[1] == "pairs: prompt from 'instruction', response from 'output', documents from 'source'"
    assert shown[0] in (own.folder / "README.md").read_text(encoding="utf-8")

    german = write(tmp_path / "fragen.csv", "Frage,Antwort,Note\nWann?,1900|neunzehnhundert,gut\n")
    with pytest.raises(
        DataError, match=r"fragen.csv: no column .* questions.prompt. Its columns: Frage, Antwort, Note"
    ) as caught:
        prepare_own_data(folder, german, out=tmp_path / "out")
    assert "questions.prompt=COLUMN" in str(caught.value)
    named = {"questions.prompt": "Frage", "questions.answers": "Antwort"}
    own = prepare_own_data(folder, german, out=tmp_path / "out", columns=named)
    assert str(own.columns[0]).endswith("not used: Note")
    (asked,) = open_dataset(own.folder).questions("facts_heldout")
    assert asked.answers == ("1900", "neunzehnhundert")
    with pytest.raises(DataError, match="no column 'Fragen' for questions.prompt"):
        prepare_own_data(folder, german, out=tmp_path / "out", columns=named | {"questions.prompt": "Fragen"})
    with pytest.raises(DataError, match="not 'prompt'"):
        prepare_own_data(folder, german, out=tmp_path / "out", columns={"prompt": "Frage"})

    made_by = write(tmp_path / "by.csv", "prompt,response,source\nWhen?,In spring.,a-model\n")
    with pytest.raises(DataError, match="by.csv:2: source: 'a-model'.*say `pairs.documents=`"):
        prepare_own_data(folder, questions, made_by, out=tmp_path / "out")
    own = prepare_own_data(folder, questions, made_by, out=tmp_path / "out", columns={"pairs.documents": ""})
    assert str(own.columns[1]) == "pairs: prompt from 'prompt', response from 'response'; not used: source"
    with pytest.raises(DataError, match="no column '' for pairs.response"):
        prepare_own_data(folder, questions, made_by, out=tmp_path / "out", columns={"pairs.response": ""})


def test_every_format_of_questions_says_the_same(tmp_path, folder):
    asked = {"id": "a", "question": "When was the heron painted?"}
    passage = "The heron was painted in 1900 by the crew"
    squad = {"title": "x", "paragraphs": [{"context": passage, "qas": [{**asked, "answers": [{"text": "1900"}]}]}]}
    squad["paragraphs"][0]["qas"].append({"id": "b", "question": "Who paid?", "answers": [], "is_impossible": True})
    unknown = {"id": "b", "question": "Who paid?", "is_impossible": True}
    files = [
        write(tmp_path / "q.json", json.dumps({"data": [squad]})),
        write(
            tmp_path / "q.jsonl",
            json.dumps({**asked, "answers": {"text": ["1900"]}, "context": passage}) + "\n\n" + json.dumps(unknown),
        ),
        write(  # as the Hub has SQuAD 2: no column says that a question has no answer
            tmp_path / "hub.jsonl",
            json.dumps({**asked, "answers": {"text": ["1900"]}, "context": passage})
            + "\n"
            + json.dumps({"id": "b", "question": "Who paid?", "answers": {"text": [], "answer_start": []}}),
        ),
        write(
            tmp_path / "q.csv",
            "id,question,answer,document,unanswerable\n"
            "a,When was the heron painted?,1900,heron.md,\nb,Who paid?,,,yes\n",
        ),
    ]
    made = [open_dataset(prepare_own_data(folder, file, out=tmp_path / "out").folder) for file in files]
    assert len({dataset.hash for dataset in made}) == 1
    (question,), (other,) = made[0].questions("facts_heldout"), made[0].questions("unanswerable")
    assert (question.answers, question.documents, other.answers) == (("1900",), ("heron.md",), ())


def test_an_empty_passage_names_no_document(tmp_path, folder):
    asked = [{"question": "When?", "answer": "1900", "context": " "}, {"question": "Who?", "answer": "the crew"}]
    own = prepare_own_data(folder, write(tmp_path / "q.jsonl", "\n".join(map(json.dumps, asked))), out=tmp_path / "out")
    assert [q.documents for q in open_dataset(own.folder).questions("facts_heldout")] == [(), ()]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.csv", "question,answer\n,1\n", "q.csv:2: question: the text is empty"),
        ("q.csv", "question,answer\nWhen?,\n", "q.csv:2: answer: .*`unanswerable`"),
        ("q.csv", "question,answer\nWhich?,A\n", "q.csv:2: answer: 'A' holds no word"),
        ("q.csv", "id,question,answer\na,When?,1\na,Who?,2\n", "q.csv:3: id: 'a' is used above"),
        ("q.csv", "question,answer,document\nWhen?,1,herron.md\n", "q.csv:2: document: 'herron.md' .*heron.md"),
        (
            "q.jsonl",
            '{"question": "When?", "answer": "1"}\n{"question": 5, "answer": "1"}',
            "q.jsonl:2: question: .*quotes",
        ),
        ("q.jsonl", '{"question": "When?"', "q.jsonl:1: not valid JSON"),
        ("q.json", '{"data": [\n}', "q.json:2: not valid JSON"),
        ("q.json", '{"rows": []}', "not in SQuAD's format"),
        ("q.json", '{"data": [{"paragraphs": [{"qas": [{}]}]}]}', "not in SQuAD's format"),
        ("q.json", "[1]", "not in SQuAD's format"),
        ("q.xlsx", "PK", "the ending is not one of .csv"),
    ],
)
def test_a_question_that_cannot_be_read_is_named_by_file_line_and_field(tmp_path, folder, name, text, message):
    with pytest.raises(DataError, match=message):
        prepare_own_data(folder, write(tmp_path / name, text), out=tmp_path / "out")


def test_a_missing_file_and_a_bad_pair_are_named(tmp_path, folder, questions):
    with pytest.raises(DataError, match="nowhere.csv: there is no such file"):
        prepare_own_data(folder, tmp_path / "nowhere.csv", out=tmp_path / "out")
    bad = write(tmp_path / "pairs.csv", "prompt,response\nWhere?,\n")
    with pytest.raises(DataError, match="pairs.csv:2: response: the text is empty"):
        prepare_own_data(folder, questions, bad, out=tmp_path / "out")
