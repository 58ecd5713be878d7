"""The kit's figures: each takes an Axes or makes one, returns it, and neither saves nor shows anything.

    ax = plots.accuracy_bars(compared)            # `compared` is what `compare.table` returns
    plots.show(ax, "Bars: rag stands above base on invented facts.")

An arm has the same colour and hatch everywhere, so that figures read alike, in black and white too.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .records import QUESTION_SETS, DataError, KitError

ARM_NAMES = (
    "base", "customization", "base:few_shot", "domain_adaptation", "rag+customization", "rag",
    "domain_adaptation+customization",
)  # fmt: skip
_OKABE_ITO = matplotlib.color_sequences["okabe_ito"]  # readable for the colour-blind: Okabe & Ito 2008
ARM_COLOURS = dict(zip(ARM_NAMES, _OKABE_ITO[:4] + _OKABE_ITO[7:] + _OKABE_ITO[5:7], strict=True))
ARM_HATCHES = dict(zip(ARM_NAMES, ("", "\\\\", "//", "xx", "oo", "..", "++"), strict=True))

EFFORT_MEASURES = {
    "wall_s": ("preparation time (s)", 1),
    "peak_memory_bytes": ("peak memory while preparing (MB)", 1e-6),
    "artefact_bytes": ("what is kept on disk (MB)", 1e-6),
    "labelled_examples": ("labelled examples", 1),
    "documents": ("documents read", 1),
    "trainable_parameters": ("trainable parameters (millions)", 1e-6),
}
SCREEN_DPI = 96  # CSS pixels an inch
SMALL = 8  # points: numbers beside bars and points


def _axes(ax: Axes | None, width: float = 6.4, height: float = 3.8) -> Axes:
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def _style(arm: str) -> dict[str, Any]:
    """Colour and hatch of an arm; an arm that the kit does not know is grey."""
    return {"color": ARM_COLOURS.get(arm, "0.5"), "hatch": ARM_HATCHES.get(arm, ""), "edgecolor": "white", "label": arm}


def _number(value: float) -> str:
    """Three digits at most where there are decimals, and thousands apart: 0.85, 12.4, 135,000."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _sets(compared: Mapping[str, Mapping[str, Any]], sets: Sequence[str] | None, what: str) -> list[str]:
    """The question sets to draw: those wanted, or all, of which an arm has `what`."""
    wanted = [s for s in sets or QUESTION_SETS if any(row.get(s, {}).get(what) for row in compared.values())]
    if not wanted:
        raise DataError(f"no arm has {what} on {', '.join(sets or QUESTION_SETS)}: run the study on them first")
    return wanted


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
        ax.bar(at, heights, 0.92 * width, **_style(arm))
        ax.errorbar(at, heights, yerr=reach, fmt="none", ecolor="white", linewidth=3.5)  # seen on dark bars too
        ax.errorbar(at, heights, yerr=reach, fmt="none", ecolor="0.25", capsize=2.5, linewidth=1)
        for x, (_, cell) in zip(at, drawn, strict=True):
            ax.annotate(
                cell.get("text") or _number(cell["value"]), (x, cell["high"]), (0, 2), ha="center", va="bottom",
                textcoords="offset points", fontsize=SMALL, rotation=90 if upright else 0,
            )  # fmt: skip
    ax.set_xticks(range(len(groups)), groups)
    ax.tick_params(axis="x", length=0)
    ax.spines[["top", "right"]].set_visible(False)
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
    sets = _sets(compared, sets, "accuracy")
    rows = {arm: [row.get(s, {}).get("accuracy") for s in sets] for arm, row in compared.items()}
    bars = len(sets) * len(rows)
    ax = _axes(ax, min(13.0, max(6.4, 1.5 + 0.42 * bars)), 4.2)
    _grouped(ax, [_with_n(s, rows.values(), i) for i, s in enumerate(sets)], rows, upright=bars > 26)
    ax.set_ylim(0, 1.16)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_ylabel("accuracy (share right), 95 % interval")
    _legend_above(ax, len(rows))
    return ax


def _with_n(question_set: str, rows: Any, place: int) -> str:
    counts = sorted({row[place]["n"] for row in rows if row[place]})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    name = question_set.replace("_", "\n") if len(question_set) > 11 else question_set
    return f"{name}\nn = {n}"


