"""`answer_comparer`: one question to several assistants, with sources, times and the accepted answer side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets

from ...data import Answer, KitError, Question
from ...experiment import Assistant, metrics
from ..widgets.frame import Panel, escape, labelled, table

OWN = "a question of your own (below)"


class AnswerComparer(Panel):
    """Asks every assistant the same question, one after the other, and shows what each replied and why."""

    def __init__(
        self,
        assistants: Mapping[str, Assistant],
        questions: Sequence[Question],
        values: Mapping[str, Sequence[str]] | None = None,
    ):
        """See `helpers.widgets.answer_comparer`."""
        if not assistants:
            raise KitError("there is no assistant to ask: hand over at least one, by its arm's name")
        self.assistants, self.rivals = dict(assistants), dict(values or {})
        self.questions = {f"{number}. {q.set}: {q.prompt}"[:140]: q for number, q in enumerate(questions, 1)}
        options = [*self.questions, OWN]
        super().__init__(
            "One question, every arm",
            {
                "chosen": labelled(ipywidgets.Dropdown, "question", "760px", options=options, value=options[0]),
                "own": labelled(ipywidgets.Text, "your own", "760px", placeholder="then choose it above"),
            },
            self._ask,
            "Ask all arms",
        )

    def _ask(self, chosen: str, own: str) -> str:
        question = self.questions.get(chosen) or Question("own", "own", own)
        if not question.prompt.strip():
            raise KitError("Type a question of your own, or choose one from the list.")
        rows = []
        for number, (arm, assistant) in enumerate(self.assistants.items(), 1):
            self.say(f"Asking {arm} ({number} of {len(self.assistants)}) ...")
            rows.append(self._row(arm, question, assistant.ask(question)))
        accepted = " or ".join(question.answers) if question.answers else self._without(question)
        head = ["arm", "reply", "verdict", "sources", "first token, s", "whole answer, s"]
        asked = f"<p><b>{escape(question.prompt)}</b><br>Accepted: {escape(accepted)}</p>"
        return asked + table("Replies, each asked alone", head, rows)

    def _row(self, arm: str, question: Question, answer: Answer) -> tuple[str, ...]:
        verdict = "not scored"
        if question.set != "own":
            others = [v for asset, owned in self.rivals.items() if asset != question.asset for v in owned]
            value, why = metrics.score(question, answer, others)
            mark = "✓" if value == 1 else "✗" if value == 0 else f"{value:.2f}"
            verdict = f"{mark} {escape(why)}"
        sources = "".join(
            f"<details><summary>{escape(p.document_id)}</summary>{escape(p.text)}</details>" for p in answer.passages
        )
        times = ["" if s is None else f"{s:.2f}" for s in (answer.first_token_s, answer.total_s)]
        return escape(arm), escape(answer.text or "(nothing)"), verdict, sources or "none", *times

    @staticmethod
    def _without(question: Question) -> str:
        return "to say that it does not know" if question.set == "unanswerable" else "unknown, it is your own question"
