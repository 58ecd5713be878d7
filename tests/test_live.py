"""The loss curve of a training that grows in a notebook's output."""

from __future__ import annotations

import re

from transformers import TrainerState

from helpers.lessons import live


def log(step: int, **logs: float) -> dict[str, float]:
    return {"step": step, "learning_rate": 1e-3, **logs}


def test_a_notebook_has_one_picture_that_grows(monkeypatch):
    drawn = []

    def display(picture, display_id, update):
        assert update == bool(drawn) and display_id == curve.place
        drawn.append(picture.data)

    monkeypatch.setattr(live, "display", display)
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    curve, state = live.show("triage"), TrainerState(max_steps=40, log_history=[{"step": 0, "eval_general_loss": 3.0}])
    curve.on_log(None, state, None)
    assert drawn == [], "no step has been logged"
    for step in (10, 20, 30):
        state.global_step = step
        state.log_history.append(log(step, loss=4.0 - step / 20))
        curve.on_log(None, state, None)
    assert [re.search(r"step (\d+) of 40", text)[1] for text in drawn] == ["10", "20", "30"]
    assert all("<img" in text and "triage" in text for text in drawn)
    monkeypatch.setattr(live, "PAUSE_S", 1e9)
    curve.on_log(None, state, None)
    assert len(drawn) == 3, "not more often than it can be seen"
    state.global_step = 40
    state.log_history.append(log(40, loss=2.0))
    curve.on_log(None, state, None)
    assert len(drawn) == 4 and "loss 2.000" in drawn[-1], "and the last step always"


def test_losses_of_one_step_are_one_entry():
    logs = [log(10, loss=3.0), {"step": 10, "eval_validation_loss": 3.5}, {"step": 10, "eval_general_loss": 2.5}]
    (entry,) = live.log_entries(TrainerState(max_steps=40, log_history=logs))
    assert (entry.step, entry.steps, entry.loss, entry.validation_loss, entry.general_loss) == (10, 40, 3.0, 3.5, 2.5)
