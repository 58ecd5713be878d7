"""The decision tree: the questions that decide most, and the advice at the end of each way, with how sure it is."""

import textwrap
from statistics import fmean

from matplotlib.axes import Axes

from ..analysis import Comparison, advise, questionnaire
from ..data import table
from .style import finish, new_axes

USUAL, WAYS = table(__file__).values()
WIDE, HIGH, TEXT = 1.8, 0.84, 2.6  # inches: a question's column, an advice's row, its text


def decision_tree(comparison: Comparison | None = None, ax: Axes | None = None) -> Axes:
    """The tree, for cases that are as usual in what it does not ask; its shares of resamples are from `comparison`."""
    asked, rows = {each.id: each.ask for each in questionnaire()}, {}
    for row, way in enumerate(tuple(way.items()) for way in WAYS):
        for deep in range(len(way) + 1):
            rows.setdefault(way[:deep], []).append(row + 0.5)
    width, words = max(map(len, rows)) * WIDE + TEXT, []
    ax = new_axes(ax, width, len(WAYS) * HIGH)
    ax.set(xlim=(0, width), ylim=(len(WAYS) * HIGH, 0))
    ax.set_axis_off()
    for way, below in rows.items():
        left, middle = len(way) * WIDE, fmean(below) * HIGH
        if way:
            ax.plot([left - WIDE + 1.3, left - 0.42], [fmean(rows[way[:-1]]) * HIGH, middle], color="0.6", zorder=0)
            ax.text(left - 0.4, middle, way[-1][1], fontsize=8, va="center")
        if (answers := dict(way)) in WAYS:
            advice = advise(USUAL | answers, comparison)
            take = advice.take[0].upper() + advice.take[1:]
            ax.text(left, middle - 0.04, textwrap.fill(take, 36), fontsize=9, weight="bold", va="bottom")
            ax.text(left, middle, textwrap.fill(advice.holds, 52), fontsize=7.5, color="0.25", va="top")
            words.append(f"{' '.join(f'{asked[name]} {given}.' for name, given in way)} {take}. {advice.holds}")
        else:
            question = next(list(each)[len(way)] for each in WAYS if tuple(each.items())[: len(way)] == way)
            box = {"boxstyle": "round,pad=0.3", "facecolor": "#eef3f8", "edgecolor": "0.6"}
            ax.text(left + 0.06, middle, textwrap.fill(asked[question], 19), fontsize=8, va="center", bbox=box)
    return finish(ax, f"Decision tree. {' '.join(words)}")
