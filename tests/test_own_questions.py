"""Your own questions and pairs: every format, the Hub, the guessed columns, each fault by file, line and field."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from conftest import write

from helpers.data import own_questions
from helpers.data.dataset import open_dataset
from helpers.data.own_data import prepare_own_data
from helpers.data.own_questions import read_table
from helpers.data.records import DataError


def test_columns_are_guessed_shown_and_overridden(tmp_path, folder, questions, pairs):
    own = prepare_own_data(folder, questions, pairs, out=tmp_path / "out")
    shown = [str(each) for each in own.columns]
    assert shown[0] == "questions: prompt from 'Question', answers from 'Gold Answer', documents from 'Doc'"
    assert shown[1] == "pairs: prompt from 'instruction', response from 'output', documents from 'source'"
    assert shown[0] in (own.folder / "README.md").read_text(encoding="utf-8")

    german = write(tmp_path / "fragen.csv", "Frage,Antwort,Note\nWann?,1900|neunzehnhundert,gut\n")
    named = {"questions.prompt": "Frage", "questions.answers": "Antwort"}
    own = prepare_own_data(folder, german, out=tmp_path / "out", columns=named)
    assert str(own.columns[0]).endswith("not used: Note")
    (asked,) = open_dataset(own.folder).questions("facts_heldout")
    assert asked.answers == ("1900", "neunzehnhundert") and asked.documents == ()
    assert any("1 questions have no known document" in note for note in own.notes)

    made_by = write(tmp_path / "by.csv", "prompt,response,source\nWhen?,In spring.,a-model\n")
    own = prepare_own_data(folder, questions, made_by, out=tmp_path / "out", columns={"pairs.documents": ""})
    assert str(own.columns[1]) == "pairs: prompt from 'prompt', response from 'response'; not used: source"
    for asked, labelled, columns, said in (
        (german, None, {}, r"fragen.csv: no column .* questions.prompt. Its columns: Frage, .*questions.prompt=COLUMN"),
        (german, None, named | {"questions.prompt": "Fragen"}, "no column 'Fragen' for questions.prompt"),
        (german, None, {"prompt": "Frage"}, "not 'prompt'"),
        (questions, made_by, {}, "by.csv:2: source: 'a-model'.*say `pairs.documents=`"),
        (questions, made_by, {"pairs.response": ""}, "no column '' for pairs.response"),
    ):
        with pytest.raises(DataError, match=said):
            prepare_own_data(folder, asked, labelled, out=tmp_path / "out", columns=columns)


def test_every_format_of_questions_says_the_same(tmp_path, folder):
    asked = {"id": "a", "question": "When was the heron painted?", "doc_id": "heron"}
    unknown = {"id": "b", "question": "Who paid?"}
    head = "id;question;answer;document;unanswerable"
    rows = "a;When was the heron painted?;1900;heron.md;\nb;Who paid?;;;"
    squad = [asked | {"answers": [{"text": "1900", "answer_start": 0}]}, unknown | {"answers": [], "is_impossible": 1}]
    files = {
        "q.jsonl": [asked | {"answers": ["1900", " "]}, unknown | {"is_impossible": True}],
        "hub.jsonl": [asked | {"answers": {"text": ["1900"]}}, unknown | {"answers": {"text": []}}],  # as SQuAD 2
        "squad.json": json.dumps({"data": [{"paragraphs": [{"context": "", "qas": squad}]}]}),
        "q.csv": f"{head}\n{rows}yes\n",
        "q.tsv": f"{head}\n{rows}1\n".replace(";", "\t"),
    }
    made = []
    for name, content in files.items():
        text = content if isinstance(content, str) else "\n\n".join(map(json.dumps, content))
        made.append(open_dataset(prepare_own_data(folder, write(tmp_path / name, text), out=tmp_path / "out").folder))
    assert len({dataset.hash for dataset in made}) == 1
    (question,), (other,) = made[0].questions("facts_heldout"), made[0].questions("unanswerable")
    assert (question.answers, question.documents, other.answers) == (("1900",), ("heron.md",), ())


@pytest.fixture
def hub(monkeypatch):
    """Stands for the library `datasets`, which asks the Hub: one data set with two splits, and no network beyond."""
    rows = [{"question": f"When {n}?", "answers": {"text": [str(n)]}} for n in range(130)]

    def load(name: str, config: str, streaming: bool) -> dict[str, SimpleNamespace]:
        if name != "owner/asked":
            raise ConnectionError("no such\ndata set")
        assert config == "main" and streaming
        return {split: SimpleNamespace(take=lambda limit: iter(rows[:limit])) for split in ("train", "validation")}

    library = SimpleNamespace(get_dataset_config_names=lambda _: ["main"], load_dataset=load)
    monkeypatch.setitem(sys.modules, "datasets", library)


def test_a_data_set_of_the_hub_is_read_by_its_id(hub, monkeypatch):
    rows = read_table("owner/asked")
    assert rows[129] == ("owner/asked (validation): row 129", {"question": "When 129?", "answers": {"text": ["129"]}})
    monkeypatch.setattr(own_questions, "HUB_LIMIT", 20)
    assert len(rows) == 130 and len(read_table("owner/asked")) == 20
    with pytest.raises(DataError, match=r"'owner/unknown' .*\(no such data set\).*network.*give the file"):
        read_table("owner/unknown")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"'owner/asked' .*pip install datasets.*give the file"):
        read_table("owner/asked")


def test_a_path_that_looks_like_an_id_is_not_sent_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_questions, "_hub_rows", lambda *_: pytest.fail("the Hub was asked"))
    (tmp_path / "private").mkdir()
    for path in ("private/questions", "private/questions.csv", "questions", "owner/questions.csv"):
        with pytest.raises(DataError, match="there is no such file"):
            read_table(path)


def test_questions_in_squads_format_come_with_their_place(tmp_path):
    row = {"id": "q1", "question": "When?", "answers": [{"text": "1900", "answer_start": 3}]}
    whole = {"data": [{"paragraphs": [{"context": "In 1900 it opened.", "qas": [row]}]}]}
    path = write(tmp_path / "asked.json", json.dumps(whole))
    assert read_table(path) == [(f"{path}: data[0].paragraphs[0].qas[0]", row)]
