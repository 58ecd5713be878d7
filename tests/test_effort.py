"""Effort: clocks and memory are real, an error does not lose them, and two steps add up."""

from __future__ import annotations

import sys
import time

import pytest

from helpers.data.records import Effort
from helpers.models.effort import folder_bytes, measure, show_progress


def test_clocks_and_memory_are_measured_and_survive_an_error():
    before = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), measure() as effort:
        effort.documents = 3
        held = bytearray(200_000_000)
        held[::4096] = b"x" * len(held[::4096])  # touch every page, so that the memory is really taken
        end = time.process_time() + 0.2
        while time.process_time() < end:
            sum(range(1000))
        time.sleep(0.5)
        raise KeyboardInterrupt
    assert effort.documents == 3 and effort.peak_memory_bytes > len(held)
    assert effort.cpu_s + 0.3 <= effort.wall_s <= time.perf_counter() - before, "sleep takes hardly any time of the CPU"
    assert effort.cpu_s >= 0.2


def test_efforts_add_up_except_for_the_peak():
    one = Effort(1.0, 2.0, 300, 4, 5, 6, 7, 8)
    two = Effort(10.0, 20.0, 30, 40, 50, 60, 70, 80)
    assert one + two == two + one == Effort(11.0, 22.0, 300, 44, 55, 66, 77, 88)
    assert one + Effort() == one


def test_the_size_of_a_folder_counts_every_file_below_it(tmp_path):
    assert folder_bytes(tmp_path) == 0
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "deep" / "deeper" / "b").write_bytes(b"12345")
    assert folder_bytes(tmp_path) == 8


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_in_a_terminal_and_a_line_a_minute_elsewhere(monkeypatch, capsys, terminal):
    clock = iter(range(0, 100_000, 20))
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with show_progress("Indexing", 20, "documents", done=2) as bar:
        for _ in range(18):
            bar.set_postfix(loss="0.5", refresh=False)
            bar.update()
    printed = capsys.readouterr().err
    if terminal:
        assert "Indexing" in printed and "20/20" in printed and printed.count("\n") <= 1
        return
    lines = printed.splitlines()
    assert 4 <= len(lines) <= 10 and "\r" not in printed and printed.endswith("\n") and "" not in lines
    assert all(line.startswith("Indexing: ") and line.endswith("loss=0.5") for line in lines)
    assert lines[-1].startswith("Indexing: 20 of 20 documents in ")


def test_no_progress_is_shown_where_it_is_not_wanted_or_all_is_done_or_a_minute_is_enough(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for total, shown in ((5, False), (0, True)):
        with show_progress("Indexing", total, "documents", shown) as bar:
            bar.update(total)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with show_progress("Indexing", 5, "documents") as bar:
        bar.update(5)
    assert capsys.readouterr().err == ""
