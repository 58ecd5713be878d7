"""`training_panel`: choose rank, learning rate, epochs and labels, then watch a model learn, stop it, and resume."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
from transformers import TrainerCallback, TrainerState

from ... import plots
from ...data import Example, KitError, Question, held, own_folder
from ...experiment import Assistant
from ...models import SYSTEM
from ...tuning import LogEntry, Lora, TrainingData, TrainingStopped, TrainSettings, train
from ..live import log_entries
from .frame import Panel, escape, labelled, number, table

if TYPE_CHECKING:
    from ...models import FoundationModel

RATES = [(f"{rate:g}", rate) for rate in (1e-4, 3e-4, 1e-3, 3e-3)]
_panels: weakref.WeakSet[TrainingPanel] = weakref.WeakSet()


class TrainingPanel(Panel, TrainerCallback):
    """Train an adapter with settings of your own: start, stop and resume, with the live loss and sample answers.

    One training at a time, in a thread of its own, so that the notebook stays free; the panel is its own callback. It
    trains in rounds of one epoch, each started from the one before, so that the model can answer questions in between.

    Args:
        fm: The model to tune; it stays as it is, since a copy is trained.
        pairs: Labelled pairs, of which a slider says how many are used.
        questions: Up to four that are asked before the training and after each epoch.
        folder: Where the adapters are kept; None takes a folder beside the learner's results.
        max_length: Tokens of a training row.
    """

    def __init__(
        self, fm: FoundationModel, pairs: Sequence[Example], questions: Sequence[Question] = (),
        folder: Path | None = None, max_length: int = 256,
    ):  # fmt: skip
        self.fm, self.pairs, self.questions, self.length = fm, list(pairs), list(questions)[:4], max_length
        self.folder = folder or own_folder() / "adapters" / "panel"
        self.done, self.history, self.answers = [], [], {}  # entries of the rounds before; all; answers by epoch
        self.halt, self.thread = threading.Event(), threading.Thread()
        self.stop_button, most = ipywidgets.Button(description="Stop", disabled=True), max(2, len(self.pairs))
        self.stop_button.on_click(lambda _: self.stop())
        controls = {
            "rank": number("rank of the adapter", 2, 64, 2, 16),
            "rate": labelled(ipywidgets.Dropdown, "learning rate", options=RATES, value=1e-3),
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
        if not self.thread.is_alive():
            self.halt.clear()
            self.stop_button.disabled = False
            self.thread = threading.Thread(target=super().refresh, daemon=True)
            self.thread.start()

    def stop(self) -> None:
        """Asks the training to stop after its present step."""
        self.halt.set()
        self.say("Stopping after this step ...")

    def fail(self, error: BaseException) -> None:
        """Keeps what was shown where the training was only stopped."""
        if isinstance(error, TrainingStopped):
            self.shown = None
            self.say("Stopped. What was learned is kept: “Start” resumes it, unless you change the settings.")
        else:
            super().fail(error)

    def train(self, **wanted: Any) -> str:
        """Trains with these settings and gives the curve and the answers as HTML; resumes what was stopped before."""
        try:
            if len(self.pairs) < 2:
                raise KitError("There are no labelled pairs to learn from: pass at least two.")
            labels, folder, before = wanted["labels"], self.folder / self.key(**wanted), None
            data = TrainingData(pairs=[self.pairs[i * len(self.pairs) // labels] for i in range(labels)])
            self.done, self.history, self.answers = [], [], {}
            self.ask("before", None)
            lora, options = Lora(wanted["rank"], wanted["rank"]), {"compile": False, "max_length": self.length}
            for epoch in range(1, wanted["epochs"] + 1):
                if self.halt.is_set():
                    raise TrainingStopped("stopped between two epochs")
                settings = TrainSettings(lora, wanted["rate"], "constant", epochs=1, seed=epoch, **options)
                place = folder / f"epoch-{epoch}"
                with held(place):  # a panel that was stopped may still be in its last step there
                    self.follow(train(self.fm, data, settings, place, before, self).history)
                self.done, before = self.history, place
                self.ask(f"epoch {epoch}", place)
        finally:
            self.stop_button.disabled = True
        return self.drawn()

    def key(self, **settings: Any) -> str:
        """A name for the training with these settings, of this model and these pairs."""
        parts = repr([sorted(settings.items()), self.fm.hash, SYSTEM, self.length, self.pairs])
        return hashlib.sha256(parts.encode()).hexdigest()[:12]

    def on_log(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Adds to the curve, and says how far the round is."""
        self.follow(log_entries(state))

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Stops the training where that was asked for."""
        control.should_training_stop |= self.halt.is_set()

    def follow(self, history: Sequence[LogEntry]) -> None:
        """Shows the entries of this round after those of the rounds before."""
        before, epochs = self.done[-1].step if self.done else 0, self.shown["epochs"]
        self.history = [*self.done, *(replace(e, step=before + e.step, steps=epochs * e.steps) for e in history)]
        self.result.value = self.drawn()
        if self.history and not self.halt.is_set():
            self.say(f"{self.history[-1].step} steps: loss {self.history[-1].loss:.2f}")

    def ask(self, when: str, adapter: Path | None) -> None:
        """Asks the questions, and shows the answers."""
        if self.questions:
            self.answers[when] = [reply.text for reply in Assistant(self.fm, adapter).ask_all(self.questions)]
            self.result.value = self.drawn()

    def drawn(self) -> str:
        """The curve, and the questions with their answers so far."""
        curve = plots.image(plots.training_curve(self.history)).data if self.history else ""
        if not self.answers:
            return curve
        before, *epochs = self.answers
        shown = [before, *epochs[-3:]]
        texts = zip(*(self.answers[when] for when in shown), strict=True)
        asked = [(question.prompt, " or ".join(question.answers)) for question in self.questions]
        rows = [map(escape, (*first, *replies)) for first, replies in zip(asked, texts, strict=True)]
        return curve + table("The same questions after each epoch", ["question", "wanted", *shown], rows)


training_panel = TrainingPanel  # by the name of a function, as the other widgets
