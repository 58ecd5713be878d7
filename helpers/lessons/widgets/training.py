"""`training_panel`: choose rank, learning rate, epochs and labels, then watch a model learn, stop it, and resume."""

import hashlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import ipywidgets
from transformers import TrainerCallback, TrainerState

from ... import plots
from ...data import Example, KitError, Question, held, own_folder
from ...experiment import Assistant
from ...models import SYSTEM, FoundationModel
from ...tuning import LogEntry, Lora, TrainingData, TrainingStopped, TrainSettings, read_log, train
from .frame import Panel, escape, labelled, number, table

RATES = [(f"{rate:g}", rate) for rate in (1e-4, 3e-4, 1e-3, 3e-3)]


class TrainingPanel(Panel, TrainerCallback):
    """Train an adapter with settings of your own: start, stop and resume, with the live loss and sample answers.

    One training at a time, in a thread of its own, so that the notebook stays free; the panel is its own callback. The
    model stays as it is, since a copy is trained. The questions are asked before and after the training.
    """

    last_halt = threading.Event()  # of the panel that was made last

    def __init__(self, fm: FoundationModel, pairs: Sequence[Example], questions: Sequence[Question] = ()):
        self.fm, self.pairs, self.questions = fm, list(pairs), list(questions)
        self.history: list[LogEntry] = []
        self.since: tuple[int, float] | None = None  # the first step of this run that was seen, and when
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
        TrainingPanel.last_halt.set()  # its cell was run again, say
        TrainingPanel.last_halt = self.halt

    def refresh(self) -> Panel:
        """Starts a training with the present settings, or resumes it where it was stopped."""
        if not self.thread.is_alive():
            self.halt.clear()
            self.stop_button.disabled = False
            self.thread = threading.Thread(target=self.work_beside, daemon=True)
            self.thread.start()
        return self

    def work_beside(self) -> None:
        """What the thread does."""
        super().refresh()
        self.stop_button.disabled = True

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

    def train(self, rank: int, rate: float, epochs: int, labels: int) -> str:
        """Trains with these settings and gives the curve and the answers as HTML; resumes what was stopped before."""
        if len(self.pairs) < 2:
            raise KitError("There are no labelled pairs to learn from: pass at least two.")
        data = TrainingData(pairs=[self.pairs[i * len(self.pairs) // labels] for i in range(labels)])
        settings = TrainSettings(Lora(rank, rank), rate, epochs=epochs)
        name = hashlib.sha256(repr([self.fm.hash, SYSTEM, data, settings]).encode()).hexdigest()[:12]
        folder, self.since = own_folder() / "adapters" / "panel" / name, None
        with held(folder):  # a panel that was stopped may still be in its last step there
            self.history = train(self.fm, data, settings, folder, callback=self).history
        replies = [Assistant(self.fm, adapter).ask_all(self.questions) for adapter in (None, folder)]
        rows = [
            (asked.prompt, " or ".join(asked.answers), before.text, after.text)
            for asked, before, after in zip(self.questions, *replies, strict=True)
        ]
        head = ["question", "wanted", "before", "after"]
        shown = table("The same questions to the model", head, [map(escape, row) for row in rows])
        return self.curve() + (shown if rows else "")

    def on_log(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Draws the curve up to this step."""
        self.history, _ = read_log(state)
        self.result.value = self.curve()
        if self.history and not self.halt.is_set():
            last, now = self.history[-1], time.monotonic()
            first_step, begun = self.since = self.since or (last.step, now)  # what was resumed took no time today
            left = (now - begun) / max(1, last.step - first_step) * (last.steps - last.step)
            about = f", about {left:.0f} s left" if last.step > first_step else ""
            self.say(f"Step {last.step} of {last.steps}{about}: loss {last.loss:.2f}")

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Stops the training where that was asked for."""
        control.should_training_stop |= self.halt.is_set()

    def curve(self) -> str:
        """The losses so far, as a picture."""
        return plots.image(plots.training_curve(self.history)).data if self.history else ""


training_panel = TrainingPanel  # by the name of a function, as the other widgets
