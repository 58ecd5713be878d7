"""`which_one`: the questionnaire, and what this experiment advises, with the measured figure behind each reason."""

from __future__ import annotations

import ipywidgets

from ...analysis import Advice, Comparison, advise, questionnaire
from ..widgets.frame import Panel, escape, table

ASK_WIDTH = "610px"


class WhichOne(Panel):
    """One list of answers a question; the advice is looked up in rules, and its figures in the learner's results."""

    def __init__(self, comparison: Comparison | None = None):
        """See `helpers.widgets.which_one`."""
        self.comparison = comparison
        asked = {
            question.id: ipywidgets.Dropdown(
                description=question.ask,
                options=[(text, answer) for answer, text in question.answers.items()],
                style={"description_width": ASK_WIDTH},
                layout=ipywidgets.Layout(width="960px"),
            )
            for question in questionnaire()
        }
        super().__init__("Which one should I use?", asked, self._advise, "Advise me")

    def _advise(self, **answers: str) -> str:
        advice = advise(answers, self.comparison)
        arms = ", ".join(f"<code>{escape(arm)}</code>" for arm in advice.arms)
        closest = f"<p>Closest arms of the experiment: {arms}.</p>" if arms else ""
        note = (
            "<p>The figures come from one small model and an invented company. Measure your own before you decide.</p>"
        )
        return f"<p><b>Take {escape(advice.take)}.</b></p>{closest}{self._reasons(advice)}{note}"

    @staticmethod
    def _reasons(advice: Advice) -> str:
        rows = [(escape(r.text), escape(r.figure), escape(r.speaks_for or "the advice")) for r in advice.reasons]
        return table("Reasons", ["reason", "what was measured", "speaks for"], rows)
