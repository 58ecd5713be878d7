"""Line charts as SVG: drawn in a moment, so that they can follow a hand on a slider or a running training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ...plots import OKABE_ITO, line_colour, number
from ..widgets.frame import escape

WIDTH, HEIGHT = 800, 380
LEFT, RIGHT, TOP, BOTTOM = 80, 240, 14, 46
LABEL_HEIGHT = 15
DASHES = ("", "7 3", "2 3", "9 3 2 3")

Point = tuple[float, float]


def line_chart(
    series: Mapping[str, Sequence[Point]],
    x_title: str,
    y_title: str,
    logarithmic: bool = False,
    rings: Sequence[tuple[float, float, str]] = (),
    at: float | None = None,
    alt: str = "",
) -> str:
    """Lines with their names at the right end.

    Args:
        series: Points (x, y) by name; an arm's name gives the line its colour.
        x_title: With its unit.
        y_title: With its unit.
        logarithmic: Both axes; all values must then be above 0.
        rings: Points to ring, each with a text.
        at: Where to draw an upright line.
        alt: What the chart shows, in a sentence, for those who do not see it.

    Returns:
        The chart as SVG; empty where no line has a point.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    x_low, x_high, x_ticks = _axis([x for x, _ in points], logarithmic)
    y_low, y_high, y_ticks = _axis([y for _, y in points], logarithmic)
    scale = math.log10 if logarithmic else float

    def place(x: float, y: float) -> Point:
        across = (scale(x) - scale(x_low)) / (scale(x_high) - scale(x_low))
        up = (scale(y) - scale(y_low)) / (scale(y_high) - scale(y_low))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = _grid(x_ticks, y_ticks, lambda x: place(x, y_low)[0], lambda y: place(x_low, y)[1])
    ends = []
    for n, (name, line) in enumerate(series.items()):
        colour = line_colour(name, OKABE_ITO[(n + 5) % len(OKABE_ITO)])
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        dash = DASHES[n % len(DASHES)]
        parts.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.2' stroke-dasharray='{dash}'/>"
        )
        if line:
            ends.append([place(*line[-1])[1], name, colour, dash])
    if at is not None and x_low <= at <= x_high:
        x, _ = place(at, y_low)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM, "#111", "4 3"))
    for x, y, told in rings:
        cx, cy = place(x, y)
        parts.append(f"<circle cx='{cx:.1f}' cy='{cy:.1f}' r='7' fill='none' stroke='#111' stroke-width='1.8'/>")
        parts.append(_text(cx, cy + 22, told, "middle", "bold"))
    parts += _names(ends)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_title, "middle"))
    parts.append(f"<g transform='rotate(-90 16 {HEIGHT / 2})'>{_text(16, HEIGHT / 2, y_title, 'middle')}</g>")
    return (
        f"<svg role='img' aria-label='{escape(alt or y_title)}' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}'"
        f" style='background: white; max-width: 100%'>{''.join(parts)}</svg>"
    )


def _grid(
    x_ticks: Sequence[float], y_ticks: Sequence[float], across: Callable[[float], float], up: Callable[[float], float]
) -> list[str]:
    """Grey lines at the ticks, with their numbers; `across` and `up` place a value on the page."""
    parts = []
    for tick in x_ticks:
        x = across(tick)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM, "#e5e5e5"))
        parts.append(_text(x, HEIGHT - BOTTOM + 16, _tick(tick), "middle"))
    for tick in y_ticks:
        y = up(tick)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "#e5e5e5"))
        parts.append(_text(LEFT - 6, y + 4, _tick(tick), "end"))
    return parts


def _axis(values: Sequence[float], logarithmic: bool) -> tuple[float, float, list[float]]:
    """Where an axis begins and ends, and its ticks."""
    low, high = min(values), max(values)
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        last = max(last, first + 1)
        return 10.0**first, 10.0**last, [10.0**power for power in range(first, last + 1)]
    low, high = min(low, 0.0), max(high, low + 1e-9, 1e-9)
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * part) <= 6)
    last = math.ceil(high / step) * step
    return low, last, [low + n * step for n in range(round((last - low) / step) + 1)]


def _names(ends: list) -> list[str]:
    """The lines' names beside their ends, pushed apart where they would lie on one another."""
    made, free = [], 0.0
    for y, name, colour, dash in sorted(ends):
        free = max(y, free + LABEL_HEIGHT)
        x = WIDTH - RIGHT
        made.append(
            f"<line x1='{x + 4}' y1='{free:.1f}' x2='{x + 26}' y2='{free:.1f}' stroke='{colour}' stroke-width='3'"
            f" stroke-dasharray='{dash}'/>{_text(x + 30, free + 4, name, size=11)}"
        )
    return made


def _tick(value: float) -> str:
    return f"{value:g}" if abs(value) < 1 else f"{value:,.10g}" if value < 1e6 else number(value)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' stroke-dasharray='{dash}'/>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' font-weight='{weight}' fill='#111'>"
        f"{escape(text)}</text>"
    )
