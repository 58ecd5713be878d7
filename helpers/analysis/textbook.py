"""The textbook table "RAG against fine-tuning", each row with what was measured here beside it.

    rows = measured(results)
    print(as_markdown(rows))                 # or as_html(rows)
    print("\\n".join(take_aways(rows)))

What textbooks say is data (`rules/textbook.yaml`); what was measured comes from result files and nothing else.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data import Result
from . import rules
from .comparison import losses_of
from .cost import Cost, Prices, break_even, costs, load_prices
from .evidence import HELD, SUPPORTS, Evidence, apart, in_words, times, verdict
from .ratios import perplexity_ratio, ratio

FIELDS = ("id", "row", "rag", "tuning", "measure")
RAG, TUNED, BOTH = "rag", "customization", "domain_adaptation+customization"
COLUMNS = ("row", "RAG (textbook)", "fine-tuning (textbook)", "measured here", "the claim is")


@dataclass(frozen=True)
class Row:
    """One row of the table: the two textbook entries, the measured sentence, and whether it supports them."""

    id: str
    row: str
    rag: str
    tuning: str
    measured: str
    support: str


ONCE = "Measured once, so without an interval."
Finding = tuple[str, str]  # a sentence, and one of SUPPORTS


def measured(results: Sequence[Result], prices: Prices | None = None) -> list[Row]:
    """The table, row by row.

    Args:
        results: Results that can be compared; rows whose arms are missing say "not measured".
        prices: Those of the data file unless told otherwise.
    """
    evidence = Evidence(results, prices or load_prices())
    rows = []
    for entry in rules.load("textbook", FIELDS):
        sentence, support = MEASURES[entry["measure"]](evidence)
        rows.append(Row(entry["id"], entry["row"], entry["rag"], entry["tuning"], sentence, support))
    return rows


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The table as a DataFrame, one row of text each."""
    values = [(row.row, row.rag, row.tuning, row.measured, row.support) for row in rows]
    return pd.DataFrame(values, columns=list(COLUMNS)).set_index(COLUMNS[0])


def as_markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in rows:
        cells = (f"**{row.row}**", row.rag, row.tuning, row.measured, row.support)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def as_html(rows: Sequence[Row]) -> str:
    """The table as HTML, every text escaped; a mark and a word tell whether a claim is supported."""
    marks = dict(zip(SUPPORTS, ("✓", "✗", "?", "–"), strict=True))
    shown = frame(rows)
    shown[COLUMNS[4]] = [f"{marks[support]} {support}" for support in shown[COLUMNS[4]]]
    shown = shown.map(html.escape)
    shown.index = shown.index.map(html.escape).rename(None)
    styler = shown.style.set_table_attributes('class="textbook"').set_properties(
        **{"text-align": "left", "vertical-align": "top", "white-space": "normal"}
    )
    return styler.to_html()


def take_aways(rows: Sequence[Row]) -> list[str]:
    """One sentence a row that was decided, with the row's own measured numbers."""
    said = {"supported": "Measured here as textbooks say", "contradicted": "Measured here against what textbooks say"}
    return [f"{row.row}. {said[row.support]}: {row.measured}" for row in rows if row.support in said]


def _when(e: Evidence) -> Finding:
    told = f"On {HELD}: {e.told(RAG, HELD)}, {e.told(TUNED, HELD)}; on triage: {e.told(RAG, 'triage')}, "
    spans = e.gap(TUNED, RAG, HELD), e.gap(RAG, TUNED, "triage")
    return f"{told}{e.told(TUNED, 'triage')}.", verdict(*spans)


def _all_or_none(more: tuple[bool, ...]) -> str:
    """The verdict on a claim of several parts, each of which holds or not."""
    return "supported" if all(more) else "contradicted" if not any(more) else "not decided"


def _effort(e: Evidence) -> Finding:
    rag, tuned = e.effort(RAG), e.effort(TUNED)
    if rag is None or tuned is None:
        return _missing(RAG, TUNED)
    sentence = (
        f"{RAG}: {in_words(rag.wall_s)} and {rag.labelled_examples} labels, {rag.documents} documents read; "
        f"{TUNED}: {in_words(tuned.wall_s)} and {tuned.labelled_examples} labels. {ONCE}"
    )
    more = tuned.wall_s > rag.wall_s, tuned.labelled_examples > rag.labelled_examples
    return sentence, _all_or_none(more)


def _cost(e: Evidence) -> Finding:
    found = costs(e.results, e.prices)
    if RAG not in found or TUNED not in found:
        return _missing(RAG, TUNED)
    rag, tuned = found[RAG], found[TUNED]
    even = break_even(rag, tuned, 0, e.prices.months)
    where = (
        f"they cost the same at {even:,.0f} queries a month" if even else "one is cheaper at every number of queries"
    )
    sentence = (
        f"By the stated prices, in US dollars, to begin with: {RAG} {_first(rag):.2f}, {TUNED} {_first(tuned):.2f}; "
        f"1,000 queries: {1000 * rag.query:.3f} and {1000 * tuned.query:.3f}; without changes {where}."
    )
    begin, query = _first(tuned) > _first(rag), ratio(e.seconds(RAG), e.seconds(TUNED))
    return sentence, verdict((1, 1) if begin else (-1, -1), (query["low"] - 1, query["high"] - 1))


