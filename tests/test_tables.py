"""Tables of questions and pairs: SQuAD's JSON, and data sets of the Hub by their id."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from conftest import write

from helpers.data import tables
from helpers.data.records import DataError


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
    rows = tables.read_table("owner/asked")
    assert rows[129] == ("owner/asked (validation): row 129", {"question": "When 129?", "answers": {"text": ["129"]}})
    monkeypatch.setattr(tables, "HUB_LIMIT", 20)
    assert len(rows) == 130 and len(tables.read_table("owner/asked")) == 20
    with pytest.raises(DataError, match=r"'owner/unknown' .*\(no such data set\).*network.*give the file"):
        tables.read_table("owner/unknown")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"'owner/asked' .*pip install datasets.*give the file"):
        tables.read_table("owner/asked")


def test_a_path_that_looks_like_an_id_is_not_sent_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "_hub_rows", lambda *_: pytest.fail("the Hub was asked"))
    (tmp_path / "private").mkdir()
    for path in ("private/questions", "private/questions.csv", "questions", "owner/questions.csv"):
        with pytest.raises(DataError, match="there is no such file"):
            tables.read_table(path)


def test_questions_in_squads_format_come_with_their_place(tmp_path):
    row = {"id": "q1", "question": "When?", "answers": [{"text": "1900", "answer_start": 3}]}
    whole = {"data": [{"paragraphs": [{"context": "In 1900 it opened.", "qas": [row]}]}]}
    path = write(tmp_path / "asked.json", json.dumps(whole))
    assert tables.read_table(path) == [(f"{path}: data[0].paragraphs[0].qas[0]", row)]
    for text in ("[]", "{", '{"data": 1}', "[" * 100_000):
        with pytest.raises(DataError, match="asked.json: not in SQuAD's format"):
            tables.read_table(write(tmp_path / "asked.json", text))
