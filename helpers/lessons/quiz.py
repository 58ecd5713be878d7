"""The questions that end a notebook: each with its choices, a button, and a verdict with its reason."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import ipywidgets

from ..data import KitError
from . import progress
from .checks import Outcome, Rule, marked
from .widgets.frame import escape, show_with_static


class QuizQuestion(Rule):
    """One question as it is in the data file; `wrong` has the reason against each choice that is not right."""

    ask: str
    right: str
    because: str
    wrong: dict[str, str]

    @property
    def choices(self) -> list[str]:
        """All choices, in an order that does not give the right one away."""
        return sorted([self.right, *self.wrong], key=lambda text: hashlib.sha256(f"{self.ask}{text}".encode()).digest())


@dataclass(frozen=True)
class Quiz:
    """The questions of a notebook; as the last line of a cell it shows itself."""

    lesson: str
    questions: list[QuizQuestion]

    def answer(self, number: int, choice: str | None) -> Outcome:
        """Checks one answer, as the quiz on the page does.

        Args:
            number: Of the question, from 1.
            choice: The text of one of its choices; None is not attempted.

        Raises:
            KitError: There is no such question or choice.
        """
        question = self.questions[number - 1] if 1 <= number <= len(self.questions) else None
        if question is None or choice not in (None, *question.choices):
            raise KitError(f"this quiz has no question {number} with the choice {choice!r}")
        if choice is None:
            return Outcome("not attempted", "Choose an answer first.")
        state, reason = ("right", question.because) if choice == question.right else ("wrong", question.wrong[choice])
        trouble = progress.note(f"{self.lesson}/quiz{number}", state)
        return Outcome(state, f"{reason}\n{trouble}".strip())

    def static(self) -> str:
        """The questions and their choices as HTML for a page without a kernel; it does not say what is right."""
        items = ""
        for question in self.questions:
            choices = "".join(f"<li>{escape(choice)}</li>" for choice in question.choices)
            items += f"<li>{marked(question.ask)}<ol type='a'>{choices}</ol></li>"
        return f"<b>Quiz</b><ol>{items}</ol>"

    def question_box(self, number: int) -> ipywidgets.VBox:
        """One question as a widget: its text, its choices, a button and the verdict."""
        question, fit = self.questions[number - 1], ipywidgets.Layout(width="max-content")
        text, verdict = ipywidgets.HTML(f"<p><b>{number}.</b> {marked(question.ask)}</p>"), ipywidgets.HTML()
        choices = ipywidgets.RadioButtons(options=question.choices, index=None, layout=fit)
        button = ipywidgets.Button(description=f"Check question {number}", layout=fit)

        def show(outcome: Outcome | None) -> None:
            verdict.value = f"<div role='status'>{outcome._repr_html_()}</div>" if outcome else ""

        button.on_click(lambda _: show(self.answer(number, choices.value)))
        choices.observe(lambda _: show(None), "value")  # a verdict belongs to the choice it was given for
        return ipywidgets.VBox([text, choices, button, verdict], layout=ipywidgets.Layout(margin="0 0 14px 0"))

    def _ipython_display_(self) -> None:
        boxes = [self.question_box(number) for number in range(1, len(self.questions) + 1)]
        show_with_static(self.static(), ipywidgets.VBox([ipywidgets.HTML("<b>Quiz</b>"), *boxes]))
