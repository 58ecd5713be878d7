"""Lines: what was varied against what was measured, a training's losses, and costs that cross."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..analysis import Cost
from ..data import DataError
from . import style
from .style import OKABE_ITO, beside, in_words, number, plain_name, with_n

QUERIES = [10 ** (exponent / 4) for exponent in range(4, 29)]  # a month, from ten to ten million
Points = Sequence[Mapping[str, Any]]
LOSSES = {
    "loss": ("training", {"color": OKABE_ITO[5], "marker": "."}),
    "validation_loss": ("validation", {"color": OKABE_ITO[6], "linestyle": "--", "marker": "o"}),
    "general_loss": ("general text", {"color": OKABE_ITO[3], "linestyle": ":", "marker": "s"}),
}


def learning_curves(curves: Mapping[str, Points], x: str, y: str, ax: Axes | None = None) -> Axes:
    """A measured value against what was varied, one line an arm, each point with its interval; DataError without one.

    Each point has `x` (a number, or a name such as "hybrid"), `value`, `low`, `high`, and perhaps `n`. `x` and `y` are
    the axes' titles with their units; where `y` begins with "accuracy", the axis runs from 0 to 1.
    """
    if not curves or not all(curves.values()):
        raise DataError(f"there is no curve to draw against {x}: measure at least one point")
    x, y, points = in_words(x), in_words(y), [point for curve in curves.values() for point in curve]
    named = any(isinstance(point["x"], str) for point in points)
    ax = style.new_axes(ax, 6.4 if len(curves) == 1 else 7.6)
    words = []
    for arm, curve in curves.items():
        reach = [[p["value"] - p["low"] for p in curve], [p["high"] - p["value"] for p in curve]]
        look = style.line(arm) | {"linestyle": "none" if named else "-"}
        ax.errorbar([p["x"] for p in curve], [p["value"] for p in curve], reach, capsize=3, elinewidth=1, **look)
        words.append(f"{plain_name(arm)} " + ", ".join(f"{number(p['value'])} at {p['x']}" for p in curve))
    top = 1.0 if y.startswith("accuracy") else max(point["high"] for point in points)
    ax.set_ylim(-0.03 * top, 1.12 * top)  # from zero: a flat line must look flat
    ax.margins(x=0.2)
    if not named:
        marks = sorted({point["x"] for point in points})
        if 0 < 10 * marks[0] <= marks[-1]:
            ax.set_xscale("log")
            ax.minorticks_off()
        ax.set_xticks(marks, [f"{mark:,g}" for mark in marks])
    if len(curves) > 1:
        style.legend_beside(ax)
    else:
        for point, after in zip(points, [*points[1:], points[-1]], strict=True):
            below = after["value"] > point["value"] > 0.06 * top and not named  # where the line leaves room
            beside(ax, (point["x"], point["value"]), number(point["value"]), (6, -11 if below else 5))
    ax.set(xlabel=with_n(x, points, "{}   (n = {} a point)"), ylabel=y)
    return style.finish(ax, f"Values of {y} against {x}: {'; '.join(words)}.")


def training_curve(history: Sequence[Any], ax: Axes | None = None) -> Axes:
    """The loss of a training against the step, with its validation loss and that of general text where they are taken.

    `history` is what the training reported, at least one entry with `step` of `steps`, `loss`, `validation_loss` and
    `general_loss` (nats a token).
    """
    if not history:
        raise DataError("the training has not reported a step yet: there is no curve to draw")
    ax = style.new_axes(ax, 7.2, 2.8)
    words = []
    for name, (label, look) in LOSSES.items():
        taken = [(entry.step, getattr(entry, name)) for entry in history if getattr(entry, name) is not None]
        if taken:
            ax.plot(*zip(*taken, strict=True), label=label, clip_on=False, **look)
            words.append(f"{label} from {number(taken[0][1])} to {number(taken[-1][1])}")
    style.legend_beside(ax)
    ax.set(xlabel="step", ylabel="loss (nats a token)", xlim=(0, 1.03 * history[-1].steps))
    ax.set_ylim(0, 1.1 * max(max(line.get_ydata()) for line in ax.lines))
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    return style.finish(ax, f"Loss against the step: {'; '.join(words)}.")


def break_even_lines(costs: Mapping[str, Cost], changes: int = 1, ax: Axes | None = None) -> Axes:
    """Cost of a month against queries: a band an arm from the lowest to the highest prices, a line at their median.

    With changes, arms that cannot absorb one, or where nobody measured it, are left out; DataError if these are all.
    """
    known = {arm: cost for arm, cost in costs.items() if np.isfinite(cost.monthly(1, changes)).all()}
    if not known:
        raise DataError("there are no costs to draw: no arm was asked, or none absorbs a change")
    ax, x = style.new_axes(ax, 7.6, 4.4), f"queries a month, with {changes} change{'s' * (changes != 1)} of documents"
    words = []
    for place, (arm, cost) in enumerate(known.items()):
        month = [np.maximum(cost.monthly(n, changes), 1e-6) for n in QUERIES]
        look, line = style.line(arm), [float(np.median(each)) for each in month]
        ax.fill_between(QUERIES, list(map(np.min, month)), list(map(np.max, month)), color=look["color"], alpha=0.07)
        words.append(f"{plain_name(arm)} {number(line[0])} to {number(line[-1])}")
        ax.plot(QUERIES, line, linewidth=1.8, markevery=slice(place % 3, None, 6), **look)
    ax.set(xscale="log", yscale="log", xlim=(QUERIES[0], QUERIES[-1]), xlabel=x)
    ax.set_ylabel("cost of a month ($, stated prices)")
    style.plain_decades(ax.xaxis, QUERIES)
    style.plain_decades(ax.yaxis, np.concatenate([each.get_ydata() for each in ax.lines]))
    style.legend_beside(ax)
    return style.finish(ax, f"Cost of a month in dollars against {x}: {'; '.join(words)}.", "both")
