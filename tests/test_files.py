"""Files: written whole or not at all, in a folder that can be moved, and by one process at a time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from conftest import disk_with_room_for

from helpers.data.files import csv_rows, held, write_text
from helpers.data.records import KitError


def test_the_rows_of_a_table_know_their_first_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffFrage;Antwort\r\n\r\n"Was; wo?";"zwei\nZeilen"\r\n\r\nWer?; Orla\r\nWann?\r\n'.encode())
    assert csv_rows(path) == [
        (f"{path}:3", {"Frage": "Was; wo?", "Antwort": "zwei\nZeilen"}),
        (f"{path}:6", {"Frage": "Wer?", "Antwort": "Orla"}),
        (f"{path}:7", {"Frage": "Wann?", "Antwort": ""}),
    ]
    path.write_text("a\tb\n1,5\t2\n")
    assert csv_rows(path) == [(f"{path}:2", {"a": "1,5", "b": "2"})]


def test_a_text_is_written_as_it_is_with_one_kind_of_line_end(tmp_path):
    path = write_text(tmp_path / "new" / "folder" / "file", "„Wer?“\n")
    assert write_text(path, "„Wer?“\n") == path
    assert path.read_bytes() == "„Wer?“\n".encode() and list(path.parent.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_text(tmp_path / "file", "old")
    monkeypatch.setattr(os, "fsync", lambda _: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX's")
def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path):
    path = write_text(tmp_path / "file", "old")
    with disk_with_room_for(1000), pytest.raises(KitError, match="could not write .*file: .*Free some space"):
        write_text(path, "x" * 10_000)
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    place = write_text(tmp_path / "file", "in the way") / "new"
    with pytest.raises(KitError, match=str(place)):
        write_text(place, "text")
    with pytest.raises(KitError, match=str(place)), held(place):
        pass


def test_a_held_folder_is_entered_by_one_at_a_time(tmp_path, capsys):
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with held(tmp_path / "work"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with held(tmp_path / "work"):
        inside.set()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and not Path(tmp_path / "work").exists()
    assert "another process works in" in capsys.readouterr().err
