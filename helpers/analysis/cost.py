"""What an arm costs: measured seconds, tokens and labels times stated prices, and where two arms break even.

Prices are assumptions, and said to be wherever they are shown. Effort stays in its own units.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ..data import TIMED_SET, KitError
from . import rules
from .comparison import Comparison

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Prices:
    """Stated prices in US dollars; see `rules/prices.yaml`."""

    machine_per_hour: Price
    hosted_input_per_million: Price
    hosted_output_per_million: Price
    label: Price
    storage_per_gb_month: Price
    months: Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Cost:
    """One arm in US dollars, at the stated prices.

    `computing` and `labels` are paid once and spread over `months`, `storage` each month, `query` for each answer on
    the own machine, `hosted` for each answer of a hosted model with the same tokens, `change` each time that documents
    change. `change_measured` is false where the first preparation is the estimate, or where the arm cannot absorb a
    change (`change` is None); it is None where nobody measured one.
    """

    arm: str
    computing: float
    labels: float
    storage: float
    query: float
    hosted: float
    change: float | None
    change_measured: bool | None
    months: float

    def monthly(self, queries: float, changes: float, hosted: bool = False) -> float:
        """All of it for one month.

        Raises:
            KitError: Documents change, and the arm cannot absorb that, or nobody measured what it takes.
        """
        if changes and self.change is None:
            if self.change_measured is False:
                raise KitError(f"{self.arm} cannot absorb a change, so it has no cost with changes: leave it out")
            raise KitError(f"what a change costs {self.arm} was not measured: run the study on the set `updates`")
        prepared = (self.computing + self.labels) / self.months + self.storage
        return prepared + queries * (self.hosted if hosted else self.query) + changes * (self.change or 0.0)


def load_prices(folder: Path = rules.FOLDER, **other: float) -> Prices:
    """The prices of the data file, with those that are passed by name in their place; DataError names a wrong one."""
    return rules.read_rules("prices", Prices, folder, **other)


def costs(comparison: Comparison, prices: Prices | None = None, question_set: str = TIMED_SET) -> dict[str, Cost]:
    """The cost of each arm that was timed on a set, whose times and tokens stand for those of a query."""
    prices, found = prices or load_prices(), {}
    hour = prices.machine_per_hour / 3600
    for arm in comparison.arms:
        run, seconds = comparison.run(arm, question_set), comparison.seconds(arm, question_set)
        if not seconds:
            continue
        one, answers = float(np.median(seconds)), [score.answer for score in run.scores]
        read, written = (np.mean([getattr(a, kind) for a in answers]) for kind in ("prompt_tokens", "new_tokens"))
        update = comparison.update(arm)
        measured = bool(update.get("measured", True)) if update else None
        again = update["effort"]["wall_s"] if update else 0.0
        found[arm] = Cost(
            arm=arm,
            computing=run.effort.wall_s * hour,
            labels=run.effort.labelled_examples * prices.label,
            storage=run.effort.artefact_bytes / 1e9 * prices.storage_per_gb_month,
            query=one * hour,
            hosted=(read * prices.hosted_input_per_million + written * prices.hosted_output_per_million) / 1e6,
            change=again * hour if measured or again else None,  # else neither an index nor weights to make anew
            change_measured=measured,
            months=prices.months,
        )
    return found


def break_even(first: Cost, second: Cost, changes: float, hosted: bool = False) -> float | None:
    """At how many queries a month two arms cost the same, with so many changes of documents a month.

    `hosted` takes the answers of a hosted model. None where one arm is cheaper at every number.
    """
    one, other = (cost.monthly(0, changes) for cost in (first, second))
    slope = (first.hosted - second.hosted) if hosted else (first.query - second.query)
    return (other - one) / slope if slope and (other - one) / slope > 0 else None


def cost_rows(found: Mapping[str, Cost]) -> list[dict[str, str]]:
    """The costs as rows of a table, in US dollars; queries are counted by the thousand."""
    rows = []
    for each in found.values():
        unknown = "not measured" if each.change_measured is None else "takes nothing in"
        estimated = "" if each.change_measured else " (estimated)"
        rows.append({
            "arm": each.arm, "one-off compute ($)": f"{each.computing:.4f}", "labels ($)": f"{each.labels:.2f}",
            "storage per month ($)": f"{each.storage:.4f}", "1,000 queries ($)": f"{1000 * each.query:.4f}",
            "1,000 queries, hosted ($)": f"{1000 * each.hosted:.4f}",
            "cost per update ($)": unknown if each.change is None else f"{each.change:.4f}{estimated}",
        })  # fmt: skip
    return rows
