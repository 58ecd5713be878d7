"""What an arm costs, people's time included: measured seconds, tokens and labels times stated prices.

A cost is worked out at every combination of the lowest and the highest prices, so that two arms are always compared at
the same prices, and is shown as a range. What is prepared serves every task that the arm is asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..data import TIMED_SET
from ..experiment import ARMS
from .comparison import Comparison
from .prices import SIZES, Prices, Values, combined, load_prices, span

STATED = {  # what claims can say of costs; a model of another size is taken to answer as well as the one that was run
    "effort_hours": "hours of people and machine until a first version is evaluated",
    "usd_1000_right": "US dollars for 1,000 right answers on {set}, everything counted",
    "usd_1000_right_135M": "US dollars for 1,000 right answers on {set} with a 135M model (estimated)",
    "usd_1000_right_70B": "US dollars for 1,000 right answers on {set} with a 70B model (estimated)",
    "lowest_usd": "US dollars for 1,000 right answers on {set} with a 135M model at the lowest prices (estimated)",
    "training_gb_8B": "memory to train all weights of an 8B model in GB (estimated)",
}


@dataclass(frozen=True)
class Cost:
    """One arm in US dollars: a value for each combination of prices.

    `people`, `labels` and `computing` are paid once and spread over `months`; `hosting` is what its index and its own
    weights cost a month beside a shared hosted model, `query` an answer of that model, `change` each change of
    documents. `change_measured` is false where the first preparation is the estimate, or where the arm cannot absorb a
    change (`change` is None); it is None where nobody measured one. `hours` are those of people and machine until a
    first version is evaluated, `right` is the share of right answers.
    """

    arm: str
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


def costs(comparison: Comparison, prices: Prices | None = None, question_set: str = TIMED_SET) -> dict[str, Cost]:
    """The cost of each arm that was asked a set, whose prompts and answers stand for all queries."""
    found = {arm: cost_of(comparison, arm, question_set, prices or load_prices()) for arm in comparison.arms}
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
    p, model, tuned = combined(prices), SIZES[size or "8B"], bool(effort.tokens_seen)
    efforts = {each: comparison.effort(each) for each in comparison.arms}
    index = (e.documents for a, e in efforts.items() if "documents" in given(a) and "notes" not in given(a))
    documents = max(index, default=0)
    notes = min((e.documents for a, e in efforts.items() if e.tokens_seen and "notes" in given(a)), default=0)
    changed = min((n for each in efforts if (n := comparison.update(each).get("reembedded"))), default=documents)
    share = changed / documents if documents else 1.0
    worked_over = documents * p.document_minutes * bool({"documents", "notes"} & set(given(arm)))
    worked_over = (worked_over + notes * p.note_minutes * ("notes" in given(arm))) / 60
    hours = worked_over + (p.questions * p.question_minutes + p.rules_minutes * ("rules" in given(arm))) / 60
    labels, trainings, machine = effort.labelled_examples, p.trainings if tuned else 1, effort.wall_s / 3600
    again = update["effort"]["wall_s"] / 3600 if update else 0.0
    measured = bool(update.get("measured", True)) if update else None
    change = None  # neither an index nor weights to make anew
    if measured or again:
        relabelled = labels * p.label * (not update.get("reembedded"))
        change = again * p.machine_hour + share * (worked_over * p.engineer_hour + relabelled)
    read, written = (np.mean([getattr(s.answer, kind) for s in scores]) for kind in ("prompt_tokens", "new_tokens"))
    return Cost(
        arm=arm,
        hours=hours + labels * p.label_minutes / 60 + trainings * machine,
        people=hours * p.engineer_hour,
        labels=labels * p.label,
        computing=trainings * (model.gpu_hours(effort.tokens_seen) * p.gpu_hour if size else machine * p.machine_hour),
        hosting=effort.artefact_bytes / 1e9 * p.storage_gb_month
        + tuned * (1 if size else p.own_machine) * model.hosting(p),
        query=(read * p.input_per_million + written * p.output_per_million) / 1e6 * model.token_price,
        change=change,
        change_measured=measured,
        right=float(np.mean([score.value for score in scores])),
        months=p.months,
    )


def stated(comparison: Comparison, arm: str, question_set: str, metric: str) -> Values | None:
    """One of `STATED`; None where the arm was not asked the set, or gave no right answer to share the cost."""
    size = "135M" if metric == "lowest_usd" else metric.rpartition("_")[2]
    prices, effort = load_prices(), comparison.effort(arm)
    if metric.startswith("training_gb"):
        return SIZES[size].training_gb("all weights") * bool(effort.tokens_seen) if effort else None
    cost = cost_of(comparison, arm, question_set, prices, size if size in SIZES else "")
    if not cost or metric == "effort_hours":
        return cost and cost.hours
    dollars = cost.thousand_right(prices["queries"][0], prices["changes"][0])
    return None if not cost.right else np.min(dollars) if metric == "lowest_usd" else dollars


def break_even(first: Cost, second: Cost, changes: float) -> str:
    """At how many queries a month two arms cost the same: the order of magnitude with its range over the prices.

    Such as "10,000 (1,000 to 1,000,000), at 80% of the prices"; "never" where one arm is cheaper at every number.
    Changes are left out where one of them absorbs none.
    """
    changes = 0 if first.change is None or second.change is None else changes
    with np.errstate(divide="ignore", invalid="ignore"):
        meet = np.atleast_1d(second.monthly(0, changes) - first.monthly(0, changes)) / (first.query - second.query)
    found = meet[np.isfinite(meet) & (meet > 0)]
    if not len(found):
        return "never"
    value, low, high = (f"{10 ** round(math.log10(max(f(found), 1))):,}" for f in (np.median, np.min, np.max))
    share = len(found) / len(meet)
    return f"{value} ({low} to {high})" + f", at {share:.0%} of the prices" * (share < 1)


def cost_rows(found: Mapping[str, Cost], prices: Prices | None = None) -> list[dict[str, str]]:
    """The costs as rows of a table, each a range in US dollars over the stated prices, for the stated use."""
    rows, (queries, changes) = [], ((prices or load_prices())[name][0] for name in ("queries", "changes"))
    for each in found.values():
        update = "not measured" if each.change_measured is None else "takes nothing in"
        if each.change is not None:
            update = span(each.change) + " (estimated)" * (not each.change_measured)
        meets = break_even(found["rag"], each, changes) if "rag" in found and each.arm != "rag" else "-"
        rows.append({
            "arm": each.arm, "effort to a first version (hours)": span(each.hours),
            "people and labels, once ($)": span(each.people + each.labels), "computing, once ($)": span(each.computing),
            "cost per update ($)": update, "hosting per month ($)": span(each.hosting),
            "1,000 queries ($)": span(1000 * each.query), "as cheap as RAG at (queries a month)": meets,
            "1,000 right answers, all in ($)":
                span(each.thousand_right(queries, changes)) if each.right else "none is right",
        })  # fmt: skip
    return rows
