"""The loss curve of a training that grows in a notebook's output: `study.train("triage", show("triage"))`."""

from __future__ import annotations

import math
import time
import uuid
from typing import Any

from IPython.display import HTML, display
from transformers import TrainerCallback, TrainerState

from .. import plots
from ..tuning import LogEntry

PAUSE_S = 2.0  # the curve is drawn anew at most this often


class LiveCurve(TrainerCallback):
    """A callback of transformers' Trainer that draws the losses, anew as they are logged, into one output of a cell.

    Args:
        title: Stands below the curve.
    """

    def __init__(self, title: str):
        self.title, self.drawn, self.place = title, -math.inf, uuid.uuid4().hex

    def on_log(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Draws the curve up to this step."""
        history, ended, now = log_entries(state), state.global_step >= state.max_steps, time.monotonic()
        if history and (ended or now - self.drawn >= PAUSE_S):
            picture, last = plots.image(plots.training_curve(history)).data, history[-1]
            text = HTML(f"{picture}<p>{self.title}: step {last.step} of {last.steps}, loss {last.loss:.3f}</p>")
            display(text, display_id=self.place, update=self.drawn > 0)
            self.drawn = now


show = LiveCurve  # reads better in a notebook: `study.train("triage", show("triage"))`


def log_entries(state: TrainerState) -> list[LogEntry]:
    """What a Trainer has logged so far, one entry a step with a loss."""
    logged: dict[int, dict[str, float]] = {}
    for entry in state.log_history:
        logged.setdefault(entry["step"], {}).update(entry)
    return [
        LogEntry(step, state.max_steps, entry["loss"], entry["learning_rate"], 0,
                 entry.get("eval_validation_loss"), entry.get("eval_general_loss"))
        for step, entry in sorted(logged.items()) if "loss" in entry
    ]  # fmt: skip
