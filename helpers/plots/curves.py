"""Lines: what was varied against what was measured, learning curves, freshness, and costs that cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..data import DataError
from .style import OKABE_ITO, SMALL, bare, counted, label_points, line_colour, marker, new_axes, number, plain_decades


def sweep_line(
    points: Sequence[Mapping[str, Any]],
    x: str,
    title: str = "",
    ax: Axes | None = None,
    y: str = "accuracy (share right)",
    label: str = "rag",
) -> Axes:
    """A measured value against what was varied, with its interval at each point.

    Args:
        points: For each: `x` (a number, or a name such as "hybrid"), `value`, `low`, `high`; where all have the same
            `n`, the axis title says so. Names are drawn as separate points, numbers are joined by a line.
        x: The title of the horizontal axis, with its unit.
        title: The title above the figure.
        ax: Where to draw; None makes a figure. A second call on the same Axes adds a second line.
        y: The title of the vertical axis; where it begins with "accuracy", the axis runs from 0 to 1.
        label: The arm, which sets the colour, or another name of this line.

    Returns:
        The Axes.

    Raises:
        DataError: There are no points.
    """
    if not points:
        raise DataError(f"there are no points to draw against {x}: measure at least one")
    ax = new_axes(ax)
    other = ["o", "s", "D", "^", "v"][len(ax.containers) % 5]
    joined = not any(isinstance(point["x"], str) for point in points)
    at, values = [p["x"] for p in points], [p["value"] for p in points]
    reach = [[p["value"] - p["low"] for p in points], [p["high"] - p["value"] for p in points]]
    colour = line_colour(label, OKABE_ITO[(len(ax.containers) + 5) % 8])
    ax.errorbar(at, values, reach, fmt=other + ("-" if joined else ""), color=colour, capsize=3, label=label)
    for point, after in zip(points, [*points[1:], points[-1]], strict=True):
        beside = (
            (6, -11) if joined and after["value"] > point["value"] else (6, 5)
        )  # the side that the line leaves free
        ax.annotate(
            number(point["value"]), (point["x"], point["value"]), beside, textcoords="offset points", fontsize=SMALL
        )
    ax.margins(x=0.12)
    ax.set_ylim(0, 1.08 if y.startswith("accuracy") else max(ax.get_ylim()[1], 1.12 * max(p["high"] for p in points)))
    ax.set_xlabel(counted(x, points, " a point"))
    if joined and len(set(at)) <= 8:
        ax.set_xticks(sorted({*at}))
    ax.set(ylabel=y, title=title)
    ax.grid(axis="y", color="0.9")
    bare(ax)
    if len(ax.containers) > 1:
        ax.legend(frameon=False)
    return ax


def latency_against_context(points: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Seconds to the first token against the length of the prompt.

    Args:
        points: For each: `x` (prompt length, tokens), `value`, `low`, `high` (s).
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes.
    """
    return sweep_line(points, "prompt length (tokens)", ax=ax, y="time to the first token (s)")


