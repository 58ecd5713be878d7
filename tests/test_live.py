"""A training as it goes: what a terminal, a file and a notebook show of it."""

from __future__ import annotations

import io
import re

import pytest

from helpers.tuning import live
from helpers.tuning.trainer import LogEntry


def moment(step: int, steps: int = 40, validation: float | None = None) -> LogEntry:
    return LogEntry(step, steps, 4.0 - step / 20, 3e-4, 100 * step, validation, None, 250.0, 2.0 * (steps - step))


class Stream(io.StringIO):
    def __init__(self, terminal: bool):
        super().__init__()
        self.isatty = lambda: terminal


def test_a_line_tells_step_loss_validation_rate_speed_and_time_left():
    assert live.as_line("triage", moment(10)) == (
        "triage: step 10 of 40, loss 3.500, learning rate 3.0e-04, 250 tokens/s, 60 s left"
    )
    assert "loss 3.500, validation 3.900, learning" in live.as_line("triage", moment(10, validation=3.9))
    assert live.as_line("triage", moment(1, 400)).endswith("13 min left")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_has_one_line_and_a_file_one_a_moment(monkeypatch, terminal):
    stream = Stream(terminal)
    monkeypatch.setattr("sys.stderr", stream)
    listener = live.show("triage")
    for step in (10, 20, 40):
        listener.on_moment(moment(step))
    shown = stream.getvalue()
    assert shown.count("step ") == 3 and shown.endswith("0 s left\n")
    assert shown.count("\n") == (1 if terminal else 3) and shown.count("\r") == (3 if terminal else 0)


def test_a_notebook_has_one_picture_that_grows(monkeypatch):
    drawn = []

    class Handle:
        def update(self, picture):
            drawn.append(picture.data)

    def display(picture, display_id):
        drawn.append(picture.data)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(live, "_in_notebook", lambda: True)
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    listener = live.show("triage")
    for each in (moment(10), moment(20), moment(20, validation=3.3), moment(40)):
        listener.on_moment(each)
    assert len(drawn) == 4, "drawn anew at every moment, in one place"
    assert [re.search(r"step (\d+) of", text)[1] for text in drawn] == ["10", "20", "20", "40"]
    assert "validation 3.300" in drawn[2]
    assert all("<img" in text and f"at step {step}" in text for text, step in zip(drawn, (10, 20, 20, 40), strict=True))
    monkeypatch.setattr(live, "PAUSE_S", 1e9)
    listener.on_moment(moment(39))
    assert len(drawn) == 4, "not more often than it can be seen"
    listener.on_moment(moment(40))
    assert len(drawn) == 5, "and the last step always"
