"""What an arm costs, people's time included: measured seconds, tokens and labels times stated prices.

A cost is worked out at every combination of the lowest and the highest prices, so that two arms are always compared at
the same ones. What is prepared serves every task. Models of other sizes are estimated by published formulas, not run.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict  # typing's, once Python is 3.12

from ..data import TIMED_SET
from ..experiment import ARMS
from . import rules
from .comparison import Comparison

NAMES = """label engineer_hour document_minutes note_minutes question_minutes label_minutes rules_minutes questions
    machine_hour gpu_hour trainings storage_gb_month input_per_million output_per_million own_machine
    queries changes months""".split()
GPU_GB, GPU_FLOPS = 80, 312e12 * 0.3  # an A100 in bfloat16 by its datasheet, and the share that trainings reach
TOKENS = 2048  # of a batch
MACHINE_GB, HOURS = 8, 730  # what is hosted on a machine without a GPU, and the hours of a month


def _ends(given: Any) -> tuple[float, float]:
    low, high = (given, given) if isinstance(given, int | float) else given
    if low > high:
        raise ValueError("must be a number or [low, high]")
    return low, high


Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = Annotated[tuple[Number, Number], BeforeValidator(_ends)]
Use = Annotated[tuple[Annotated[Number, Field(gt=0)], Number], BeforeValidator(_ends)]
Prices = TypedDict("Prices", dict.fromkeys(NAMES, Range) | {"months": Use, "queries": Use})  # low, high: prices.yaml
Prices.__pydantic_config__ = ConfigDict(extra="forbid")
Values = np.ndarray | float  # one value for each combination of prices


class Size(NamedTuple):
    """A model of the Llama kind; `token_price` is relative to that of an 8B model."""

    parameters: float
    width: int
    layers: int
    token_price: float

    def training_gb(self, how: str, rank: int = 16) -> float:
        """Memory of a training with batches of `TOKENS` tokens, in gigabytes: weights, gradients, Adam, activations.

        All weights take 16 bytes a parameter with Adam in mixed precision (Rajbhandari et al. 2020, ZeRO,
        arXiv:1910.02054, section 3.1). Frozen weights take 2 bytes, in 4 bits 0.516 with double quantisation (Dettmers
        et al. 2023, QLoRA, arXiv:2305.14314, section 3). LoRA adds rank x (inputs + outputs) parameters a matrix (Hu et
        al. 2021, arXiv:2106.09685, section 4.1), in a layer about 20 x its width. Activations that are recomputed take
        2 bytes a token, layer and unit of width (Korthikanti et al. 2022, arXiv:2205.05198, section 5).
        """
        frozen = {"all weights": 0.0, "LoRA": 2.0, "4-bit LoRA": 0.516}[how] * self.parameters
        trained = self.parameters if how == "all weights" else rank * 20 * self.width * self.layers
        return (frozen + 16 * trained + 2 * TOKENS * self.width * self.layers) / 1e9

    def gpu_hours(self, tokens: float, how: str = "all weights") -> float:
        """Hours on one GPU to train on so many tokens, all passes together: 6 operations a parameter and token.

        Kaplan et al. 2020, arXiv:2001.08361, section 2.1. Frozen weights save 2 of them: they have no gradient.
        """
        return (6 if how == "all weights" else 4) * self.parameters * tokens / GPU_FLOPS / 3600

    def hosting(self, prices: SimpleNamespace) -> Values:
        """A machine for this model alone, all month, in dollars: 2 bytes a parameter, and a fifth more to work with."""
        needed = 1.2 * 2 * self.parameters / 1e9
        return HOURS * (prices.machine_hour if needed <= MACHINE_GB else prices.gpu_hour * math.ceil(needed / GPU_GB))


SIZES = {  # as published: SmolLM2, and three of Llama 3
    "135M": Size(0.135e9, 576, 30, 0.02), "1B": Size(1.2e9, 2048, 16, 0.15), "8B": Size(8.0e9, 4096, 32, 1.0),
    "70B": Size(70.6e9, 8192, 80, 8.8),
}  # fmt: skip


def load_prices(**other: float | tuple[float, float]) -> Prices:
    """The prices of the data file, with those that are passed by name instead; a `DataError` names a wrong one."""
    return rules.read_rules("prices", Prices, **other)


def combined(prices: Prices) -> SimpleNamespace:
    """Every price by its name: the ends of its range, in all combinations with the ends of the other ranges."""
    grid = np.meshgrid(*map(np.unique, prices.values()))
    return SimpleNamespace(**{name: ends.ravel() for name, ends in zip(prices, grid, strict=True)})


@dataclass(frozen=True)
class Cost:
    """One arm in US dollars, a value for each combination of prices, beside the share of right answers.

    `people`, `labels` and `computing` are paid once and spread over `months`; `hosting` is what its index and its own
    weights cost a month beside a shared hosted model, `query` an answer of that model, `change` each change of
    documents (None: it cannot absorb one, or, with `change_measured` None, nobody measured one; where that is False, it
    is estimated by the first preparation). `hours` are those of people and machine until a first version is evaluated.
    """

    hours: Values
    people: Values
    labels: Values
    computing: Values
    hosting: Values
    query: Values
    change: Values | None
    change_measured: bool | None
    right: float
    months: float

    def monthly(self, queries: float, changes: float) -> Values:
        """All of it for one month; not a number where documents change, and what that takes is not known."""
        once = (self.people + self.labels + self.computing) / self.months
        absorbed = (math.nan if self.change is None else self.change) * changes if changes else 0.0
        return once + self.hosting + queries * self.query + absorbed

    def thousand_right(self, queries: float, changes: float) -> Values:
        """What 1,000 right answers cost, a month's in all; without changes where it absorbs none."""
        month = self.monthly(queries, 0 if self.change is None else changes)
        return 1000 * month / (queries * self.right) if self.right else month + math.inf