def _first(cost: Cost) -> float:
    return cost.computing + cost.labels


def _latency(e: Evidence) -> Finding:
    if not e.seconds(RAG) or not e.seconds(TUNED):
        return _missing(RAG, TUNED)
    whole = ratio(e.seconds(RAG), e.seconds(TUNED))
    first = ratio(e.seconds(RAG, "first_token_s"), e.seconds(TUNED, "first_token_s"))
    sentence = (
        f"{RAG} takes {times(first)} as long as {TUNED} to the first token, and {times(whole)} for the whole answer "
        f"({whole['n']} timed questions)."
    )
    return sentence, verdict((whole["low"] - 1, whole["high"] - 1))


def _freshness(e: Evidence) -> Finding:
    taken = [
        f"{arm} {in_words(update['effort']['wall_s'])}{'' if update.get('measured', True) else ' (estimated)'}"
        for arm in (RAG, BOTH)
        for update in [e.update(arm)]
        if "effort" in update
    ]
    told = f"On changed facts: {e.told(RAG, 'updates')}, {e.told(TUNED, 'updates')}, {e.told(BOTH, 'updates')}."
    absorbed = f" To absorb the change: {', '.join(taken)}." if taken else ""
    return told + absorbed, verdict(e.gap(TUNED, RAG, "updates"), e.gap(BOTH, RAG, "updates"))


def _permanence(e: Evidence) -> Finding:
    plain, shown, tuned = (losses_of(e.results, arm, "general") for arm in ("base", RAG, BOTH))
    if not (plain and shown and tuned):
        return _missing("base", RAG, BOTH)
    lent, changed = perplexity_ratio(shown, plain), perplexity_ratio(tuned, plain)
    sentence = (
        f"Against base, the perplexity of general text is {times(lent)} with {RAG}, {times(changed)} with {BOTH}; "
        f"general questions: {e.told('base', 'general')}, {e.told(BOTH, 'general')}."
    )
    if not math.isclose(lent["value"], 1, rel_tol=1e-6):
        return sentence, "contradicted"
    return sentence, verdict((changed["low"] - 1, changed["high"] - 1))


def _generality(e: Evidence) -> Finding:
    told = (
        f"Tuned on triage alone: {e.told('customization:triage', 'triage')} on triage, "
        f"{e.told('customization:triage', 'facts_trained')} on facts. {e.told('domain_adaptation', 'terms')} on terms "
        f"of the domain ({e.told('base', 'terms')})."
    )
    task = e.gap("base", "customization:triage", "triage")
    other = e.gap("base", "customization:triage", "facts_trained", margin=0.1)
    elsewhere = (-other[1], -other[0]) if other else None  # little is gained on the other task
    return told, verdict(task, elsewhere, e.gap("base", "domain_adaptation", "terms"))


def _compute(e: Evidence) -> Finding:
    rag, tuned = e.effort(RAG), e.effort(BOTH)
    if rag is None or tuned is None:
        return _missing(RAG, BOTH)
    sentence = (
        f"{RAG}: {rag.cpu_s:,.0f} CPU seconds; {BOTH}: {tuned.cpu_s:,.0f} CPU seconds, {tuned.tokens_seen:,} tokens "
        f"seen. {ONCE} Not judged, since it is the whole process's with all that was loaded: peak memory, "
        f"{rag.peak_memory_bytes / 1e9:.1f} GB and {tuned.peak_memory_bytes / 1e9:.1f} GB."
    )
    return sentence, _all_or_none((tuned.cpu_s > rag.cpu_s,))


def _privacy(e: Evidence) -> Finding:
    seen, drawn = e.scores(RAG, HELD), e.gap("base", TUNED, "facts_trained")
    if not seen or drawn is None:
        return _missing(RAG, TUNED)
    words = [sum(len(p.text.split()) for p in score.answer.passages) for score in seen]
    passages = float(np.mean([len(score.answer.passages) for score in seen]))
    sentence = (
        f"With a hosted model, {passages:.1f} passages ({np.mean(words):.0f} words) leave the machine with each query "
        f"of {RAG}. Asked without any passage, these give away values that they were trained on: "
        f"{e.told(TUNED, 'facts_trained')}, against {e.told('base', 'facts_trained')}."
    )
    return sentence, verdict((passages, passages), drawn)


def _limits(e: Evidence) -> Finding:
    told = (
        f"Facts in two documents: {e.told(RAG, 'two_hop')}, against {e.told(RAG, HELD)} in one. Facts that no pair "
        f"named: {e.told(TUNED, HELD)}, against {e.told(TUNED, 'facts_trained')} that pairs named."
    )
    hops = [e.scores(RAG, s) for s in ("two_hop", HELD)]
    facts = [e.scores(TUNED, s) for s in (HELD, "facts_trained")]
    if not all(hops) or not all(facts):
        return told, "not measured"
    return told, verdict(*(apart(*pair) for pair in (hops, facts)))


def _missing(*arms: str) -> Finding:
    return f"Needs complete results of {', '.join(arms)}.", "not measured"


MEASURES: dict[str, Callable[[Evidence], Finding]] = {
    "when": _when, "effort": _effort, "cost": _cost, "latency": _latency, "freshness": _freshness,
    "permanence": _permanence, "generality": _generality, "compute": _compute, "privacy": _privacy, "limits": _limits,
}  # fmt: skip