def latency_against_index(points: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Seconds to find passages against the number of chunks in the index, on a logarithmic axis.

    Args:
        points: What `latency.against_index_size` returns.
        ax: Where to draw; None makes a figure.
    """
    ax = sweep_line(points, "chunks in the index", ax=ax, y="time to embed and search (s)")
    ax.set_xscale("log")
    ax.set_xticks([point["x"] for point in points], [f"{point['x']:,}" for point in points])
    ax.minorticks_off()
    return ax


def latency_distribution(
    seconds: Mapping[str, Sequence[float]], what: str = "time of one answer (s)", ax: Axes | None = None
) -> Axes:
    """The full distribution of times: for each arm the share of answers that had come after so many seconds.

    Args:
        seconds: The times of an arm's answers, by arm.
        what: The title of the axis of times.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes, seconds on a logarithmic scale.

    Raises:
        DataError: No arm has any time.
    """
    timed = {arm: values for arm, values in seconds.items() if len(values)}
    if not timed:
        raise DataError("there are no times to draw: time the arms first")
    ax = new_axes(ax, 7.6, 4.0)
    for arm, values in timed.items():
        ax.ecdf(values, label=f"{arm} (n = {len(values)})", color=line_colour(arm), linewidth=1.8)
    ax.set(xscale="log", xlabel=what, ylabel="share of answers", ylim=(0, 1.02))
    plain_decades(ax, [seconds for values in timed.values() for seconds in values])
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    bare(ax)
    return ax


def learning_curves(curves: Mapping[str, Sequence[Mapping[str, Any]]], x: str, y: str, ax: Axes | None = None) -> Axes:
    """One line an arm, each with its intervals and its name at its end.

    Args:
        curves: For each arm its points: `x`, `value`, `low`, `high`, perhaps `n`.
        x: The title of the horizontal axis, with its unit.
        y: The title of the vertical axis.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes; the horizontal axis is logarithmic where its values span a wide range.

    Raises:
        DataError: There are no curves, or one has no points.
    """
    if not curves or not all(curves.values()):
        raise DataError(f"there is no curve to draw against {x}: record one first")
    ax = new_axes(ax, 7.2)
    for arm, points in curves.items():
        at = [point["x"] for point in points]
        ax.fill_between(
            at, [p["low"] for p in points], [p["high"] for p in points], color=marker(arm)["color"], alpha=0.2
        )
        ax.plot(at, [p["value"] for p in points], label=arm, **_line(arm))
    ax.set(xlabel=counted(x, [point for points in curves.values() for point in points], " a point"), ylabel=y)
    if y.startswith("accuracy"):
        ax.set_ylim(-0.03, 1.05)
    elif y.endswith("(s)"):
        ax.set_ylim(bottom=0)  # a time has a nought: a flat line must look flat
    first, last = min(p[0]["x"] for p in curves.values()), max(p[-1]["x"] for p in curves.values())
    marks = sorted({point["x"] for points in curves.values() for point in points})
    if first > 0 and last >= 20 * first:
        ax.set_xscale("log")
        ax.set_xlim(first / 1.3, last * 1.3)
        ax.minorticks_off()
    else:
        ax.set_xlim(first - 0.04 * (last - first), last + 0.04 * (last - first))
    ax.set_xticks(marks, [f"{mark:,g}" for mark in marks])
    ax.grid(axis="y", color="0.9")
    bare(ax)
    label_points(ax, {arm: (points[-1]["x"], points[-1]["value"]) for arm, points in curves.items()})
    return ax


def freshness(steps: Mapping[str, Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Right answers about changed facts against the time since the documents changed.

    A filled point is measured: from then on the arm answers so well. An open point ends a stale line: until then the
    arm answers from what it learned before, and what it would answer afterwards was not measured. A stale line without
    an end belongs to an arm that takes nothing in.

    Args:
        steps: For each arm `seconds` (what absorbing the change takes), `value`, `low`, `high` (accuracy on changed
            facts) and `fresh` (whether that accuracy was measured after the change was absorbed).
        ax: Where to draw; None makes a figure.

    Raises:
        DataError: There is no arm to draw.
    """
    if not steps:
        raise DataError("no arm has both an update and accuracy on changed facts: run the study on the set `updates`")
    ax = new_axes(ax, 7.6, 4.2)
    times = [step["seconds"] for step in steps.values() if step["seconds"] > 0] or [1.0]
    first, last = min(times) / 8, max(times) * 12
    ends = {}
    for arm, step in steps.items():
        look, seconds = marker(arm), step["seconds"]
        if seconds > 0:
            until = (seconds, last) if step["fresh"] else (first, seconds)
            ax.plot([seconds] * 2, [step["low"], step["high"]], color="0.4", linewidth=1)
            face = look["color"] if step["fresh"] else "white"
            form = look | {"markerfacecolor": face, "markeredgecolor": "0.2" if step["fresh"] else look["color"]}
            ax.plot(seconds, step["value"], markersize=8, linestyle="none", label=arm, zorder=3, **form)
        else:
            until = (first, last)
        ax.plot(until, [step["value"]] * 2, color=look["color"], linewidth=2, linestyle="-" if step["fresh"] else "--")
        ends[arm] = (until[1], step["value"])
    ax.set(xscale="log", xlim=(first, last), ylim=(-0.06, 1.1))
    ax.set(
        xlabel=counted("time since the documents changed (s)", list(steps.values())),
        ylabel="accuracy on changed facts,\n95 % interval",
    )
    ax.grid(axis="y", color="0.9")
    bare(ax)
    label_points(ax, ends)
    return ax


def break_even_lines(
    monthly: Mapping[str, Sequence[float]],
    at: Sequence[float],
    crossings: Sequence[tuple[float, float]] = (),
    x: str = "queries a month",
    ax: Axes | None = None,
) -> Axes:
    """Cost of a month against what comes each month, one line an arm; rings mark where two of them cost the same.

    Rings so close that their numbers would touch carry the first one's number only.

    Args:
        monthly: For each arm the cost in US dollars at each point of `at`.
        at: Numbers a month, of queries or of changed documents.
        crossings: Points (number a month, US dollars) of break-even.
        x: The title of the horizontal axis.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes; both axes are logarithmic.

    Raises:
        DataError: There is no arm to draw.
    """
    if not monthly:
        raise DataError("there are no costs to draw: no arm was timed")
    ax = new_axes(ax, 7.6, 4.6)
    for place, (arm, costs) in enumerate(monthly.items()):
        marked = slice(place % 3, None, 6)
        ax.plot(at, np.maximum(costs, 1e-6), label=arm, linewidth=1.8, markevery=marked, **_line(arm))
    named: list[float] = []
    for meets, y in sorted(crossings):
        ax.plot(meets, y, marker="o", markersize=13, markerfacecolor="none", markeredgecolor="black", linestyle="none")
        if named and meets < 2 * named[-1]:
            continue  # its number would lie on the one before
        named.append(meets)
        ax.annotate(
            f"{meets:,.0f}" if meets >= 10 else f"{meets:.2g}", (meets, y), (0, -17), textcoords="offset points",
            ha="center", fontsize=SMALL, fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85},
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel=x, ylabel="cost of a month (US dollars, stated prices)")
    ax.set_xlim(min(at), max(at))
    ax.grid(color="0.92")
    bare(ax)
    label_points(ax, {arm: (at[-1], max(costs[-1], 1e-6)) for arm, costs in monthly.items()})
    return ax


def _line(arm: str) -> dict[str, Any]:
    """The look of an arm's line: its markers, and a colour dark enough for a line."""
    look = marker(arm)
    return look | {"color": line_colour(arm), "markerfacecolor": look["color"]}
