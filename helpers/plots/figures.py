"""The figures of a comparison, each with its description in words for those who do not see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from .. import plots
from ..analysis import Cost, Prices, break_even, break_even_changes, freshness_steps, pareto_front
from ..data import QUESTION_SETS, TIMED_SET
from ..experiment import Curve

QUERIES = [10 ** (exponent / 4) for exponent in range(4, 29)]  # a month, from ten to ten million
MANY_CHANGES = [10 ** (exponent / 4) for exponent in range(-4, 13)]  # a month, from one in ten months to a thousand
CHANGES, ASKED = 4, 10_000  # changes of documents and queries a month, where the other one is drawn


def sets_of(compared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The question sets that a comparison has, in the kit's order."""
    return [name for name in QUESTION_SETS if any(name in row for row in compared.values())]


def accuracy_in_words(compared: Mapping[str, Mapping[str, Any]], sets: Sequence[str] | None = None) -> str:
    """Every value of the comparison as text, for those who do not see a figure."""
    sets = sets or sets_of(compared)
    rows = (", ".join(f"{s} {row[s]['accuracy']['value']:.2f}" for s in sets if s in row) for row in compared.values())
    return "; ".join(f"{arm}: {told}" for arm, told in zip(compared, rows, strict=True) if told) + "."


def time_figure(compared: Mapping[str, Mapping[str, Any]], question_set: str = TIMED_SET) -> tuple[Axes, str] | None:
    """Quality against the median time of one answer, and its description; None where no arm was timed."""
    timed = {arm: row[question_set] for arm, row in compared.items() if row.get(question_set, {}).get("total_s")}
    points = {arm: {"x": row["total_s"]["median"], **row["accuracy"]} for arm, row in timed.items()}
    return _pareto(points, f"median time of one answer on {question_set} (s)")


def latency_figure(compared: Mapping[str, Mapping[str, Any]], question_set: str = TIMED_SET) -> tuple[Axes, str] | None:
    """Bars of the median times of one answer, and their description; None where no arm was timed."""
    timed = {arm: row[question_set] for arm, row in compared.items() if row.get(question_set, {}).get("total_s")}
    if not timed:
        return None
    told = "; ".join(
        f"{arm} {row['first_token_s']['median']:.2f} s, {row['total_s']['median']:.2f} s" for arm, row in timed.items()
    )
    alt = f"Bars of median seconds to the first token and to the whole answer on {question_set}. {told}."
    return plots.latency_bars(compared, question_set), alt


def effort_figure(compared: Mapping[str, Mapping[str, Any]]) -> tuple[Axes, str] | None:
    """Bars of each arm's seconds of preparation, and their description; None where nothing was prepared."""
    seconds = {arm: row["effort"]["wall_s"] for arm, row in compared.items()}
    if not any(seconds.values()):
        return None
    told = "; ".join(f"{arm} {taken:.1f} s" for arm, taken in seconds.items())
    return plots.effort_bars(compared), f"Bars of the seconds that it took to prepare each arm. {told}."


def cost_pareto(
    compared: Mapping[str, Mapping[str, Any]], found: Mapping[str, Cost], prices: Prices, queries: int, changes: int
) -> tuple[Axes, str] | None:
    """Quality against the cost of a month, and its description; None where no arm was timed."""
    points = {
        arm: {"x": cost.monthly(queries, changes, prices.months), **compared[arm][TIMED_SET]["accuracy"]}
        for arm, cost in found.items()
        if cost.change is not None and "accuracy" in compared[arm].get(TIMED_SET, {})
    }
    return _pareto(points, f"cost of a month (US dollars): {queries:,} queries, {changes} changes")


def _pareto(points: Mapping[str, Mapping[str, float]], x: str) -> tuple[Axes, str] | None:
    if not points:
        return None
    front = pareto_front({arm: (point["x"], point["value"]) for arm, point in points.items()})
    told = "; ".join(f"{arm} {point['x']:.2g}, accuracy {point['value']:.2f}" for arm, point in points.items())
    alt = f"Points of accuracy against {x}. {told}. No other arm beats {', '.join(front)} in both."
    return plots.pareto(points, front, x), alt


