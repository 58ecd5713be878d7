"""What all figures share: one colour and hatch an arm, sizes, numbers, and labels that do not lie on one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FuncFormatter, LogLocator

from ..data import QUESTION_SETS, DataError

ARM_NAMES = (
    "base", "customization", "base:few_shot", "domain_adaptation", "rag+customization", "rag",
    "domain_adaptation+customization", "customization:triage", "customization:answers",
    "rag:3_passages",
)  # fmt: skip
OKABE_ITO = matplotlib.color_sequences["okabe_ito"]  # readable for the colour-blind: Okabe & Ito 2008
_COLOURS = (*OKABE_ITO[:4], OKABE_ITO[7], *OKABE_ITO[5:7], OKABE_ITO[4], "#999999", "#7f4f24")
ARM_COLOURS = dict(zip(ARM_NAMES, _COLOURS, strict=True))
ARM_HATCHES = dict(zip(ARM_NAMES, ("", "\\\\", "//", "xx", "oo", "..", "++", "||", "--", "**"), strict=True))
ARM_MARKERS = dict(zip(ARM_NAMES, "osD^vPX<>p", strict=True))
LINE_CONTRAST = 3.0
SMALL = 8  # points: numbers beside bars and points


def new_axes(ax: Axes | None, width: float = 6.4, height: float = 3.8) -> Axes:
    """The Axes that were passed, or those of a new figure (sizes in inches)."""
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def style(arm: str) -> dict[str, Any]:
    """Colour and hatch of an arm's bars; an arm that the kit does not know is grey."""
    return {"color": ARM_COLOURS.get(arm, "0.5"), "hatch": ARM_HATCHES.get(arm, ""), "edgecolor": "white", "label": arm}


def marker(arm: str) -> dict[str, Any]:
    """Colour and form of an arm's points, with an edge that keeps light colours visible on white."""
    colour = ARM_COLOURS.get(arm, "0.5")
    return {"color": colour, "marker": ARM_MARKERS.get(arm, "o"), "markeredgecolor": "0.2", "markeredgewidth": 0.7}


def line_colour(name: str, otherwise: str = "0.5") -> str:
    """The colour of an arm's lines: that of its bars, made darker until it has a contrast of 3 to 1 with white.

    Formula: relative luminance and contrast of the Web Content Accessibility Guidelines 2.2, success criterion 1.4.11.
    """
    colour = np.array(to_rgb(ARM_COLOURS.get(name, otherwise)))
    while contrast_with_white(colour) < LINE_CONTRAST:
        colour = colour * 0.97
    return to_hex(colour)


def contrast_with_white(colour: Any) -> float:
    """How many times as light as this colour white is, 1 to 21."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return 1.05 / (float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05)


def number(value: float) -> str:
    """Three digits at most where there are decimals, and thousands apart: 0.85, 12.4, 135,000."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def sets_with(compared: Mapping[str, Mapping[str, Any]], sets: Sequence[str] | None, what: str) -> list[str]:
    """The question sets to draw: those wanted, or all, of which an arm has `what`.

    Raises:
        DataError: No arm has it on any of them.
    """
    wanted = [s for s in sets or QUESTION_SETS if any(row.get(s, {}).get(what) for row in compared.values())]
    if not wanted:
        raise DataError(f"no arm has {what} on {', '.join(sets or QUESTION_SETS)}: run the study on them first")
    return wanted


def with_n(question_set: str, cells: Sequence[Mapping[str, float] | None]) -> str:
    """A question set's name with the number of answers scored."""
    counts = sorted({cell["n"] for cell in cells if cell})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    name = question_set.replace("_", "\n") if len(question_set) > 11 else question_set
    return f"{name}\nn = {n}"


def counted(title: str, points: Sequence[Mapping[str, Any]], each: str = "") -> str:
    """An axis title with the number of answers behind the points, where they know it: "accuracy   (n = 80)"."""
    counts = sorted({point["n"] for point in points if point.get("n")})
    if not counts or any(not point.get("n") for point in points):
        return title
    return f"{title}   (n = {counts[0] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'}{each})"


def plain_decades(ax: Axes, values: Sequence[float]) -> None:
    """Marks on a logarithmic x axis at 1, 2 and 5 of each decade, as plain numbers; at 1 alone where there are many."""
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 100 * min(values) else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.minorticks_off()


def bare(ax: Axes) -> None:
    """Takes away the frame's upper and right sides."""
    ax.spines[["top", "right"]].set_visible(False)


def label_points(ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Writes the names in a column to the right of the Axes, each joined to its point, spread so that none overlap.

    Args:
        ax: The Axes, with its limits and scales as they will stay.
        points: Name to its point, in data coordinates.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    height = ax.get_figure(root=True).get_figheight() * 0.72 * 72  # about the height of the Axes in points
    gap = min(1.5 * SMALL / height, 1 / len(points))
    places = {name: to_axes.transform(point) for name, point in points.items()}
    order = sorted(points, key=lambda name: (round(places[name][1] / gap), -places[name][0], places[name][1]))
    heights: list[float] = []  # in that order the lines do not cross
    for name in order:
        wanted = float(places[name][1])
        heights.append(max(wanted, heights[-1] + gap if heights else 0.0))
    excess = max(0.0, heights[-1] - 1.0) if heights else 0.0
    for place in range(len(heights) - 1, -1, -1):  # what was pushed over the top comes down again
        above = heights[place + 1] - gap if place + 1 < len(heights) else heights[place] - excess
        heights[place] = min(heights[place], above)
    for name, at in zip(order, heights, strict=True):
        ax.annotate(
            name, points[name], (1.03, at), textcoords="axes fraction", va="center", ha="left", fontsize=SMALL,
            arrowprops={"arrowstyle": "-", "color": "0.65", "lw": 0.6, "shrinkA": 2, "shrinkB": 5, "relpos": (0, 0.5)},
            annotation_clip=False,
        )  # fmt: skip