def given(arm: str) -> tuple[str, ...]:
    """Which of "documents", "notes", "pairs" and "rules" an arm was given; nothing is known of an arm of your own."""
    return getattr(ARMS.get(arm), "given", ())


def costs(comparison: Comparison, prices: Prices | None = None) -> dict[str, Cost]:
    """The cost of each arm that was asked the typical queries, whose prompts and answers stand for all of them."""
    found = {arm: cost_of(comparison, arm, TIMED_SET, prices or load_prices()) for arm in comparison.arms}
    return {arm: cost for arm, cost in found.items() if cost}


def cost_of(comparison: Comparison, arm: str, question_set: str, prices: Prices, size: str = "") -> Cost | None:
    """The cost of an arm on a set, in a hosted 8B model; None where it was not asked.

    With `size`, its training is estimated for a model of that size, and its own weights have machines of their own all
    month. After a change, documents and notes are worked over in the share that changed; labels too, where weights
    hold the facts.
    """
    scores, effort, update = comparison.scores(arm, question_set), comparison.effort(arm), comparison.update(arm)
    if not scores:
        return None
    p, model, own, tuned = combined(prices), SIZES[size or "8B"], given(arm), bool(effort.tokens_seen)
    efforts = [(given(each), comparison.effort(each), comparison.update(each)) for each in comparison.arms]
    documents = max((e.documents for of, e, _ in efforts if "documents" in of and "notes" not in of), default=0)
    notes = min((e.documents for of, e, _ in efforts if "notes" in of and e.tokens_seen), default=0)
    changed = min((n for *_, each in efforts if (n := each.get("reembedded"))), default=documents)
    worked_over = documents * p.document_minutes * ("documents" in own or "notes" in own)
    worked_over = (worked_over + notes * p.note_minutes * ("notes" in own)) / 60
    hours = worked_over + (p.questions * p.question_minutes + p.rules_minutes * ("rules" in own)) / 60
    labels, trainings, machine = effort.labelled_examples, p.trainings if tuned else 1, effort.wall_s / 3600
    measured = bool(update.get("measured", True)) if update else None
    again = update["effort"]["wall_s"] / 3600 if update else 0.0
    relabelled = labels * p.label * (not update.get("reembedded"))
    change = again * p.machine_hour + changed / (documents or 1) * (worked_over * p.engineer_hour + relabelled)
    read, written = (np.mean([getattr(s.answer, kind) for s in scores]) for kind in ("prompt_tokens", "new_tokens"))
    return Cost(
        hours=hours + labels * p.label_minutes / 60 + trainings * machine,
        people=hours * p.engineer_hour,
        labels=labels * p.label,
        computing=trainings * (model.gpu_hours(effort.tokens_seen) * p.gpu_hour if size else machine * p.machine_hour),
        hosting=effort.artefact_bytes / 1e9 * p.storage_gb_month
        + tuned * (1 if size else p.own_machine) * model.hosting(p),
        query=(read * p.input_per_million + written * p.output_per_million) / 1e6 * model.token_price,
        change=change if measured or again else None,  # neither an index nor weights to make anew
        change_measured=measured,
        right=float(np.mean([score.value for score in scores])),
        months=p.months,
    )


def cost_rows(found: Mapping[str, Cost]) -> list[dict[str, str]]:
    """The costs as rows of a table, each a range in US dollars over the stated prices, for the stated use."""
    rows, (queries, changes) = [], (load_prices()[name][0] for name in ("queries", "changes"))
    for arm, each in found.items():
        update = "not measured" if each.change_measured is None else "takes nothing in"
        if each.change is not None:
            update = span(each.change) + " (estimated)" * (not each.change_measured)
        right = span(each.thousand_right(queries, changes)) if each.right else "none is right"
        rows.append({
            "arm": arm, "effort to a first version (hours)": span(each.hours),
            "people and labels, once ($)": span(each.people + each.labels),
            "computing, once ($)": span(np.round(each.computing, 2)),
            "cost per update ($)": update, "hosting per month ($)": span(each.hosting),
            "1,000 queries ($)": span(1000 * each.query),
            "1,000 right facts, all in ($)": right,
        })  # fmt: skip
    return rows


def size_rows(tokens: float) -> list[dict[str, str | int]]:
    """What models of four sizes take to train on so many tokens and to host for a month: all of it estimated."""
    p, rows = combined(load_prices()), []
    for (name, size), how in itertools.product(SIZES.items(), ("all weights", "LoRA", "4-bit LoRA")):
        gb, hours = size.training_gb(how), size.gpu_hours(tokens, how)
        rows.append({
            "model": name, "trained": how, "memory (GB)": span(gb), "GPUs of 80 GB": math.ceil(gb / GPU_GB),
            "one training (GPU hours)": span(hours), "one training ($)": span(hours * p.gpu_hour),
            "hosted alone ($ a month)": span(size.hosting(p)),
            "shared ($ for a million tokens read)": span(p.input_per_million * size.token_price),
        })  # fmt: skip
    return rows


def span(values: Values | tuple[float, float]) -> str:
    """A range in words with two significant digits, as "3.5 to 40"; one number where both ends are the same."""
    ends = [float(f"{end:.2g}") for end in (np.min(values), np.max(values))]
    low, high = (f"{end:,.0f}" if 1000 <= end < math.inf else f"{end:g}" for end in ends)
    return low if low == high else f"{low} to {high}"
