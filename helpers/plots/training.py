"""Lines of one training: its losses step by step, and the perplexities that they mean, pass by pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..data import DataError
from .style import OKABE_ITO, SMALL, bare, label_points, new_axes, number

if TYPE_CHECKING:
    from ..tuning import LogEntry

TRAINING, VALIDATION, GENERAL = OKABE_ITO[5], OKABE_ITO[6], OKABE_ITO[3]


def training_curve(moments: Sequence[LogEntry], ax: Axes | None = None) -> Axes:
    """The loss of a training against the step, with its validation loss and that of general text where they are taken.

    Args:
        moments: What the training reported, `FineTuned.history` say.
        ax: Where to draw; None makes a figure.

    Raises:
        DataError: Nothing has been reported yet.
    """
    if not moments:
        raise DataError("the training has not reported a step yet: there is no curve to draw")
    ax = new_axes(ax, height=2.8)
    dot = "." if len(moments) < 3 else ""  # a line of one point is not seen
    ax.plot([m.step for m in moments], [m.loss for m in moments], marker=dot, color=TRAINING, label="training")
    top = max(m.loss for m in moments)
    for name, look, label in (("validation_loss", "o--", "validation"), ("general_loss", "s:", "general text")):
        taken = {m.step: getattr(m, name) for m in moments if getattr(m, name) is not None}
        if taken:
            colour = VALIDATION if name == "validation_loss" else GENERAL
            ax.plot(list(taken), list(taken.values()), look, color=colour, label=label)
            ax.legend(frameon=False)
            top = max(top, *taken.values())
    ax.set(xlabel="step", ylabel="loss (nats a token)", xlim=(0, 1.03 * moments[-1].steps), ylim=(0, 1.1 * top))
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    bare(ax)
    return ax


def perplexity_by_pass(
    moments: Sequence[LogEntry], first: Mapping[str, float], passes: float, ax: Axes | None = None
) -> Axes:
    """The perplexity of unread domain text and of general text along a training; each is e to the power of a loss.

    Args:
        moments: What the training reported, `FineTuned.history`.
        first: The losses before its first step, `FineTuned.first`: `eval_loss` and `general_loss`, nats a token.
        passes: How many passes over the text it made.
        ax: Where to draw; None makes a figure.

    Raises:
        DataError: The training took no such losses.
    """
    if not moments or not first:
        raise DataError("this training watched no general text: train again with `general_texts` in its material")
    ax = new_axes(ax, height=3.2)
    ends = {}
    for name, before, label, look, colour in (
        ("validation_loss", "eval_loss", "domain text, unread", "o-", VALIDATION),
        ("general_loss", "general_loss", "general text", "s-", GENERAL),
    ):
        taken = [(0.0, math.exp(first[before]))] if before in first else []
        taken += [
            (m.step / m.steps * passes, math.exp(getattr(m, name))) for m in moments if getattr(m, name) is not None
        ]
        if not taken:
            continue
        ax.plot(*zip(*taken, strict=True), look, color=colour)
        for at, value in dict.fromkeys((taken[0], taken[-1])):
            ax.annotate(number(value), (at, value), (0, 6), textcoords="offset points", ha="center", fontsize=SMALL)
        ends[label] = taken[-1]
    ax.set(xlabel="passes over the text", ylabel="perplexity (lower is better)", yscale="log")
    low, high = ax.get_ylim()
    ax.set_ylim(low / 1.15, high * 1.25)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", color="0.9")
    bare(ax)
    label_points(ax, ends)
    return ax
