"""A figure as a described picture: for a notebook, or inside a page that opens without a network."""

from __future__ import annotations

import base64
import html
import io

import matplotlib.pyplot as plt
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data import KitError

SCREEN_DPI = 96  # CSS pixels an inch


def image(figure: Axes | Figure, alt: str = "") -> HTML:
    """A figure as HTML with a text for those who do not see it; the figure is closed.

    Args:
        figure: A figure, or any of its Axes.
        alt: What the figure shows, in a sentence; the kit's own figures know it themselves.

    Raises:
        KitError: There is no description.
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
