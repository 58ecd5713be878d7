"""What the arms take: bars of times and of effort, and quality against time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes

from ..data import TIMED_SET, DataError, KitError
from . import style
from .style import Compared, beside, number, plain_name, with_n

EFFORT_MEASURES = {
    "wall_s": ("preparation time (s)", 1),
    "peak_memory_bytes": ("peak memory while preparing (MB)", 1e-6),
    "artefact_bytes": ("disk space (MB)", 1e-6),
    "labelled_examples": ("labelled examples", 1),
    "documents": ("documents read", 1),
    "trainable_parameters": ("trainable parameters (millions)", 1e-6),
}


def latency_bars(compared: Compared, question_set: str = TIMED_SET, ax: Axes | None = None) -> Axes:
    """Seconds to the first token (full colour) and to the whole answer (pale), one question at a time: medians.

    A line runs from the median of the whole answer to its 95th percentile.

    Raises:
        DataError: No arm was timed on this set (choice sets are not).
    """
    style.sets_with(compared, [question_set], "total_s")
    timed = {arm: row[question_set] for arm, row in compared.items() if row.get(question_set, {}).get("total_s")}
    ax = style.new_axes(ax, 7.6, 1.3 + 0.42 * len(timed))
    words = []
    for place, (arm, row) in enumerate(timed.items()):
        first, total, p95 = row["first_token_s"]["median"], row["total_s"]["median"], row["total_s"]["p95"]
        for seconds, alpha in ((total, 0.4), (first, 1.0)):
            ax.barh(place, seconds, 0.72, color=style.look(arm).colour, alpha=alpha, label=plain_name(arm))
        ax.plot([total, p95], [place, place], color="0.25", linewidth=1, marker="|")
        beside(ax, (p95, place), f"{number(first)} / {number(total)} ({number(p95)})", va="center")
        words.append(f"{plain_name(arm)} {first:.2f} s, {total:.2f} s")
    what = with_n("time of one answer (s), medians", [row["total_s"] for row in timed.values()])
    _name_rows(ax, timed, f"{what}\nfirst token / whole answer (95th percentile)", 0.24)
    alt = f"Bars of median seconds to the first token and to the whole answer: {'; '.join(words)}."
    return style.finish(ax, alt, "x")


def effort_bars(compared: Compared, measure: str = "wall_s", ax: Axes | None = None) -> Axes:
    """One of `EFFORT_MEASURES`: what it took to prepare each arm. Units differ, so measures are never blended.

    Raises:
        KitError: There is no such measure.
    """
    if measure not in EFFORT_MEASURES:
        raise KitError(f"there is no measure of effort {measure!r}: choose one of {', '.join(EFFORT_MEASURES)}")
    title, scale = EFFORT_MEASURES[measure]
    values = {arm: row["effort"][measure] * scale for arm, row in compared.items()}
    ax = style.new_axes(ax, 6.4, 1.2 + 0.4 * len(compared))
    words = []
    for place, (arm, value) in enumerate(values.items()):
        text = f"{value:,}" if isinstance(value, int) else number(value)
        ax.barh(place, value, 0.7, color=style.look(arm).colour, label=plain_name(arm))
        beside(ax, (value, place), text, va="center")
        words.append(f"{plain_name(arm)} {text}")
    _name_rows(ax, values, title, 0.16)
    if not any(values.values()):
        ax.set_xlim(0, 1)
    return style.finish(ax, f"Bars of each arm's {title}: {'; '.join(words)}.", "x")


def pareto(points: Mapping[str, Mapping[str, float]], x: str, ax: Axes | None = None) -> Axes:
    """Accuracy against what it takes: up and to the left is better; a line joins arms that no other beats in both.

    Each of `points` has `x` (more than 0; the axis is logarithmic), and `value`, `low`, `high`: a share in 0..1.

    Raises:
        DataError: Nothing was measured, or it is 0 or less.
    """
    if not points or any(point["x"] <= 0 for point in points.values()):
        raise DataError(f"quality against {x} needs arms whose {x} is more than 0")
    front: list[str] = []  # from the cheapest on, each arm that beats all before it
    for arm in sorted(points, key=lambda arm: (points[arm]["x"], -points[arm]["value"])):
        if not front or points[arm]["value"] > points[front[-1]]["value"]:
            front.append(arm)
    ax = style.new_axes(ax, 7.6, 4.2)
    line = [(points[arm]["x"], points[arm]["value"]) for arm in front]
    ax.plot(*zip(*line, strict=True), color="0.6", linestyle="--", linewidth=1, zorder=1)
    for arm, point in points.items():
        ax.plot([point["x"]] * 2, [point["low"], point["high"]], color="0.5", linewidth=1, zorder=2)
        ax.plot(point["x"], point["value"], markersize=9, linestyle="none", zorder=3, **style.point(arm))
    values = [point["x"] for point in points.values()]
    ax.set(xscale="log", xlim=(min(values) / 2.2, max(values) * 2.2), ylim=(-0.06, 1.06))
    ax.set(xlabel=f"{style.in_words(x)}   (left is better)", ylabel=with_n("accuracy, 95 % interval", points.values()))
    style.plain_decades(ax.xaxis, values)
    style.legend_beside(ax, {plain_name(arm): point["value"] for arm, point in points.items()})
    words = "; ".join(f"{plain_name(arm)} {p['x']:.2g}, accuracy {p['value']:.2f}" for arm, p in points.items())
    words += f". No other arm beats {', '.join(map(plain_name, front))} in both"
    return style.finish(ax, f"Accuracy against {style.in_words(x)}: {words}.", "both")


def time_pareto(compared: Compared, ax: Axes | None = None) -> Axes:
    """Quality against the median time of one answer; see `pareto`."""
    timed = {arm: row[TIMED_SET] for arm, row in compared.items() if row.get(TIMED_SET, {}).get("total_s")}
    points = {arm: {"x": row["total_s"]["median"], **row["accuracy"]} for arm, row in timed.items()}
    return pareto(points, f"median time of one answer on {TIMED_SET} (s)", ax)


def _name_rows(ax: Axes, arms: Iterable[str], title: str, room: float) -> None:
    """Names the rows of horizontal bars, the first arm on top, and leaves room for the numbers beside them."""
    names = [plain_name(arm) for arm in arms]
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.margins(x=room)
    ax.set_xlim(left=0)
    ax.set_xlabel(title)
