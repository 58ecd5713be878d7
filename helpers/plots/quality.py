"""Quality of all arms at one glance: the heat map, the overview with intervals, and quality against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data import DataError
from .style import SMALL, bare, counted, label_points, marker, new_axes, plain_decades, sets_with, with_n


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
    sets = sets_with(compared, None, "accuracy")
    rows = {arm: [row.get(s, {}).get("accuracy") for s in sets] for arm, row in compared.items()}
    ax = new_axes(ax, 3.2 + 1.05 * len(sets), 1.9 + 0.42 * len(rows))
    values = [[cell["value"] if cell else float("nan") for cell in cells] for cells in rows.values()]
    image = ax.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if value == value:  # not NaN
                ax.text(x, y, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.48 else "white")
    ax.set_xticks(range(len(sets)), [with_n(s, [row[i] for row in rows.values()]) for i, s in enumerate(sets)])
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("question set (n: number of answers scored)")
    ax.figure.colorbar(image, ax=ax, label="accuracy (share right)", ticks=[0, 0.5, 1])
    return ax


def overview(compared: Mapping[str, Mapping[str, Any]], sets: Sequence[str] | None = None, columns: int = 4) -> Figure:
    """Every arm's accuracy with its 95 % interval, one panel a question set: the kit's main figure.

    Args:
        compared: What `compare.table` returns.
        sets: The question sets to draw, in this order; None draws all there are.
        columns: How many panels stand side by side.

    Returns:
        The figure; accuracy is a share in 0..1, and the number of questions stands above each panel.

    Raises:
        DataError: No arm has accuracy on any of the sets.
    """
    sets = sets_with(compared, sets, "accuracy")
    columns = min(columns, len(sets))
    rows = -(-len(sets) // columns)
    size = (2.6 + 2.2 * columns, rows * (0.9 + 0.24 * len(compared)) + 0.4)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    for ax, question_set in zip(axes.flat, sets, strict=False):
        cells = {arm: row.get(question_set, {}).get("accuracy") for arm, row in compared.items()}
        for place, (arm, cell) in enumerate(cells.items()):
            if cell:
                ax.plot([cell["low"], cell["high"]], [place, place], color="0.35", linewidth=1.6, solid_capstyle="butt")
                ax.plot(cell["value"], place, markersize=7, clip_on=False, linestyle="none", label=arm, **marker(arm))
                left = cell["high"] > 0.8
                ax.annotate(
                    f"{cell['value']:.2f}", (cell["low"] if left else cell["high"], place), (-7 if left else 7, 0),
                    textcoords="offset points", va="center", ha="right" if left else "left", fontsize=SMALL,
                )  # fmt: skip
        ax.set_title(
            with_n(question_set, list(cells.values())).replace("\nn =", ", n =").replace("\n", "_"), fontsize=10
        )
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
        bare(ax)
    for ax in axes.flat[len(sets) :]:
        ax.set_visible(False)
    axes[0, 0].set_yticks(range(len(compared)), list(compared))
    axes[0, 0].set(xlim=(-0.03, 1.03), ylim=(len(compared) - 0.5, -0.5), xticks=[0, 0.5, 1])
    figure.supxlabel("accuracy (share right), 95 % interval", fontsize=10)
    return figure


def pareto(
    points: Mapping[str, Mapping[str, float]],
    front: Sequence[str],
    x: str,
    y: str = "accuracy (share right), 95 % interval",
    ax: Axes | None = None,
) -> Axes:
    """Quality against what it costs: up and to the left is better, and the line joins arms that no other beats in both.

    Args:
        points: For each arm `x` (more than 0), and `value`, `low`, `high` of its quality.
        front: The arms that no other beats; see `compare.pareto_front`.
        x: The title of the horizontal axis, with its unit.
        y: The title of the vertical axis.
        ax: Where to draw; None makes a figure.

    Returns:
        The Axes; the horizontal axis is logarithmic.

    Raises:
        DataError: There are no points, or one lies at nothing or below.
    """
    if not points or any(point["x"] <= 0 for point in points.values()):
        raise DataError(f"quality against {x} needs arms whose {x} is more than 0")
    ax = new_axes(ax, 7.6, 4.6)
    ax.set_xscale("log")
    line = sorted((points[arm]["x"], points[arm]["value"]) for arm in front)
    ax.plot(*zip(*line, strict=True), color="0.6", linestyle="--", linewidth=1, zorder=1)
    for arm, point in points.items():
        ax.plot([point["x"]] * 2, [point["low"], point["high"]], color="0.5", linewidth=1, zorder=2)
        ax.plot(point["x"], point["value"], markersize=9, linestyle="none", label=arm, zorder=3, **marker(arm))
    values = [point["x"] for point in points.values()]
    ax.set_xlim(min(values) / 2.2, max(values) * 2.2)
    ax.set_ylim(-0.06, 1.06)
    ax.set(xlabel=f"{x}   (left is better)", ylabel=counted(y, list(points.values())))
    plain_decades(ax, values)
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    bare(ax)
    label_points(ax, {arm: (point["x"], point["value"]) for arm, point in points.items()})
    return ax
