"""Effort: clocks and memory are real, an error does not lose them, and two steps add up."""

from __future__ import annotations

import sys
import time

import pytest

from helpers.models.machine import measure, show_progress


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
    for total, shown, terminal in ((5, False, True), (0, True, True), (5, True, False)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal, raising=False)
        with show_progress("Indexing", total, "documents", shown) as bar:
            bar.update(total)
    assert capsys.readouterr().err == ""
