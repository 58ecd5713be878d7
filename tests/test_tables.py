"""Tables of every kind: rows with their places, faults by line, and data sets of the Hub by their id."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest
from conftest import ROOT, run_python, write

from helpers.data import tables
from helpers.data.records import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the file is empty"),
        ("a,a\n1,2\n", "1: two columns are named 'a'"),
        ("a,b\n", "no row below the names"),
        ('a,b\n1,"2\n', "not valid CSV"),
        ("a,b\n1,2\n,\n", "3: all cells of this row are empty"),
        ("id,b\n1,2\n1,3\n", "3: the id '1' is used twice"),
        ('id,b\n\n1,"2\n3"\n\n\n1,3\n', "7: the id '1' is used twice"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_by_line(tmp_path, text, message):
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match=message) as caught:
        tables.table_documents(path, "t.csv")
    assert str(path) in str(caught.value)


def test_separators_quotes_and_lines_within_a_cell(tmp_path):
    path = write(tmp_path / "t.csv", '\ufeffFrage;Antwort\n"Was; wo?";"zwei\nZeilen"\nWer?;Orla\n')
    assert tables.csv_rows(path) == [
        (f"{path}:2", {"Frage": "Was; wo?", "Antwort": "zwei\nZeilen"}),
        (f"{path}:4", {"Frage": "Wer?", "Antwort": "Orla"}),
    ]


def test_a_cell_may_be_long_and_no_column_of_text_is_lost(tmp_path):
    long = "The tide turns. " * 15_000
    path = write(tmp_path / "t.csv", f"title,text,body\nTides,A teaser.,{long}\nWinds,,A gale.\n")
    tides, winds = tables.table_documents(path, "t.csv")
    assert "A teaser." in tides.text and long.strip() in tides.text
    assert winds.text.endswith("\n\nA gale.")


@pytest.fixture
def viewer(monkeypatch) -> Iterator[list[str]]:
    """A server on loopback that answers as the Hub's viewer does; yields the requests that it got."""
    rows = [{"question": f"When {n}?", "answers": {"text": [str(n)]}, "context": "none"} for n in range(130)]
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            query = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
            reply = {"splits": [{"config": "main", "split": name} for name in ("train", "validation")]}
            if self.path.startswith("/rows"):
                start = int(query["offset"])
                part = rows[start : start + int(query["length"])]
                reply = {"rows": [{"row_idx": start + i, "row": row} for i, row in enumerate(part)]}
            self.send_response(200 if query["dataset"] == "owner/asked" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(tables.hub_rows, "__defaults__", (address,))
        yield seen
        server.shutdown()
        thread.join()


def test_a_data_set_of_the_hub_is_read_by_its_id(viewer):
    rows = tables.read_table("owner/asked")
    assert len(rows) == 130 and rows[129][1]["question"] == "When 129?"
    assert rows[0][0] == "owner/asked (validation): row 0"
    assert len(tables.read_table("owner/asked", limit=20)) == 20
    with pytest.raises(DataError, match="did not give a data set of that name"):
        tables.read_table("owner/unknown")


def test_a_path_that_looks_like_an_id_is_not_sent_anywhere(viewer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "private").mkdir()
    for path in ("private/questions", "private/questions.csv", "questions"):
        with pytest.raises(DataError, match="there is no such file"):
            tables.read_table(path)
    assert viewer == []


def test_without_a_network_the_error_says_so(tmp_path, folder):
    command = ["-m", "helpers", "study", "--documents", folder, "--questions", "owner/asked", "--out", tmp_path / "out"]
    run = run_python(*command, PYTHONPATH=str(ROOT / "tests" / "blocked_network"))
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "owner/asked" in run.stderr and "network" in run.stderr and "give the file" in run.stderr
