"""What the arms take: bars of the times of an answer, and the names of what preparing an arm took."""

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