def accuracy_heatmap(compared: Mapping[str, Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Accuracy as a table of colours: one row an arm, one column a question set, the value in each cell.

    Args:
        compared: What `compare.table` returns.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes; the number of questions stands below each column, and a cell that was not measured is empty.

    Raises:
        DataError: There is no accuracy to draw.
    """
    sets = _sets(compared, None, "accuracy")
    rows = {arm: [row.get(s, {}).get("accuracy") for s in sets] for arm, row in compared.items()}
    ax = _axes(ax, 2.6 + 1.05 * len(sets), 1.9 + 0.5 * len(rows))
    values = [[cell["value"] if cell else float("nan") for cell in cells] for cells in rows.values()]
    image = ax.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if value == value:  # not NaN
                ax.text(x, y, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.55 else "white")
    ax.set_xticks(range(len(sets)), [_with_n(s, rows.values(), i) for i, s in enumerate(sets)])
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("question set (n: number of answers scored)")
    ax.figure.colorbar(image, ax=ax, label="accuracy (share right)", ticks=[0, 0.5, 1])
    return ax


def latency_bars(
    compared: Mapping[str, Mapping[str, Any]], question_set: str = "facts_heldout", ax: Axes | None = None
) -> Axes:
    """Seconds to the first token and to the whole answer, one question at a time: median and 95th percentile.

    Args:
        compared: What `compare.table` returns.
        question_set: A set that was timed (choice sets are not).
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes, in seconds.

    Raises:
        DataError: No arm was timed on this set.
    """
    _sets(compared, [question_set], "total_s")
    rows = {
        arm: [_median_to_p95(row[question_set][name]) for name in ("first_token_s", "total_s")]
        for arm, row in compared.items()
        if row.get(question_set, {}).get("total_s")
    }
    ax = _axes(ax, max(6.4, 1.5 + 1.2 * len(rows)))
    _grouped(ax, ["first token", "whole answer"], rows, upright=False)
    ax.margins(y=0.16)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("time of one answer (s)\nmedian (95th percentile)")
    _legend_above(ax, len(rows))
    return ax


def _median_to_p95(times: Mapping[str, float]) -> dict[str, Any]:
    text = f"{_number(times['median'])}\n({_number(times['p95'])})"
    return {"value": times["median"], "low": times["median"], "high": times["p95"], "text": text}


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
    ax = _axes(ax, 6.4, 1.2 + 0.4 * len(compared))
    for place, (arm, row) in enumerate(compared.items()):
        value = row["effort"][measure] * scale
        ax.barh(place, value, 0.7, **_style(arm))
        text = f"{value:,}" if isinstance(value, int) else _number(value)
        ax.annotate(text, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=SMALL)
    ax.set_yticks(range(len(compared)), list(compared))
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.set_xlim(left=0, right=None if any(row["effort"][measure] for row in compared.values()) else 1)
    ax.set_xlabel(title)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


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
    ax = _axes(ax)
    other = ["o", "s", "D", "^", "v"][len(ax.containers) % 5]
    joined = not any(isinstance(point["x"], str) for point in points)
    at, values = [p["x"] for p in points], [p["value"] for p in points]
    reach = [[p["value"] - p["low"] for p in points], [p["high"] - p["value"] for p in points]]
    colour = ARM_COLOURS.get(label, _OKABE_ITO[(len(ax.containers) + 5) % 8])
    ax.errorbar(at, values, reach, fmt=other + ("-" if joined else ""), color=colour, capsize=3, label=label)
    for point, after in zip(points, [*points[1:], points[-1]], strict=True):
        beside = (
            (6, -11) if joined and after["value"] > point["value"] else (6, 5)
        )  # the side that the line leaves free
        ax.annotate(
            _number(point["value"]), (point["x"], point["value"]), beside, textcoords="offset points", fontsize=SMALL
        )
    ax.margins(x=0.12)
    ax.set_ylim(0, 1.08 if y.startswith("accuracy") else max(ax.get_ylim()[1], 1.12 * max(p["high"] for p in points)))
    counts = {point.get("n") for point in points}
    ax.set_xlabel(x + (f"   (n = {counts.pop()} a point)" if len(counts) == 1 and None not in counts else ""))
    if joined and len(set(at)) <= 8:
        ax.set_xticks(sorted({*at}))
    ax.set(ylabel=y, title=title)
    ax.grid(axis="y", color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
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


def image(figure: Axes | Figure, alt: str) -> HTML:
    """A figure as HTML with a text for those who do not see it; the figure is closed.

    Args:
        figure: A figure, or any of its Axes.
        alt: What the figure shows, in a sentence.

    Raises:
        KitError: The description is empty.
    """
    if not alt.strip():
        raise KitError("a figure needs a description: say in `alt` what it shows, for those who do not see it")
    drawn, file = figure.get_figure(root=True) if isinstance(figure, Axes) else figure, io.BytesIO()
    drawn.savefig(file, format="png", dpi=1.5 * SCREEN_DPI, facecolor="white", metadata={"Software": None})
    plt.close(drawn)
    data, width = base64.b64encode(file.getvalue()).decode(), round(drawn.get_figwidth() * SCREEN_DPI)
    alt = html.escape(" ".join(alt.split()), quote=True)
    return HTML(f'<img src="data:image/png;base64,{data}" width="{width}" style="max-width: 100%" alt="{alt}">')


def show(figure: Axes | Figure, alt: str) -> None:
    """Displays a figure in a notebook with its description (see `image`), and closes it."""
    display(image(figure, alt))
