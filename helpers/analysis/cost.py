"""What an arm costs: measured seconds, tokens and labels times stated prices; break-even points; larger models.

Prices are assumptions and energy is an estimate; both say so wherever they are shown. Effort stays in its own units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ..data import TIMED_SET, Effort, KitError, Result
from . import rules
from .comparison import Comparison

PARAMETERS = 134_515_008  # of the kit's foundation model
SIZES = {"1B": 1e9, "8B": 8e9, "70B": 70e9}

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Prices:
    """Stated prices in US dollars, and what energy and larger models are estimated from; see `rules/prices.yaml`."""

    machine_per_hour: Price
    hosted_input_per_million: Price
    hosted_output_per_million: Price
    label: Price
    storage_per_gb_month: Price
    energy_per_kwh: Price
    months: Positive
    watts_per_core: Price
    watts_per_gb_memory: Price
    overhead: Price
    accelerator_flops: Positive
    accelerator_bytes_per_second: Positive
    accelerator_per_hour: Price
    bytes_per_parameter: Price


@dataclass(frozen=True)
class Cost:
    """One arm in US dollars, at the stated prices.

    `computing` and `labels` are paid once, `storage` each month, `query` for each answer on the own machine, `hosted`
    for each answer of a hosted model with the same tokens, `change` each time that documents change.
    `change_measured` is false where the first preparation is the estimate, or where the arm cannot absorb a change
    (`change` is None); it is None where nobody measured one. `query_kwh` is the estimated energy of an answer on the
    own machine: all cores busy for its time; memory and accelerators are left out.
    """

    arm: str
    computing: float
    labels: float
    storage: float
    query: float
    hosted: float
    change: float | None
    change_measured: bool | None
    query_kwh: float

    def monthly(self, queries: float, changes: float, months: float = 12, hosted: bool = False) -> float:
        """All of it for one month; preparation is spread over `months`.

        Raises:
            KitError: Documents change, and the arm cannot absorb that, or nobody measured what it takes.
        """
        if changes and self.change is None:
            if self.change_measured is False:
                raise KitError(f"{self.arm} cannot absorb a change, so it has no cost with changes: leave it out")
            raise KitError(f"what a change costs {self.arm} was not measured: run the study on the set `updates`")
        prepared = (self.computing + self.labels) / months + self.storage
        return prepared + queries * (self.hosted if hosted else self.query) + changes * (self.change or 0.0)


def load_prices(folder: Path = rules.FOLDER, **other: float) -> Prices:
    """The prices of the data file, with those that are passed by name in their place; DataError names a wrong one."""
    return rules.read_rules("prices", Prices, folder, **other)


def costs(comparison: Comparison, prices: Prices | None = None, question_set: str = TIMED_SET) -> dict[str, Cost]:
    """The cost of each arm that was timed on a set, whose times and tokens stand for those of a query."""
    prices, found = prices or load_prices(), {}
    hour = prices.machine_per_hour / 3600
    for arm in comparison.arms:
        runs, seconds = comparison.runs(arm, question_set), comparison.seconds(arm, question_set)
        if not seconds:
            continue
        one, effort, (read, written) = float(np.median(seconds)), runs[0].effort, _tokens(runs)
        update = comparison.update(arm)
        measured = bool(update.get("measured", True)) if update else None
        again = update["effort"]["wall_s"] if update else 0.0
        found[arm] = Cost(
            arm=arm,
            computing=effort.wall_s * hour,
            labels=effort.labelled_examples * prices.label,
            storage=effort.artefact_bytes / 1e9 * prices.storage_per_gb_month,
            query=one * hour,
            hosted=(read * prices.hosted_input_per_million + written * prices.hosted_output_per_million) / 1e6,
            change=again * hour if measured or again else None,  # else neither an index nor weights to make anew
            change_measured=measured,
            query_kwh=energy_kwh(Effort(wall_s=one, cpu_s=one * runs[0].hardware["cores"]), prices),
        )
    return found


def break_even(first: Cost, second: Cost, changes: float, months: float = 12, hosted: bool = False) -> float | None:
    """At how many queries a month two arms cost the same, with so many changes of documents a month.

    Preparation is spread over `months`; `hosted` takes the answers of a hosted model. None where one arm is cheaper
    at every number.
    """
    one, other = (cost.monthly(0, changes, months, hosted) for cost in (first, second))
    return _meeting(other - one, (first.hosted - second.hosted) if hosted else (first.query - second.query))


def break_even_changes(
    first: Cost, second: Cost, queries: float, months: float = 12, hosted: bool = False
) -> float | None:
    """At how many changes of documents a month two arms cost the same; see `break_even`."""
    one, other = (cost.monthly(queries, 0, months, hosted) for cost in (first, second))
    return _meeting(other - one, (first.change or 0.0) - (second.change or 0.0))


def energy_kwh(effort: Effort, prices: Prices) -> float:
    """An estimate of the energy of a step, in kWh (Lannelongue et al. 2021, arXiv:2007.07610, equation 1)."""
    cores = effort.cpu_s * prices.watts_per_core
    memory = effort.wall_s * effort.peak_memory_bytes / 1e9 * prices.watts_per_gb_memory
    return (cores + memory) * prices.overhead / 3.6e6


def scaled(comparison: Comparison, prices: Prices | None = None) -> list[dict[str, Any]]:
    """The arms with larger models on one accelerator: estimated from tokens and parameters, never measured.

    Training takes 6 operations a parameter and token where all weights are tuned (Kaplan et al. 2020,
    arXiv:2001.08361, section 2.1), and 4 with LoRA, which needs no gradients of the frozen weights. Reading takes 2 a
    parameter and token; writing one token waits until all weights are read from memory once (Pope et al. 2022,
    arXiv:2211.05102).

    Returns:
        For each arm and size `training_hours` of one accelerator, `training_cost` in US dollars, and `first_token_s`
        and `token_s` (each further token) of one answer.
    """
    prices, rows = prices or load_prices(), []
    asked = {arm: runs for arm in comparison.arms if (runs := comparison.runs(arm, TIMED_SET))}
    for (arm, runs), (size, parameters) in product(asked.items(), SIZES.items()):
        effort, (read, _) = runs[0].effort, _tokens(runs)
        operations = 6 if effort.trainable_parameters > PARAMETERS / 2 else 4  # adapters are a small part
        hours = operations * parameters * effort.tokens_seen / prices.accelerator_flops / 3600
        rows.append({
            "arm": arm, "size": size, "training_hours": hours,
            "training_cost": hours * prices.accelerator_per_hour,
            "first_token_s": 2 * parameters * read / prices.accelerator_flops,
            "token_s": parameters * prices.bytes_per_parameter / prices.accelerator_bytes_per_second,
        })  # fmt: skip
    return rows


def cost_rows(found: Mapping[str, Cost]) -> list[dict[str, Any]]:
    """The costs as plain rows for a table, in US dollars, and energy; queries are counted by the thousand."""
    return [
        {
            "arm": each.arm, "one-off compute ($)": each.computing, "labels ($)": each.labels,
            "storage per month ($)": each.storage, "1,000 queries ($)": 1000 * each.query,
            "1,000 queries, hosted ($)": 1000 * each.hosted, "cost per update ($)": each.change,
            "update measured": each.change_measured, "1,000 queries (kWh, estimated)": 1000 * each.query_kwh,
        }
        for each in found.values()
    ]  # fmt: skip


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The arms (with what each costs, and its quality) that no other beats in both: cheaper and as good, or better."""
    beaten = {
        arm
        for arm, (cost, quality) in points.items()
        if any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points.values())
    }
    return [arm for arm in points if arm not in beaten]


def _meeting(gap: float, slope: float) -> float | None:
    """Where two lines meet, right of zero; None where they do not."""
    return gap / slope if slope and gap / slope > 0 else None


def _tokens(runs: Sequence[Result]) -> tuple[float, float]:
    """Mean tokens read and written for an answer."""
    answers = [score.answer for run in runs for score in run.scores]
    return float(np.mean([a.prompt_tokens for a in answers])), float(np.mean([a.new_tokens for a in answers]))
