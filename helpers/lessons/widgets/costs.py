"""`cost_explorer`: what a month of each arm costs by prices that you set, and where two arms cost the same."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations

import ipywidgets
import numpy as np

from ... import plots
from ...analysis import Comparison, Cost, Prices, break_even, costs, load_prices
from ...data import DataError
from ..widgets.charts import line_chart
from ..widgets.frame import NumberSlider, Panel, escape, labelled, table

BARE = "base"  # costs little and knows nothing of the domain, so it takes no part in the contest
QUERIES = np.logspace(1, 6, 41)  # a month


class CostExplorer(Panel):
    """Lines of monthly cost against queries; everything follows the sliders at once, since nothing is measured anew."""

    def __init__(self, comparison: Comparison, prices: Prices | None = None):
        """See `helpers.widgets.cost_explorer`."""
        self.comparison, self.prices = comparison, prices or load_prices()
        if not costs(comparison, self.prices):
            raise DataError(
                "no arm was timed, so there is nothing to reckon with: run the study on `facts_heldout` first"
            )
        start = self.prices
        super().__init__(
            "What would it cost?",
            {
                "queries": NumberSlider("queries a month", 10, 1_000_000, 10, 1_000, logarithmic=True),
                "changes": NumberSlider("changes a month", 0, 60, 1, 4),
                "label": NumberSlider("a label, $", 0.0, 10.0, 0.05, start.label),
                "machine": NumberSlider("machine hour, $", 0.0, 5.0, 0.01, start.machine_per_hour),
                "months": NumberSlider("spread over, months", 1, 36, 1, round(start.months)),
                "hosted": labelled(
                    ipywidgets.Dropdown, "answers come from", value=False,
                    options=[("this machine", False), ("a hosted model", True)],
                ),
            },
            self._draw,
        )  # fmt: skip
        self.refresh()

    def costs(self, label: float, machine: float) -> dict[str, Cost]:
        """Each arm's cost by the prices that are set."""
        return costs(self.comparison, Prices(**asdict(self.prices) | {"label": label, "machine_per_hour": machine}))

    def _draw(self, queries: int, changes: int, label: float, machine: float, months: int, hosted: bool) -> str:
        found, unknown = self._known(label, machine, changes)
        missing = (
            f"<p>Left out, since they take no change in, or nobody measured it: {escape(', '.join(unknown))}.</p>"
            if unknown
            else ""
        )
        if not found:
            return f"{missing}<p>With no change of documents a month, their cost can be told.</p>"
        lines, rings = self._lines(found, changes, months, hosted)
        chart = line_chart(
            lines, "queries a month", "cost of a month, $", True, rings, float(queries),
            f"Monthly cost of {len(lines)} arms against queries a month, with {len(rings)} points of break-even marked",
        )  # fmt: skip
        told = sorted((cost.monthly(queries, changes, months, hosted), arm) for arm, cost in found.items())
        rows = [(escape(arm), f"{value:,.2f}", _changes(found[arm])) for value, arm in told]
        caption = f"One month with {queries:,} queries and {changes} changes, cheapest first"
        sentence = "One arm (beside base) stays the cheapest from 10 to a million queries a month."
        if rings:
            meets = "; ".join(f"at {text} queries a month" for _, _, text in rings)
            sentence = f"The cheapest arm (beside base) changes {meets}."
        note = "<p>Prices are assumptions that you set; seconds, tokens and labels were measured.</p>"
        head = ["arm", "cost of the month, $", "a change of documents"]
        return f"{chart}<p><b>{sentence}</b></p>{table(caption, head, rows)}{missing}{note}"

    def _known(self, label: float, machine: float, changes: int) -> tuple[dict[str, Cost], list[str]]:
        """The arms whose cost can be told, and those of which nobody measured what a change takes."""
        found = self.costs(label, machine)
        unknown = [arm for arm, cost in found.items() if changes and cost.change is None]
        return {arm: cost for arm, cost in found.items() if arm not in unknown}, unknown

    @staticmethod
    def _lines(found: dict[str, Cost], changes: int, months: int, hosted: bool) -> tuple[dict, list]:
        """Points of each arm's line, and where the cheapest arm changes: (queries, cost, text)."""

        def month(arm: str, queries: float) -> float:
            return max(found[arm].monthly(queries, changes, months, hosted), 1e-4)  # a logarithmic axis has no zero

        lines = {arm: [(float(n), month(arm, n)) for n in QUERIES] for arm in found}
        rings = []
        rivals = [arm for arm in found if arm != BARE]
        for one, other in combinations(rivals, 2):
            meets = break_even(found[one], found[other], changes, months, hosted)
            if meets and QUERIES[0] <= meets <= QUERIES[-1]:
                price = month(one, meets)
                if all(month(arm, meets) >= price * (1 - 1e-9) for arm in rivals):
                    rings.append((meets, price, f"{meets:,.0f}"))
        return lines, sorted(rings)

    def static(self) -> str:
        """The same as a picture, for pages that show no SVG."""
        if self.shown is None:
            return super().static()
        now = self.shown
        found, _ = self._known(now["label"], now["machine"], now["changes"])
        if not found:
            return super().static()
        lines, rings = self._lines(found, now["changes"], now["months"], now["hosted"])
        monthly = {arm: [y for _, y in line] for arm, line in lines.items()}
        ax = plots.break_even_lines(monthly, list(QUERIES), [(x, y) for x, y, _ in rings])
        drawn = plots.image(ax, f"Monthly cost of {len(lines)} arms against queries a month").data
        told = self.result.value
        return f"<b>{escape(self.title)}</b>{drawn}{told[told.index('<p>') :]}"


def _changes(cost: Cost) -> str:
    if cost.change is None:
        return "takes none in" if cost.change_measured is False else "not measured"
    return f"{cost.change:.2g} $ ({'measured' if cost.change_measured else 'its first preparation, as an estimate'})"
