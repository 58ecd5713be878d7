"""Bars: accuracy with intervals, latency, and effort, one bar an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from ..data import KitError
from .style import SMALL, bare, counted, new_axes, number, sets_with, style, with_n

EFFORT_MEASURES = {
    "wall_s": ("preparation time (s)", 1),
    "peak_memory_bytes": ("peak memory while preparing (MB)", 1e-6),
    "artefact_bytes": ("what is kept on disk (MB)", 1e-6),
    "labelled_examples": ("labelled examples", 1),
    "documents": ("documents read", 1),
    "trainable_parameters": ("trainable parameters (millions)", 1e-6),
}


def _grouped(
    ax: Axes, groups: Sequence[str], rows: Mapping[str, Sequence[Mapping[str, float] | None]], upright: bool
) -> None:
    """Bars side by side: for each group one bar an arm, with a line from its `low` to its `high` and its number."""
    width = 0.86 / len(rows)
    for place, (arm, cells) in enumerate(rows.items()):
        drawn = [(i, cell) for i, cell in enumerate(cells) if cell]
        at = [i + (place - (len(rows) - 1) / 2) * width for i, _ in drawn]
        heights = [cell["value"] for _, cell in drawn]
        reach = [[c["value"] - c["low"] for _, c in drawn], [c["high"] - c["value"] for _, c in drawn]]
        ax.bar(at, heights, 0.92 * width, **style(arm))
        ax.errorbar(at, heights, yerr=reach, fmt="none", ecolor="white", linewidth=3.5)  # seen on dark bars too
        ax.errorbar(at, heights, yerr=reach, fmt="none", ecolor="0.25", capsize=2.5, linewidth=1)
        for x, (_, cell) in zip(at, drawn, strict=True):
            ax.annotate(
                number(cell["value"]), (x, cell["high"]), (0, 2), ha="center", va="bottom",
                textcoords="offset points", fontsize=SMALL, rotation=90 if upright else 0,
            )  # fmt: skip
    ax.set_xticks(range(len(groups)), groups)
    ax.tick_params(axis="x", length=0)
    bare(ax)
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)


def _legend_above(ax: Axes, arms: int) -> None:
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(arms, 3), frameon=False)


def accuracy_bars(
    compared: Mapping[str, Mapping[str, Any]], sets: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Accuracy of every arm, grouped by question set, with 95 % intervals.

    Args:
        compared: What `compare.table` returns.
        sets: The question sets to draw, in this order; None draws all there are.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes; accuracy is a share in 0..1.

    Raises:
        DataError: No arm has accuracy on any of the sets.
    """
    sets = sets_with(compared, sets, "accuracy")
    rows = {arm: [row.get(s, {}).get("accuracy") for s in sets] for arm, row in compared.items()}
    bars = len(sets) * len(rows)
    ax = new_axes(ax, min(13.0, max(6.4, 1.5 + 0.42 * bars)), 4.2)
    _grouped(ax, [with_n(s, [row[i] for row in rows.values()]) for i, s in enumerate(sets)], rows, upright=bars > 26)
    ax.set_ylim(0, 1.16)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_ylabel("accuracy (share right), 95 % interval")
    _legend_above(ax, len(rows))
    return ax


def latency_bars(
    compared: Mapping[str, Mapping[str, Any]], question_set: str = "facts_heldout", ax: Axes | None = None
) -> Axes:
    """Seconds to the first token (full colour) and to the whole answer (pale), one question at a time: medians.

    A line goes on from the median of the whole answer to its 95th percentile.

    Args:
        compared: What `compare.table` returns.
        question_set: A set that was timed (choice sets are not).
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes, in seconds.

    Raises:
        DataError: No arm was timed on this set.
    """
    sets_with(compared, [question_set], "total_s")
    timed = {arm: row[question_set] for arm, row in compared.items() if row.get(question_set, {}).get("total_s")}
    ax = new_axes(ax, 7.6, 1.3 + 0.42 * len(timed))
    for place, (arm, row) in enumerate(timed.items()):
        first, total = row["first_token_s"], row["total_s"]
        ax.barh(place, total["median"], 0.72, **style(arm) | {"alpha": 0.4})
        ax.barh(place, first["median"], 0.72, **style(arm))
        ax.plot([total["median"], total["p95"]], [place, place], color="0.25", linewidth=1, marker="|")
        text = f"{number(first['median'])} / {number(total['median'])} ({number(total['p95'])})"
        ax.annotate(text, (total["p95"], place), (5, 0), textcoords="offset points", va="center", fontsize=SMALL)
    ax.set_yticks(range(len(timed)), list(timed))
    ax.invert_yaxis()
    ax.margins(x=0.24)
    ax.set_xlim(left=0)
    what = counted("time of one answer (s), medians", [{"n": row["total_s"].get("n")} for row in timed.values()])
    ax.set_xlabel(f"{what}\nfirst token / whole answer (95th percentile)")
    bare(ax)
    return ax


def effort_bars(compared: Mapping[str, Mapping[str, Any]], measure: str = "wall_s", ax: Axes | None = None) -> Axes:
    """One measure of what it took to prepare each arm; measures have different units and are never blended.

    Args:
        compared: What `compare.table` returns.
        measure: A key of `EFFORT_MEASURES`.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes; the unit stands in the axis title.

    Raises:
        KitError: There is no such measure.
    """
    if measure not in EFFORT_MEASURES:
        raise KitError(f"there is no measure of effort {measure!r}: choose one of {', '.join(EFFORT_MEASURES)}")
    title, scale = EFFORT_MEASURES[measure]
    ax = new_axes(ax, 6.4, 1.2 + 0.4 * len(compared))
    for place, (arm, row) in enumerate(compared.items()):
        value = row["effort"][measure] * scale
        ax.barh(place, value, 0.7, **style(arm))
        text = f"{value:,}" if isinstance(value, int) else number(value)
        ax.annotate(text, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=SMALL)
    ax.set_yticks(range(len(compared)), list(compared))
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.set_xlim(left=0, right=None if any(row["effort"][measure] for row in compared.values()) else 1)
    ax.set_xlabel(title)
    bare(ax)
    return ax
