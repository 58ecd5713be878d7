"""Tables of questions and pairs: rows with their places, and data sets of the Hub by their id."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from conftest import write

from helpers.data import tables
from helpers.data.records import DataError


def test_separators_quotes_and_lines_within_a_cell(tmp_path):
    path = write(tmp_path / "t.csv", '\ufeffFrage;Antwort\n"Was; wo?";"zwei\nZeilen"\nWer?;Orla\n')
    assert tables.csv_rows(path) == [
        (f"{path}:2", {"Frage": "Was; wo?", "Antwort": "zwei\nZeilen"}),
        (f"{path}:4", {"Frage": "Wer?", "Antwort": "Orla"}),
    ]
    assert tables.read_table(write(tmp_path / "t.tsv", "a\tb\n1,5\t2\n"))[0][1] == {"a": "1,5", "b": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.csv:1: the first line"),
        ("a,b\n", "t.csv: there is no row"),
        ('a,b\n1,"2\n', "t.csv:2: not valid CSV"),
        ("a,b\n1,2,3\n", "t.csv:2: more cells than columns"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_by_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        tables.read_table(write(tmp_path / "t.csv", text))


@pytest.fixture
def hub(monkeypatch):
    """Stands for the `datasets` library, which asks the Hub: one data set with two splits, and no network beyond."""
    rows = [{"question": f"When {n}?", "answers": {"text": [str(n)]}} for n in range(130)]

    def split_names(name: str, config: str) -> list[str]:
        if name != "owner/asked":
            raise ConnectionError("no such\ndata set")
        return ["train", "validation"]

    def load(name: str, config: str, split: str, streaming: bool) -> SimpleNamespace:
        assert (config, split, streaming) == ("main", "validation", True)
        return SimpleNamespace(take=lambda limit: iter(rows[:limit]))

    library = SimpleNamespace(
        get_dataset_config_names=lambda _: ["main"], get_dataset_split_names=split_names, load_dataset=load
    )
    monkeypatch.setitem(sys.modules, "datasets", library)


def test_a_data_set_of_the_hub_is_read_by_its_id(hub, monkeypatch):
    rows = tables.read_table("owner/asked")
    assert len(rows) == 130
    monkeypatch.setattr(tables, "HUB_LIMIT", 20)
    assert len(tables.read_table("owner/asked")) == 20
    assert rows[129] == ("owner/asked (validation): row 129", {"question": "When 129?", "answers": {"text": ["129"]}})
    with pytest.raises(DataError, match=r"'owner/unknown' .*\(no such data set\).*network.*give the file"):
        tables.read_table("owner/unknown")


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"'owner/asked' .*pip install datasets.*give the file"):
        tables.read_table("owner/asked")


def test_a_path_that_looks_like_an_id_is_not_sent_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "hub_rows", lambda *_: pytest.fail("the Hub was asked"))
    (tmp_path / "private").mkdir()
    for path in ("private/questions", "private/questions.csv", "questions", "owner/questions.csv"):
        with pytest.raises(DataError, match="there is no such file"):
            tables.read_table(path)
