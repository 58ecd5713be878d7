"""The quiz on the page: each question with its choices, a button, and the verdict below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import ipywidgets
from IPython.display import HTML, display

from ..widgets.frame import escape, marked, static_name


class Item(Protocol):
    """A question with its choices; `helpers.exercises.QuizQuestion` is one."""

    ask: str
    choices: tuple[str, ...]


class Verdict(Protocol):
    """What a check says, ready for a page; `helpers.exercises.Outcome` is one."""

    def _repr_html_(self) -> str: ...


class Quiz(Protocol):
    """What this page needs of a quiz; `helpers.exercises.Quiz` is one."""

    questions: Sequence[Item]

    def answer(self, number: int, choice: str | None) -> Verdict:
        """Checks one answer."""


def static(quiz: Quiz) -> str:
    """The questions and their choices as a list, for a page without a kernel; it does not say what is right."""
    items = []
    for question in quiz.questions:
        choices = "".join(f"<li>{escape(choice)}</li>" for choice in question.choices)
        items.append(f"<li>{marked(question.ask)}<ol type='a'>{choices}</ol></li>")
    return f"<b>Quiz</b><ol>{''.join(items)}</ol>"


def panel(quiz: Quiz) -> ipywidgets.VBox:
    """The quiz as a widget; each question is checked by itself."""
    return ipywidgets.VBox([_question(quiz, number) for number in range(1, len(quiz.questions) + 1)])


def show(quiz: Quiz) -> None:
    """Displays the quiz, and the list of its questions for a page on which widgets do not live."""
    name = static_name()
    display(HTML(f"<div class='{name}'>{static(quiz)}</div>"))
    display(ipywidgets.VBox([ipywidgets.HTML(f"<b>Quiz</b><style>.{name} {{display: none}}</style>"), panel(quiz)]))


def _question(quiz: Quiz, number: int) -> ipywidgets.VBox:
    question = quiz.questions[number - 1]
    choices = ipywidgets.RadioButtons(
        options=list(question.choices), index=None, layout=ipywidgets.Layout(width="max-content")
    )
    button = ipywidgets.Button(
        description=f"Check question {number}", disabled=False, layout=ipywidgets.Layout(width="max-content")
    )
    verdict = ipywidgets.HTML()

    def check(_: object) -> None:
        outcome = quiz.answer(number, choices.value)
        verdict.value = f"<div role='status'>{outcome._repr_html_()}</div>"

    button.on_click(check)
    choices.observe(
        lambda _: setattr(verdict, "value", ""), "value"
    )  # a verdict belongs to the choice it was given for
    asked = ipywidgets.HTML(f"<p><b>{number}.</b> {marked(question.ask)}</p>")
    return ipywidgets.VBox([asked, choices, button, verdict], layout=ipywidgets.Layout(margin="0 0 14px 0"))
