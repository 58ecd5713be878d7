"""`training_panel`: choose rank, learning rate, epochs and labels, then watch a model learn, stop it, and go on.

The panel trains in rounds of one epoch, each going on from the one before, so that the model can answer the same few
questions after every round. Stopping keeps what was learned: going on begins where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from ... import plots
from ...data import Example, KitError, Question, held, own_folder
from ...experiment import Assistant
from ...models import SYSTEM, load_model
from ...plots import OKABE_ITO, new_axes
from ...tuning import Listener, LogEntry, Lora, TrainingData, TrainingStopped, TrainSettings, train
from ..widgets.charts import line_chart
from ..widgets.frame import NumberSlider, Panel, escape, labelled, table

if TYPE_CHECKING:
    from ...models import FoundationModel

SHOWN_EPOCHS = 3  # the answers of the last ones stand beside those before the training
RATES = (1e-4, 3e-4, 1e-3, 3e-3)


_panels: weakref.WeakSet[TrainingPanel] = weakref.WeakSet()


class TrainingPanel(Panel):
    """A training in a thread of its own, so that the notebook stays free; one training at a time."""

    def __init__(
        self,
        fm: FoundationModel,
        pairs: Sequence[Example],
        questions: Sequence[Question] = (),
        folder: Path | None = None,
        max_length: int = 256,
    ):
        """See `helpers.widgets.training_panel`."""
        self.fm, self.pairs, self.questions, self.max_length = fm, list(pairs), list(questions)[:4], max_length
        self.folder = folder or own_folder() / "adapters" / "panel"
        self.curve: list[tuple[float, float]] = []
        self.answers: list[tuple[int, list[str]]] = []
        self.halt, self.thread, self.stopped = threading.Event(), None, None
        for other in _panels:
            other.halt.set()  # its cell was run again: the training of the panel that it showed before ends
        _panels.add(self)
        self.stop_button = ipywidgets.Button(description="Stop", disabled=True)
        self.resume_button = ipywidgets.Button(description="Go on", disabled=True)
        super().__init__(
            "Train it yourself",
            {
                "rank": NumberSlider("rank of the adapter", 2, 64, 2, 16),
                "rate": labelled(
                    ipywidgets.Dropdown, "learning rate", options=[(f"{r:g}", r) for r in RATES], value=1e-3
                ),
                "epochs": NumberSlider("epochs", 1, 12, 1, 3),
                "labels": NumberSlider(
                    "labelled pairs", 2, max(2, len(self.pairs)), 1, max(2, min(60, len(self.pairs)))
                ),
            },
            self._train,
            "Start",
        )
        self.stop_button.on_click(lambda _: self.stop())
        self.resume_button.on_click(lambda _: self.refresh())
        rows = [child for child in self.box.children if child is not self.button]
        buttons = ipywidgets.HBox([self.button, self.stop_button, self.resume_button])
        self.box.children = [*rows[:-2], buttons, *rows[-2:]]
        self.say("Nothing has been trained yet. Press “Start”.")

    @property
    def running(self) -> bool:
        """Whether a training is going on."""
        return self.thread is not None and self.thread.is_alive()

    def refresh(self) -> None:
        """Starts a training with the present settings, or goes on with the one that was stopped."""
        if self.running:
            return
        if len(self.pairs) < 2:
            self.fail("There are no labelled pairs to learn from: hand over at least two.")
            return
        for other in _panels:
            if other is not self:
                other.halt.set()  # one training at a time
        wanted = self.values
        self.halt.clear()
        self.curve, self.answers = [], []
        self._lock(True)
        self.say("Loading a copy of the model ...")
        self.thread = threading.Thread(target=self._run, args=(wanted,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Asks the training to stop after its present step; `wait` returns once it has."""
        self.halt.set()
        self.say("Stopping after this step ...")

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the training to end or to have stopped, and says whether it has."""
        if self.thread is not None:
            self.thread.join(seconds)
        return not self.running

    def place(self, wanted: dict[str, Any]) -> Path:
        """The folder of the training with these settings; its rounds lie in it."""
        pairs = [(pair.id, pair.prompt, pair.response) for pair in self.pairs]
        told = json.dumps([wanted, self.fm.hash, SYSTEM, self.max_length, pairs], sort_keys=True)
        return self.folder / hashlib.sha256(told.encode()).hexdigest()[:12]

    def _run(self, wanted: dict[str, Any]) -> None:
        """What the thread does; nothing that goes wrong in it is lost."""
        self.stopped = None
        try:
            self.result.value, self.shown = self._train(**wanted), wanted
            self.say(f"Done: {wanted['epochs']} epochs on {wanted['labels']} pairs.")
        except TrainingStopped:
            self.stopped = wanted
            self.result.value = self._drawn()
            self.say("Stopped. What was learned is kept: “Go on” continues with the same settings.")
        except KitError as error:
            self.fail(str(error))
        except Exception as error:
            self.fail(f"The training did not work: {type(error).__name__}: {error}")
        finally:
            self._lock(False)
            self._settle()

    def _train(self, rank: int, rate: float, epochs: int, labels: int) -> str:
        wanted = {"rank": rank, "rate": rate, "epochs": epochs, "labels": labels}
        pairs = [self.pairs[i * len(self.pairs) // labels] for i in range(labels)]
        self._ask(0, None)
        before, done = None, 0
        for epoch in range(1, epochs + 1):
            settings = TrainSettings(
                Lora(rank, rank), learning_rate=rate, schedule="constant", epochs=1, seed=epoch, compile=False,
                max_length=self.max_length,
            )  # fmt: skip
            listener = Listener(self._follower(epoch, epochs, done), self.halt.is_set)
            folder = self.place(wanted) / f"epoch-{epoch}"
            with held(folder):  # a panel that was told to end may still be in its last step there
                made = train(self.fm, TrainingData(pairs=pairs), settings, folder, before, listener)
            self.curve = [point for point in self.curve if point[0] <= done]
            self.curve += [(done + moment.step, moment.loss) for moment in made.history]
            done, before = done + made.history[-1].steps, made.folder
            self._ask(epoch, made.folder)
            if self.halt.is_set() and epoch < epochs:
                raise TrainingStopped("stopped between two epochs")
        return self._drawn()

    def _follower(self, epoch: int, epochs: int, done: int):
        begun, first = time.perf_counter(), 0

        def follow(moment: LogEntry) -> None:
            """Adds the moment to the curve and says how far the training is."""
            nonlocal begun, first
            if self.curve and self.curve[-1][0] >= done + moment.step:
                return
            if not first:  # steps from before a stop took none of these seconds
                begun, first = time.perf_counter(), moment.step
            self.curve.append((done + moment.step, moment.loss))
            a_step = (time.perf_counter() - begun) / max(1, moment.step - first)
            left = a_step * (epochs * moment.steps - (epoch - 1) * moment.steps - moment.step)
            self.result.value = self._drawn()
            if not self.halt.is_set():
                self.say(
                    f"Epoch {epoch} of {epochs}, step {moment.step} of {moment.steps}: loss {moment.loss:.2f}, "
                    f"{moment.tokens_per_s:.0f} tokens/s, about {left:.0f} s left"
                )

        return follow

    def _ask(self, epoch: int, adapter: Path | None) -> None:
        if self.questions:
            copied = load_model(self.fm.name, self.fm.device, self.fm.dtype)  # the notebook's own model is left alone
            replies = Assistant(copied, adapter=adapter).ask_all(self.questions)
            self.answers.append((epoch, [reply.text for reply in replies]))
            self.result.value = self._drawn()

    def _drawn(self) -> str:
        chart = line_chart({"loss": self.curve}, "steps", "loss of the responses, nats a token", alt=self._in_words())
        if not self.answers:
            return chart
        told = [*self.answers[:1], *self.answers[1:][-SHOWN_EPOCHS:]]
        head = ["question", "wanted", *(f"epoch {n}" if n else "before" for n, _ in told)]
        rows = [
            (escape(q.prompt), escape(q.answers[0] if q.answers else ""), *(escape(texts[i]) for _, texts in told))
            for i, q in enumerate(self.questions)
        ]
        return chart + table("The same questions after each epoch", head, rows)

    def _in_words(self) -> str:
        if not self.curve:
            return "No training yet"
        return f"Loss over {self.curve[-1][0]:.0f} steps, from {self.curve[0][1]:.2f} to {self.curve[-1][1]:.2f}"

    def _lock(self, running: bool) -> None:
        self.button.disabled, self.stop_button.disabled, self.resume_button.disabled = running, not running, True

    def _settle(self) -> None:
        """Lets only the training that was stopped go on: a control may have been moved since it was begun."""
        self.resume_button.disabled = self.stopped is None or self.stopped != self.values

    def _changed(self) -> None:
        if not self.running:
            self._settle()
            super()._changed()

    def static(self) -> str:
        """Settings, and the curve as a picture where something has been trained."""
        if not self.curve:
            return super().static()
        ax = new_axes(None)
        ax.plot([step for step, _ in self.curve], [loss for _, loss in self.curve], color=OKABE_ITO[5])
        ax.set(xlabel="steps", ylabel="loss of the responses, nats a token")
        told = self.result.value
        below = told[told.index("<table") :] if "<table" in told else ""
        return f"<b>{escape(self.title)}</b>{plots.image(ax, self._in_words()).data}{below}{self.status.value}"
