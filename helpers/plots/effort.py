"""What an answer takes: bars of times, and quality against time."""

from __future__ import annotations

from matplotlib.axes import Axes

from ..data import TIMED_SET
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
    ax.set_yticks(range(len(timed)), map(plain_name, timed))
    ax.invert_yaxis()
    ax.margins(x=0.24)  # room for the numbers
    ax.set_xlim(left=0)
    ax.set_xlabel(f"{what}\nfirst token / whole answer (95th percentile)")
    alt = f"Bars of median seconds to the first token and to the whole answer: {'; '.join(words)}."
    return style.finish(ax, alt, "x")


def time_pareto(compared: Compared, ax: Axes | None = None) -> Axes:
    """Accuracy against the median time of one answer (s, logarithmic): up and to the left is better.

    A line joins the arms that no other beats in both.

    Raises:
        DataError: No arm was timed.
    """
    style.sets_with(compared, [TIMED_SET], "total_s")
    timed = {arm: row[TIMED_SET] for arm, row in compared.items() if row.get(TIMED_SET, {}).get("total_s")}
    at = {arm: (row["total_s"]["median"], row["accuracy"]["value"]) for arm, row in timed.items()}
    front: list[str] = []  # from the quickest on, each arm that beats all before it
    for arm in sorted(at, key=lambda arm: (at[arm][0], -at[arm][1])):
        if not front or at[arm][1] > at[front[-1]][1]:
            front.append(arm)
    ax = style.new_axes(ax, 7.6, 4.2)
    ax.plot(*zip(*(at[arm] for arm in front), strict=True), color="0.6", linestyle="--", linewidth=1, zorder=1)
    shares = [row["accuracy"] for row in timed.values()]
    for (arm, point), share in zip(at.items(), shares, strict=True):
        ax.plot([point[0]] * 2, [share["low"], share["high"]], color="0.5", linewidth=1, zorder=2)
        ax.plot(*point, markersize=9, linestyle="none", zorder=3, **style.point(arm))
    seconds = [point[0] for point in at.values()]
    ax.set(xscale="log", xlim=(min(seconds) / 2.2, max(seconds) * 2.2), ylim=(-0.06, 1.06))
    x = f"median time of one answer on {plain_name(TIMED_SET).lower()} (s)"
    ax.set(xlabel=f"{x}   (left is better)", ylabel=with_n("accuracy, 95 % interval", shares))
    style.plain_decades(ax.xaxis, seconds)
    style.legend_beside(ax, {plain_name(arm): share for arm, (_, share) in at.items()})
    words = "; ".join(f"{plain_name(arm)} {took:.2g}, accuracy {share:.2f}" for arm, (took, share) in at.items())
    words += f". No other arm beats {', '.join(map(plain_name, front))} in both"
    return style.finish(ax, f"Accuracy against {x}: {words}.", "both")
