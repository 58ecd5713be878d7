"""Three widgets for a decision: one question to every arm, the cost of a month, and a questionnaire with advice."""

from collections.abc import Mapping, Sequence

import ipywidgets
import numpy as np

from ... import plots
from ...analysis import Comparison, advise, costs, load_prices, questionnaire, span
from ...data import Answer, DataError, KitError, Question
from ...experiment import Assistant, metrics
from .frame import Panel, escape, labelled, number, table


def answer_comparer(
    assistants: Mapping[str, Assistant], questions: Sequence[Question], values: Mapping[str, Sequence[str]]
) -> Panel:
    """A typed question to all arms, side by side, with sources and times; each arm is asked alone, as it was timed.

    `questions`, at least one, are offered while typing, and their answers scored, by `values` of each asset as
    `Dataset.values_by_asset` has them.
    """
    known = {" ".join(question.prompt.split()): question for question in questions}

    def ask(asked: str) -> str:
        if not asked.strip():
            raise KitError("Type a question first.")
        question, rows = known.get(asked, Question("own", "own", asked)), []
        others = [v for asset, owned in values.items() if asset != question.asset for v in owned]
        for arm, assistant in assistants.items():
            name = plots.plain_name(arm)
            panel.say(f"Asking {name} ({len(rows) + 1} of {len(assistants)}) ...")
            rows.append((escape(name), *_reply(question, assistant.ask(question), others)))
        unlisted = {"own": "unknown, it is your own question", "unanswerable": "to say that it does not know"}
        accepted = unlisted.get(question.set) or " or ".join(question.answers)
        head = ["method", "reply", "verdict", "sources", "first token, s", "whole answer, s"]
        text = f"<p><b>{escape(question.prompt)}</b><br>Accepted: {escape(accepted)}</p>"
        return text + table("Replies, each asked alone", head, rows)

    offered = labelled(ipywidgets.Combobox, "question", "760px", options=list(known), value=next(iter(known), ""))
    panel = Panel("One question, every arm", {"asked": offered}, ask, "Ask all arms")
    return panel.refresh()


def _reply(question: Question, answer: Answer, others: Sequence[str]) -> list[str]:
    verdict = "not scored"
    if question.set != "own":
        value, why = metrics.score(question, answer, others)
        verdict = f"{'✓' if value == 1 else '✗' if value == 0 else f'{value:.2f}'} {escape(why)}"
    texts = [(escape(passage.document_id), escape(passage.text)) for passage in answer.passages]
    sources = "".join(f"<details><summary>{name}</summary>{text}</details>" for name, text in texts)
    times = ["" if s is None else f"{s:.2f}" for s in (answer.first_token_s, answer.total_s)]
    return [escape(answer.text or "(nothing)"), verdict, sources or "none", *times]


def cost_explorer(comparison: Comparison) -> Panel:
    """Prices, queries and updates a month; the costs and their break-even points follow at once."""

    def draw(queries: int, changes: int, label: float, engineer_hour: float, own_machine: float, months: int) -> str:
        stated = load_prices(label=label, engineer_hour=engineer_hour, own_machine=own_machine, months=months)
        found = {arm: cost for arm, cost in costs(comparison, stated).items() if arm in plots.wishes.METHODS}
        if not found:
            raise DataError("no cost can be computed: run the study on `facts_heldout` first")
        month = {arm: cost.monthly(queries, changes) for arm, cost in found.items()}
        known = sorted((arm for arm in month if np.isfinite(month[arm]).all()), key=lambda arm: np.median(month[arm]))
        unknown = escape(", ".join(plots.plain_name(arm) for arm in found if arm not in known))
        missing = f"<p>Left out, since they take no update, or nobody measured it: {unknown}.</p>" if unknown else ""
        if not known:
            return f"{missing}<p>Without updates their cost is known: set them to 0.</p>"
        ax = plots.break_even_lines(found, changes)
        ax.axvline(max(queries, 1), color="0.3", linestyle=":")
        rows = [(escape(plots.plain_name(arm)), span(month[arm])) for arm in known]
        caption = f"One month with {queries:,} queries and {changes} updates"
        note = "Ranges are those of the other stated prices; times, tokens and counts were measured."
        return f"{plots.image(ax).data}{table(caption, ['method', 'cost per month ($)'], rows)}{missing}<p>{note}</p>"

    controls = {
        "queries": number("queries a month", 0, 1_000_000, 1_000, 10_000),
        "changes": number("updates a month", 0, 60, 1, 1), "label": number("a label, $", 0.0, 10.0, 0.05, 0.5),
        "engineer_hour": number("an engineer's hour, $", 0.0, 500.0, 5.0, 80.0),
        "own_machine": number("own machines", 0.0, 4.0, 0.25, 0.0),
        "months": number("spread over, months", 1, 36, 1, 12),
    }  # fmt: skip
    return Panel("What would it cost?", controls, draw).refresh()


def which_one(comparison: Comparison | None = None) -> Panel:
    """A short questionnaire that ends in advice, each reason with the figure that `comparison` has for it, if any."""

    def advice(**answers: str) -> str:
        given = advise(answers, comparison)
        arms = escape(", ".join(map(plots.plain_name, given.arms)) or "none")
        told = [
            (rule.because, figure, plots.plain_name(rule.speaks_for) or "the advice") for rule, figure in given.reasons
        ]
        rows = [map(escape, row) for row in told]
        reasons = table("Reasons", ["reason", "what was measured", "speaks for"], rows)
        note = "The figures come from one small model and an invented company. Measure your own before you decide."
        take = f"<b>Take {escape(given.take)}.</b> Closest arms of the experiment: {arms}."
        sure = f"{escape(given.holds)} What would change it: {escape(given.flips)}."
        return f"<p>{take}</p><p>{sure}</p>{reasons}<p>{note}</p>"

    controls = {}
    for question in questionnaire():
        options = [(text, answer) for answer, text in question.answers.items()]
        controls[question.id] = labelled(ipywidgets.Dropdown, question.ask, "960px", options=options)
        controls[question.id].style.description_width = "610px"
    return Panel("Which one should I use?", controls, advice, "Advise me").refresh()
