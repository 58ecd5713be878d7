"""The loss curve of a training that grows in a notebook's output: `study.train("triage", show("triage"))`."""

from __future__ import annotations

import time
from typing import Any

from IPython.display import HTML, display
from transformers import TrainerCallback, TrainerState

from .. import plots
from ..tuning import LogEntry

PAUSE_S = 2.0  # the curve is drawn anew at most this often


def show(title: str) -> LiveCurve:
    """A callback of transformers' Trainer that draws the losses as they are logged.

    Args:
        title: Stands below the curve.
    """
    return LiveCurve(title)


class LiveCurve(TrainerCallback):
    """One output of a notebook's cell, drawn anew as the training goes."""

    def __init__(self, title: str):
        self.title, self.drawn, self.handle = title, -PAUSE_S, None

    def on_log(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Draws the curve up to this step."""
        history, ended = log_entries(state), state.global_step >= state.max_steps
        if not history or (time.monotonic() - self.drawn < PAUSE_S and not ended):
            return
        last, self.drawn = history[-1], time.monotonic()
        picture = plots.image(plots.training_curve(history)).data
        text = HTML(f"{picture}<p>{self.title}: step {last.step} of {last.steps}, loss {last.loss:.3f}</p>")
        if self.handle is None:
            self.handle = display(text, display_id=True)
        else:
            self.handle.update(text)


def log_entries(state: TrainerState) -> list[LogEntry]:
    """What a Trainer has logged so far, one entry a step with a loss."""
    logged: dict[int, dict[str, float]] = {}
    for entry in state.log_history:
        logged.setdefault(entry["step"], {}).update(entry)
    return [
        LogEntry(
            step, state.max_steps, entry["loss"], entry["learning_rate"],
            validation_loss=entry.get("eval_validation_loss"), general_loss=entry.get("eval_general_loss"),
        )
        for step, entry in sorted(logged.items()) if "loss" in entry
    ]  # fmt: skip
