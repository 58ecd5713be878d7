"""What an arm costs: measured seconds, tokens and labels times stated prices; break-even points; larger models.

    found = costs(results)                       # prices from rules/prices.yaml; edit them there, or pass your own
    found["rag"].monthly(queries=10_000, changes=4)
    break_even(found["rag"], found["customization"], changes=4)

Prices are assumptions and energy is an estimate; both say so wherever they are shown. Effort stays in its own units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data import TIMED_SET, DataError, Effort, KitError, Result
from . import rules

PARAMETERS = 134_515_008  # of the kit's foundation model
SIZES = {"1B": 1e9, "8B": 8e9, "70B": 70e9}


@dataclass(frozen=True)
class Prices:
    """Stated prices in US dollars, and what energy and larger models are estimated from; see `rules/prices.yaml`."""

    machine_per_hour: float
    hosted_input_per_million: float
    hosted_output_per_million: float
    label: float
    storage_per_gb_month: float
    energy_per_kwh: float
    months: float
    watts_per_core: float
    watts_per_gb_memory: float
    overhead: float
    accelerator_flops: float
    accelerator_bytes_per_second: float
    accelerator_per_hour: float
    bytes_per_parameter: float

    def __post_init__(self) -> None:
        for price in fields(self):
            value = getattr(self, price.name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise DataError(f"the price `{price.name}` must be a number of at least 0. Got {value!r}")
        for name in ("months", "accelerator_flops", "accelerator_bytes_per_second"):
            if getattr(self, name) == 0:
                raise DataError(f"the price `{name}` must be more than 0")


@dataclass(frozen=True)
class Cost:
    """One arm in US dollars, by the stated prices.

    `computing` and `labels` are paid once, `storage` each month, `query` for each answer on the own machine, `hosted`
    for each answer of a hosted model with the same tokens, `change` each time that documents change. `change_measured`
    is false where the first preparation is taken as the estimate; None where nobody measured a change. An arm that
    takes nothing in has no `change` (None), though that is known (`change_measured` is false). `query_kwh` is the
    estimated energy of an answer on the own machine: all cores busy for its time. Memory is left out, since it was not
    measured by answer, and so is an accelerator.
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
            KitError: Documents change, and the arm takes nothing in, or nobody measured what that takes it.
        """
        if changes and self.change is None:
            if self.change_measured is False:
                raise KitError(f"{self.arm} takes no change in: its cost with changes cannot be told")
            raise KitError(f"what a change costs {self.arm} was not measured: run the study on the set `updates`")
        prepared = (self.computing + self.labels) / months + self.storage
        return prepared + queries * (self.hosted if hosted else self.query) + changes * (self.change or 0.0)


@dataclass(frozen=True)
class Estimate:
    """What an arm would take with a larger model: estimated by formula, never measured.

    `training_hours` on one accelerator, `training_cost` in US dollars, `first_token_s` and `token_s` of one answer.
    """

    arm: str
    size: str
    training_hours: float
    training_cost: float
    first_token_s: float
    token_s: float


def load_prices(folder: Path = rules.FOLDER, **other: float) -> Prices:
    """The prices of the data file, with those that are passed by name in their place.

    Raises:
        DataError: A price is missing, unknown, or no number.
    """
    found = rules.load("prices", folder=folder)
    try:
        return Prices(**found | other)
    except TypeError as error:
        raise DataError(f"{folder / 'prices.yaml'}: {error}") from error


def costs(results: Sequence[Result], prices: Prices | None = None, question_set: str = TIMED_SET) -> dict[str, Cost]:
    """The cost of each arm that was timed on a set.

    Args:
        results: Results that can be compared.
        prices: Those of the data file unless told otherwise.
        question_set: What a query is like: its times and tokens are taken.
    """
    prices = prices or load_prices()
    found = {}
    for arm in dict.fromkeys(result.arm for result in results):
        runs = [r for r in results if r.arm == arm and r.status == "complete"]
        asked = [r for r in runs if r.question_set == question_set]
        seconds = [s for run in asked for s in run.metrics.get("total_s", ())]
        if seconds:
            found[arm] = _cost(arm, asked, float(np.median(seconds)), _update(runs), prices)
    return found


def break_even(first: Cost, second: Cost, changes: float, months: float = 12, hosted: bool = False) -> float | None:
    """At how many queries a month two arms cost the same; None where one is cheaper at every number.

    Args:
        first: One arm.
        second: Another.
        changes: How often documents change a month.
        months: Over how many months preparation is spread.
        hosted: Whether answers come from a hosted model.
    """
    gap = second.monthly(0, changes, months, hosted) - first.monthly(0, changes, months, hosted)
    return _meeting(gap, (first.hosted - second.hosted) if hosted else (first.query - second.query))


def break_even_changes(
    first: Cost, second: Cost, queries: float, months: float = 12, hosted: bool = False
) -> float | None:
    """At how many changes of documents a month two arms cost the same; the arguments are those of `break_even`."""
    gap = second.monthly(queries, 0, months, hosted) - first.monthly(queries, 0, months, hosted)
    return _meeting(gap, (first.change or 0.0) - (second.change or 0.0))


def _meeting(gap: float, slope: float) -> float | None:
    """Where two lines meet, to the right of nought; None where they do not."""
    return gap / slope if slope and gap / slope > 0 else None


def energy_kwh(effort: Effort, prices: Prices) -> float:
    """An estimate of the energy of a step, in kWh (Lannelongue et al. 2021, arXiv:2007.07610, equation 1)."""
    cores = effort.cpu_s * prices.watts_per_core
    memory = effort.wall_s * effort.peak_memory_bytes / 1e9 * prices.watts_per_gb_memory
    return (cores + memory) * prices.overhead / 3.6e6


def scaled(
    results: Sequence[Result], prices: Prices | None = None, sizes: Mapping[str, float] = SIZES
) -> list[Estimate]:
    """The arms with larger models on one accelerator: estimated from tokens and parameters, never measured.

    Training takes 6 operations a parameter and token where all weights are tuned (Kaplan et al. 2020,
    arXiv:2001.08361, section 2.1), and 4 with LoRA, which needs no gradients of the frozen weights. Reading takes 2 a
    parameter and token; writing one token waits until all weights are read from memory once (Pope et al. 2022,
    arXiv:2211.05102).

    Args:
        results: Results that can be compared, with tokens in their answers and their effort.
        prices: Speed and price of the accelerator; those of the data file unless told otherwise.
        sizes: Names and parameter counts of the larger models.
    """
    prices = prices or load_prices()
    made = []
    for arm in dict.fromkeys(result.arm for result in results):
        runs = [r for r in results if r.arm == arm and r.question_set == TIMED_SET and r.status == "complete"]
        if not runs:
            continue
        effort, (read, _) = runs[0].effort, _tokens(runs)
        whole = effort.trainable_parameters > PARAMETERS / 2  # adapters are a small part; embeddings may stay
        for name, parameters in sizes.items():
            hours = training_hours(parameters, effort.tokens_seen, whole, prices)
            made.append(
                Estimate(
                    arm, name, hours, hours * prices.accelerator_per_hour, reading_s(parameters, read, prices),
                    writing_s(parameters, prices),
                )
            )  # fmt: skip
    return made


def training_hours(parameters: float, tokens: float, whole: bool, prices: Prices) -> float:
    """Hours of one accelerator to train on so many tokens, all weights or an adapter; for the source see `scaled`."""
    return (6 if whole else 4) * parameters * tokens / prices.accelerator_flops / 3600


def reading_s(parameters: float, tokens: float, prices: Prices) -> float:
    """Seconds of one accelerator to read so many tokens; for the source see `scaled`."""
    return 2 * parameters * tokens / prices.accelerator_flops


def writing_s(parameters: float, prices: Prices) -> float:
    """Seconds of one accelerator until the weights are read once, for the next token; for the source see `scaled`."""
    return parameters * prices.bytes_per_parameter / prices.accelerator_bytes_per_second


def as_rows(found: Mapping[str, Cost]) -> list[dict[str, Any]]:
    """The costs as plain rows for a table, in US dollars, and energy; what a query takes is told for a thousand."""
    return [
        {
            "arm": each.arm, "computing, once": each.computing, "labels, once": each.labels,
            "storage, a month": each.storage, "a thousand queries": 1000 * each.query,
            "a thousand queries, hosted": 1000 * each.hosted, "one change": each.change,
            "change measured": each.change_measured, "a thousand queries, kWh (estimated)": 1000 * each.query_kwh,
        }
        for each in found.values()
    ]  # fmt: skip


def _cost(arm: str, asked: Sequence[Result], seconds: float, update: dict[str, Any], prices: Prices) -> Cost:
    effort, (read, written) = asked[0].effort, _tokens(asked)
    hour = prices.machine_per_hour / 3600
    change, measured = update.get("effort"), bool(update.get("measured", True)) if update else None
    if change is not None and not measured and not change["wall_s"]:  # neither an index nor weights to make anew
        change = None
    busy = Effort(wall_s=seconds, cpu_s=seconds * asked[0].hardware["cores"])
    hosted = (read * prices.hosted_input_per_million + written * prices.hosted_output_per_million) / 1e6
    return Cost(
        arm=arm,
        computing=effort.wall_s * hour,
        labels=effort.labelled_examples * prices.label,
        storage=effort.artefact_bytes / 1e9 * prices.storage_per_gb_month,
        query=seconds * hour,
        hosted=hosted,
        change=None if change is None else change["wall_s"] * hour,
        change_measured=measured,
        query_kwh=energy_kwh(busy, prices),
    )


def _update(runs: Sequence[Result]) -> dict[str, Any]:
    """What absorbing changed documents took, where it was recorded."""
    return next((r.metrics["update"] for r in runs if "effort" in r.metrics.get("update", {})), {})


def _tokens(runs: Sequence[Result]) -> tuple[float, float]:
    """Mean tokens read and written for an answer."""
    answers = [score.answer for run in runs for score in run.scores]
    return float(np.mean([a.prompt_tokens for a in answers])), float(np.mean([a.new_tokens for a in answers]))
