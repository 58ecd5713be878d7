"""The questions that end a notebook: each with its choices, a button, and a verdict with its reason."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import ipywidgets

from ..data import KitError
from . import progress
from .checks import NOT_ATTEMPTED, RIGHT, WRONG, Outcome, Rule, marked
from .widgets.frame import escape, show_with_static

LETTERS = "abcdefgh"


class WrongChoice(Rule):
    """A choice that is not right, and what to say to whoever takes it."""

    text: str
    says: str


class QuizQuestion(Rule):
    """One question as it is in the data file."""

    ask: str
    right: str
    because: str
    wrong: list[WrongChoice]

    @property
    def says(self) -> dict[str, str]:
        """The reason against each wrong choice."""
        return {choice.text: choice.says for choice in self.wrong}

    @property
    def choices(self) -> list[str]:
        """All choices, in an order that does not give the right one away."""
        return sorted([self.right, *self.says], key=lambda text: hashlib.sha256(f"{self.ask}{text}".encode()).digest())


@dataclass(frozen=True)
class Quiz:
    """The questions of a notebook; as the last line of a cell it shows itself."""

    lesson: str
    questions: tuple[QuizQuestion, ...]

    def answer(self, number: int, choice: str | None) -> Outcome:
        """Checks one answer; the quiz on the page does the same.

        Args:
            number: Of the question, from 1.
            choice: Its letter ("a"), or the choice's text; None is not attempted.

        Raises:
            KitError: There is no such question or choice.
        """
        if not 1 <= number <= len(self.questions):
            raise KitError(f"there is no question {number}: they are numbered 1 to {len(self.questions)}")
        question = self.questions[number - 1]
        if choice is None:
            return Outcome(NOT_ATTEMPTED, "Choose an answer first.")
        letters = dict(zip(LETTERS, question.choices, strict=False))
        chosen = letters.get(choice, choice)
        if chosen not in question.choices:
            raise KitError(f"question {number} has no choice {choice!r}: use one of {', '.join(letters)}")
        state = RIGHT if chosen == question.right else WRONG
        trouble = progress.note_try(f"{self.lesson}/quiz{number}", state)
        reason = question.because if state == RIGHT else question.says[chosen]
        return Outcome(state, f"{reason}\n{trouble}".strip())

    def static(self) -> str:
        """The questions and their choices as HTML for a page without a kernel; it does not say what is right."""
        items = []
        for question in self.questions:
            choices = "".join(f"<li>{escape(choice)}</li>" for choice in question.choices)
            items.append(f"<li>{marked(question.ask)}<ol type='a'>{choices}</ol></li>")
        return f"<b>Quiz</b><ol>{''.join(items)}</ol>"

    def widget(self) -> ipywidgets.VBox:
        """The quiz as a widget; each question is checked by itself."""
        return ipywidgets.VBox([self._question(number) for number in range(1, len(self.questions) + 1)])

    def _question(self, number: int) -> ipywidgets.VBox:
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
        show_with_static(self.static(), ipywidgets.VBox([ipywidgets.HTML("<b>Quiz</b>"), self.widget()]))