def cost_figure(found: Mapping[str, Cost], prices: Prices, changes: int = CHANGES) -> tuple[Axes, str] | None:
    """Cost of a month against queries with the break-even points of rag, and its description; None without costs."""
    known = {arm: cost for arm, cost in found.items() if cost.change is not None}
    meets = {arm: break_even(known["rag"], cost, changes, prices.months) for arm, cost in _beside_rag(known).items()}
    monthly = {arm: [cost.monthly(q, changes, prices.months) for q in QUERIES] for arm, cost in known.items()}
    rings = {arm: (q, known[arm].monthly(q, changes, prices.months)) for arm, q in _within(meets, QUERIES).items()}
    return _lines(monthly, QUERIES, rings, "queries a month", f"with {changes} changes of documents a month")


def changes_figure(found: Mapping[str, Cost], prices: Prices, queries: int = ASKED) -> tuple[Axes, str] | None:
    """Cost of a month against changes of documents, as `cost_figure` has it against queries."""
    known = {arm: cost for arm, cost in found.items() if cost.change is not None}
    meets = {
        arm: break_even_changes(known["rag"], cost, queries, prices.months) for arm, cost in _beside_rag(known).items()
    }
    monthly = {arm: [cost.monthly(queries, c, prices.months) for c in MANY_CHANGES] for arm, cost in known.items()}
    rings = {arm: (c, known[arm].monthly(queries, c, prices.months)) for arm, c in _within(meets, MANY_CHANGES).items()}
    return _lines(monthly, MANY_CHANGES, rings, "changes of documents a month", f"with {queries:,} queries a month")


def _beside_rag(known: Mapping[str, Cost]) -> dict[str, Cost]:
    return {arm: cost for arm, cost in known.items() if "rag" in known and arm != "rag"}


def _within(meets: Mapping[str, float | None], drawn: Sequence[float]) -> dict[str, float]:
    return {arm: at for arm, at in meets.items() if at is not None and drawn[0] <= at <= drawn[-1]}


def _lines(
    monthly: Mapping[str, Sequence[float]], at: Sequence[float], rings: Mapping[str, tuple[float, float]], x: str,
    given: str,
) -> tuple[Axes, str] | None:  # fmt: skip
    if not monthly:
        return None
    told = "; ".join(f"rag and {arm} cost the same at {meets:,.3g} {x}" for arm, (meets, _) in rings.items())
    ax = plots.break_even_lines(monthly, at, list(rings.values()), x)
    alt = f"Lines of the cost of a month against {x}, {given}. "
    return ax, alt + (told or "No arm breaks even with rag in this range") + "."


def freshness_figure(compared: Mapping[str, Mapping[str, Any]]) -> tuple[Axes, str] | None:
    """Freshness over time, and its description; None where no update was measured."""
    steps = freshness_steps(compared)
    if not steps:
        return None
    told = "; ".join(
        f"{arm} {step['value']:.2f}, "
        + (
            f"{'fresh after' if step['fresh'] else 'stale until trained again,'} {step['seconds']:.1f} s"
            f"{' (estimated)' if step['estimated'] else ''}"
            if step["seconds"]
            else "takes nothing in"
        )
        for arm, step in steps.items()
    )
    return plots.freshness(steps), f"Accuracy on changed facts against time since the change. {told}."


def curve_figure(*curves: Curve) -> tuple[Axes, str]:
    """Recorded curves that share their axes, one line an arm, and their description."""
    first = curves[0]
    ax = plots.learning_curves({curve.arm: curve.points for curve in curves}, first.x, first.y)
    told = "; ".join(
        f"{curve.arm} " + ", ".join(f"{point['value']:.3g} at {point['x']:g}" for point in curve.points)
        for curve in curves
    )
    return ax, f"{'Lines' if len(curves) > 1 else 'Line'} of {first.y} against {first.x}: {told}."
