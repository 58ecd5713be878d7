"""The figures of a whole comparison: which of its numbers go into which figure; None where they were not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes

from ..analysis import Cost, Prices, break_even, break_even_changes, freshness_steps
from ..data import TIMED_SET
from ..experiment import Curve
from .accuracy import accuracy_in_words as accuracy_in_words
from .effort import pareto
from .lines import break_even_lines, freshness, learning_curves
from .style import Compared

QUERIES = [10 ** (exponent / 4) for exponent in range(4, 29)]  # a month, from ten to ten million
MANY_CHANGES = [10 ** (exponent / 4) for exponent in range(-4, 13)]  # a month, from one in ten months to a thousand
CHANGES, ASKED = 4, 10_000  # changes of documents and queries a month, where the other one is drawn


def time_figure(compared: Compared, question_set: str = TIMED_SET) -> Axes | None:
    """Quality against the median time of one answer; None where no arm was timed."""
    timed = {arm: row[question_set] for arm, row in compared.items() if row.get(question_set, {}).get("total_s")}
    points = {arm: {"x": row["total_s"]["median"], **row["accuracy"]} for arm, row in timed.items()}
    return pareto(points, f"median time of one answer on {question_set} (s)") if points else None


def cost_pareto(
    compared: Compared, found: Mapping[str, Cost], prices: Prices, queries: int = ASKED, changes: int = CHANGES
) -> Axes | None:
    """Quality against the cost of a month; None where no arm was timed."""
    points = {
        arm: {"x": cost.monthly(queries, changes, prices.months), **compared[arm][TIMED_SET]["accuracy"]}
        for arm, cost in found.items()
        if cost.change is not None and "accuracy" in compared[arm].get(TIMED_SET, {})
    }
    return pareto(points, f"cost of a month ($): {queries:,} queries, {changes} changes") if points else None


def cost_figure(found: Mapping[str, Cost], prices: Prices, changes: int = CHANGES, hosted: bool = False) -> Axes | None:
    """Cost of a month against queries, with the break-even points of RAG; None without costs.

    `hosted` takes the answers of a hosted model.
    """
    return _lines(
        found, QUERIES, f"queries a month, with {changes} changes of documents",
        lambda cost, queries: cost.monthly(queries, changes, prices.months, hosted),
        lambda rag, other: break_even(rag, other, changes, prices.months, hosted),
    )  # fmt: skip


def changes_figure(found: Mapping[str, Cost], prices: Prices, queries: int = ASKED) -> Axes | None:
    """Cost of a month against changes of documents, as `cost_figure` has it against queries."""
    return _lines(
        found, MANY_CHANGES, f"changes of documents a month, with {queries:,} queries",
        lambda cost, changes: cost.monthly(queries, changes, prices.months),
        lambda rag, other: break_even_changes(rag, other, queries, prices.months),
    )  # fmt: skip


def freshness_figure(compared: Compared) -> Axes | None:
    """Freshness over time; None where no update was measured."""
    steps = freshness_steps(compared)
    return freshness(steps) if steps else None


def curve_figure(*curves: Curve) -> Axes:
    """Recorded curves that share their axes, one line an arm."""
    return learning_curves({curve.arm: curve.points for curve in curves}, curves[0].x, curves[0].y)


def _lines(
    found: Mapping[str, Cost], at: Sequence[float], x: str, month: Callable[[Cost, float], float],
    meeting: Callable[[Cost, Cost], float | None],
) -> Axes | None:  # fmt: skip
    known = {arm: cost for arm, cost in found.items() if cost.change is not None}
    if not known:
        return None
    meets = {arm: meeting(known["rag"], cost) for arm, cost in known.items() if "rag" in known and arm != "rag"}
    rings = {arm: (n, month(known[arm], n)) for arm, n in meets.items() if n is not None and at[0] <= n <= at[-1]}
    return break_even_lines({arm: [month(cost, n) for n in at] for arm, cost in known.items()}, at, rings, x)
