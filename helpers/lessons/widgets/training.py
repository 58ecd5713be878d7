"""`training_panel`: choose rank, learning rate, epochs and labels, then watch a model learn, stop it, and resume.

The panel trains in rounds of one epoch, each started from the one before, so that the model can answer the same few
questions after every round. What was learned before a stop is kept.
"""

from __future__ import annotations

import hashlib
import json
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from ... import plots
from ...data import Example, KitError, Question, held, own_folder
from ...experiment import Assistant
from ...models import SYSTEM
from ...tuning import LogEntry, Lora, TrainingData, TrainingStopped, TrainSettings, train
from .frame import Panel, escape, labelled, number, table

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from ...models import FoundationModel

SHOWN_EPOCHS = 3  # the answers of the last ones are beside those before the training
RATES = (1e-4, 3e-4, 1e-3, 3e-3)
_panels: weakref.WeakSet[TrainingPanel] = weakref.WeakSet()


class TrainingPanel(Panel):
    """A training in a thread of its own, so that the notebook stays free; one training at a time."""

    def __init__(
        self, fm: FoundationModel, pairs: Sequence[Example], questions: Sequence[Question], folder: Path, length: int
    ):
        """See `training_panel`."""
        self.fm, self.pairs, self.questions, self.folder, self.length = fm, pairs, questions, folder, length
        self.history: list[LogEntry] = []
        self.answers: dict[str, list[str]] = {}
        self.halt, self.thread, self.stopped = threading.Event(), None, None
        self.stop_button = ipywidgets.Button(description="Stop", disabled=True)
        self.stop_button.on_click(lambda _: self.stop())
        most, rates = max(2, len(pairs)), [(f"{rate:g}", rate) for rate in RATES]
        controls = {
            "rank": number("rank of the adapter", 2, 64, 2, 16),
            "rate": labelled(ipywidgets.Dropdown, "learning rate", options=rates, value=1e-3),
            "epochs": number("epochs", 1, 12, 1, 3),
            "labels": number("labelled pairs", 2, most, 1, min(60, most)),
        }
        super().__init__("Train it yourself", controls, self.train, "Start")
        self.bar.children = (self.button, self.stop_button)
        self.say("Nothing has been trained yet. Press “Start”.")
        for other in _panels:
            other.halt.set()  # its cell was run again, say
        _panels.add(self)

    def refresh(self) -> None:
        """Starts a training with the present settings, or resumes it where it was stopped."""
        if self.thread is None or not self.thread.is_alive():
            self.halt.clear()
            self.stopped, self.button.description, self.stop_button.disabled = None, "Start", False
            self.thread = threading.Thread(target=super().refresh, daemon=True)
            self.thread.start()

    def wait(self) -> None:
        """Returns when no training is running any more."""
        if self.thread is not None:
            self.thread.join()

    def stop(self) -> None:
        """Asks the training to stop after its present step."""
        self.halt.set()
        self.say("Stopping after this step ...")

    def fail(self, error: BaseException) -> None:
        """Keeps what was shown where the training was only stopped."""
        if not isinstance(error, TrainingStopped):
            super().fail(error)
            return
        self.stopped, self.shown = self.shown, None
        self.changed()
        self.say("Stopped. What was learned is kept: “Resume” continues with the same settings.")

    def changed(self) -> None:
        """Lets only the training that was stopped be resumed: other settings are another training."""
        self.button.description = "Resume" if self.stopped == self.values else "Start"
        super().changed()

    def train(self, rank: int, rate: float, epochs: int, labels: int) -> str:
        """Trains with these settings and gives the curve and the answers as HTML.

        Raises:
            TrainingStopped: It was stopped; the same call resumes it.
        """
        if len(self.pairs) < 2:
            raise KitError("There are no labelled pairs to learn from: pass at least two.")
        pairs = [self.pairs[i * len(self.pairs) // labels] for i in range(labels)]
        folder = self.folder / self.key(rank=rank, rate=rate, epochs=epochs, labels=labels)
        self.history, self.answers, done, before = [], {}, [], None
        self.ask("before", None)
        try:
            for epoch in range(1, epochs + 1):
                settings = TrainSettings(
                    Lora(rank, rank), learning_rate=rate, schedule="constant", epochs=1, seed=epoch, compile=False,
                    max_length=self.length,
                )  # fmt: skip
                callback = _callback(self, done, epochs)
                with held(folder / f"epoch-{epoch}"):  # a panel that was stopped may still be in its last step there
                    tuned = train(
                        self.fm, TrainingData(pairs=pairs), settings, folder / f"epoch-{epoch}", before, callback
                    )
                done, before = [*done, *_after(done, tuned.history, epochs)], tuned.folder
                self.history = done
                self.ask(f"epoch {epoch}", before)
                if self.halt.is_set() and epoch < epochs:
                    raise TrainingStopped("stopped between two epochs")
        finally:
            self.stop_button.disabled = True
        return self.drawn()

    def key(self, **settings: Any) -> str:
        """A name for the training with these settings, of this model and these pairs."""
        pairs = [(pair.id, pair.prompt, pair.response) for pair in self.pairs]
        text = json.dumps([settings, self.fm.hash, SYSTEM, self.length, pairs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def follow(self, done: Sequence[LogEntry], epochs: int, entry: LogEntry) -> None:
        """Adds a step to the curve and says how far the training is."""
        new = _after(done, [entry], epochs)
        self.history = [*(kept for kept in self.history if kept.step < new[0].step), *new]
        self.result.value = self.drawn()
        if not self.halt.is_set():
            self.say(f"Step {new[0].step} of {new[0].steps}: loss {entry.loss:.2f}")

    def ask(self, when: str, adapter: Path | None) -> None:
        """Asks the questions, and shows the answers."""
        if self.questions:
            replies = Assistant(self.fm, adapter).ask_all(self.questions)
            self.answers[when] = [reply.text for reply in replies]
            self.result.value = self.drawn()

    def drawn(self) -> str:
        """The curve, and the questions with their answers so far."""
        curve = ""
        if self.history:
            first, last = self.history[0], self.history[-1]
            alt = f"Loss over {last.step} steps, from {first.loss:.2f} to {last.loss:.2f}"
            curve = plots.image(plots.training_curve(self.history), alt).data
        if not self.answers:
            return curve
        times = [*list(self.answers)[:1], *list(self.answers)[1:][-SHOWN_EPOCHS:]]
        rows = [
            (escape(q.prompt), escape(" or ".join(q.answers)), *(escape(self.answers[when][i]) for when in times))
            for i, q in enumerate(self.questions)
        ]
        return curve + table("The same questions after each epoch", ["question", "wanted", *times], rows)


def training_panel(
    fm: FoundationModel,
    pairs: Sequence[Example],
    questions: Sequence[Question] = (),
    folder: Path | None = None,
    max_length: int = 256,
) -> TrainingPanel:
    """Train an adapter with settings of your own: start, stop and resume, with the live loss and sample answers.

    Args:
        fm: The model to tune; it stays as it is, since a copy is trained.
        pairs: Labelled pairs, of which a slider says how many are used.
        questions: Up to four that are asked before the training and after each epoch.
        folder: Where the adapters are kept; None takes a folder beside the learner's results.
        max_length: Tokens of a training row.
    """
    folder = folder or own_folder() / "adapters" / "panel"
    return TrainingPanel(fm, list(pairs), list(questions)[:4], folder, max_length)


def _callback(panel: TrainingPanel, done: Sequence[LogEntry], epochs: int) -> TrainerCallback:
    """Passes each logged step to the panel, and stops the training when the panel is told to."""
    from transformers import TrainerCallback

    class Follow(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = control.should_training_stop or panel.halt.is_set()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                panel.follow(done, epochs, LogEntry(state.global_step, state.max_steps, logs["loss"]))

    return Follow()


def _after(done: Sequence[LogEntry], history: Sequence[LogEntry], epochs: int) -> list[LogEntry]:
    """The entries of one round, counted on from those of the rounds before."""
    before = done[-1].step if done else 0
    return [replace(entry, step=before + entry.step, steps=epochs * entry.steps) for entry in history]
