"""A training as it goes: a line in a terminal, a loss curve that grows in a notebook."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from .trainer import Listener

if TYPE_CHECKING:
    from .trainer import LogEntry

PAUSE_S = 2.0  # the curve is drawn anew at most this often


def show(title: str) -> Listener:
    """A listener that shows the progress where it can be seen: in the notebook's output, or on the error stream."""
    return Listener(_Curve(title) if _in_notebook() else _Line(title))


def as_line(title: str, moment: LogEntry) -> str:
    """The moment in one line."""
    validation = "" if moment.validation_loss is None else f", validation {moment.validation_loss:.3f}"
    return (
        f"{title}: step {moment.step} of {moment.steps}, loss {moment.loss:.3f}{validation}, learning rate "
        f"{moment.learning_rate:.1e}, {moment.tokens_per_s:.0f} tokens/s, {_clock(moment.seconds_left)} left"
    )


class _Line:
    """Writes over one line of a terminal; into a file, one line after the other."""

    def __init__(self, title: str):
        self.title = title

    def __call__(self, moment: LogEntry) -> None:
        line = as_line(self.title, moment)
        if sys.stderr.isatty():
            end = "\n" if moment.step == moment.steps else ""
            print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


class _Curve:
    """One output of a notebook's cell that is drawn anew as the training goes."""

    def __init__(self, title: str):
        self.title, self.moments, self.drawn, self.handle = title, [], 0.0, None

    def __call__(self, moment: LogEntry) -> None:
        from IPython.display import HTML, display

        if self.moments and self.moments[-1].step == moment.step:
            self.moments.pop()
        self.moments.append(moment)
        if time.perf_counter() - self.drawn < PAUSE_S and moment.step < moment.steps:
            return
        picture = HTML(self._picture() + f"<p>{as_line(self.title, moment)}</p>")
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)
        self.drawn = time.perf_counter()

    def _picture(self) -> str:
        from matplotlib.figure import Figure

        from .. import plots

        figure = Figure(figsize=(6, 2.6), layout="constrained")
        plots.training_curve(self.moments, figure.subplots())
        last = self.moments[-1]
        first = self.moments[0].loss
        told = f"Loss of the training {self.title}: {first:.2f} at first, {last.loss:.2f} at step {last.step}"
        return plots.image(figure, told).data


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"
