"""What all figures share: the name and the look of each arm, numbers, legends that cover nothing, and pictures."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..data import QUESTION_SETS, SET_NAMES, DataError, KitError, table
from ..experiment import plain_name

Compared = Mapping[str, Mapping[str, Any]]  # arm, then question set, then its figures: what `Comparison.table` returns
OKABE_ITO = matplotlib.color_sequences["okabe_ito"]  # readable for the colour-blind: Okabe & Ito 2008
SCREEN_DPI = 96  # CSS pixels an inch
SMALL = 8  # points: numbers beside bars and points
_LOOKS = table(__file__, "looks.yaml")
LOOKS = {arm: (OKABE_ITO[colour] if colour in range(8) else colour, marker) for arm, (colour, marker) in _LOOKS.items()}


def in_words(title: str) -> str:
    """An axis title with the plain names of the question sets in it."""
    return " ".join(SET_NAMES.get(word, word).lower() if "_" in word else word for word in title.split(" "))


def point(arm: str) -> dict[str, Any]:
    """Colour, form and name of an arm's points, an unknown one's grey, with an edge that is visible on white."""
    colour, marker = LOOKS.get(arm, ("#808080", "o"))
    named = {"color": colour, "marker": marker, "label": plain_name(arm)}
    return named | {"markeredgecolor": "0.2", "markeredgewidth": 0.7}


def line(arm: str) -> dict[str, Any]:
    """The look of an arm's line: its points, and a colour with a contrast of 3 to 1 with white (WCAG 2.2, 1.4.11)."""
    look = point(arm)
    colour = np.array(to_rgb(look["color"]))
    light = float(colour**2.2 @ (0.2126, 0.7152, 0.0722))
    dark = to_hex(colour * min(1.0, (0.29 / max(light, 0.01)) ** (1 / 2.2)))
    return look | {"color": dark, "markerfacecolor": look["color"]}


def new_axes(ax: Axes | None, width: float = 6.4, height: float = 3.8) -> Axes:
    """The Axes that were passed, or those of a new figure (sizes in inches)."""
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def finish(ax: Axes, alt: str, grid: str = "y") -> Axes:
    """Draws the grid and no frame, and keeps in words what the figure shows: `image` and `show` read `get_label()`."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color="0.92")
    ax.set_axisbelow(True)
    ax.set_label(alt)
    return ax


def legend_beside(ax: Axes) -> None:
    """A legend to the right of the Axes, where it covers no line."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=SMALL + 1)


def beside(ax: Axes, at: tuple[float, float], text: str, shift: tuple[float, float] = (4, 0), **how: Any) -> None:
    """A small text beside a point, moved by `shift` points (1/72 inch)."""
    ax.annotate(text, at, shift, textcoords="offset points", fontsize=SMALL, **how)


def number(value: float) -> str:
    """Two or three digits: 0.013, 0.85, 12.4, 135,000, 2.1 million."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.3g} million"
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"


def sets_to_draw(compared: Compared, sets: Sequence[str] | None) -> list[str]:
    """Those of the sets, or of all, on which an arm has accuracy; DataError where there are none."""
    wanted = [s for s in sets or QUESTION_SETS if any(row.get(s, {}).get("accuracy") for row in compared.values())]
    if not wanted:
        raise DataError(f"no arm has accuracy on {', '.join(sets or QUESTION_SETS)}: run the study on them first")
    return wanted


def with_n(title: str, points: Iterable[Mapping[str, Any] | None], form: str = "{}   (n = {})") -> str:
    """A title with the number of answers behind the points, where all of them know it: "accuracy   (n = 80)"."""
    counts = {each.get("n") or 0 for each in points if each}
    low, high = min(counts), max(counts)
    return form.format(title, low if low == high else f"{low} to {high}") if low else title


def plain_decades(axis: Any, values: Sequence[float]) -> None:
    """Marks on a logarithmic axis at 1, 2 and 5 of each decade, as plain numbers; at 1 alone where there are many."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 100 * min(values) else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e6 else f"{value / 1e6:,g}M"))
    axis.set_minor_formatter(NullFormatter())


def image(figure: Axes | Figure, alt: str = "") -> HTML:
    """A figure as HTML; the figure is closed.

    `alt` says in a sentence what it shows, for those who do not see it; the kit's own figures know it themselves. Any
    other figure without it is a KitError.
    """
    alt = html.escape(" ".join((alt.strip() or figure.get_label()).split()), quote=True)
    if not alt:
        raise KitError("a figure needs a description: say in `alt` what it shows, for those who do not see it")
    drawn, file = figure.get_figure(root=True) if isinstance(figure, Axes) else figure, io.BytesIO()
    drawn.savefig(file, format="png", dpi=1.5 * SCREEN_DPI, facecolor="white", metadata={"Software": None})
    plt.close(drawn)
    data, width = base64.b64encode(file.getvalue()).decode(), round(drawn.get_figwidth() * SCREEN_DPI)
    return HTML(f'<img src="data:image/png;base64,{data}" width="{width}" style="max-width: 100%" alt="{alt}">')


def show(figure: Axes | Figure, alt: str = "") -> None:
    """Displays a figure in a notebook with its description (see `image`), and closes it."""
    display(image(figure, alt))
