"""The notebooks' exercises and quizzes, as data in `helpers/lessons/NN.yaml`, and what a learner has solved so far.

q = exercises.load("01")
q.e1.check(tokens_per_word)      # right, wrong with the reason, or not attempted
q.quiz                           # the questions at the end of the notebook
"""

import hashlib
import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import yaml
from IPython.display import Markdown
from pydantic import Field, ValidationError

from ..data import DataError, KitError, held, own_folder, write_text
from .checks import FunctionRule, Outcome, Rule, marked
from .widgets.frame import escape, show_with_static

FOLDER = Path(__file__).parent


class Exercise(Rule):
    """One exercise: what it asks (`text`), the code that it starts from (`given`), and the rule that checks answers.

    `id` is its name in the notebook ("e3"), `key` that in the learner's progress ("05/e3"); `name` is the function's.
    """

    id: str
    key: str
    title: str
    text: str
    name: str
    given: str
    rule: FunctionRule
    hint_text: str = Field(alias="hint")
    solution_code: str = Field(alias="solution")
    why: str
    wrong: tuple[str, ...]  # as code, which the tests try

    def check(self, answer: Any = ...) -> Outcome:
        """Checks a function, and never says what the right one is.

        Three dots mean that nothing was tried, and are not counted; nor is a call that the learner interrupted.
        """
        if self._untouched(answer):
            return Outcome("not attempted", f"`{self.name}` has not been changed yet.", self.hint_text)
        outcome = self.rule.check(answer, self.name)
        if outcome.state == "stopped":
            return outcome
        hint = self.hint_text if outcome.state == "wrong" else ""
        return keep(self.key, Outcome(outcome.state, outcome.message or self.why, hint))

    def hint(self) -> Markdown:
        """A push in the right direction."""
        return Markdown(f"**Hint.** {self.hint_text}")

    def solution(self) -> Markdown:
        """One right answer, and why it is right."""
        return Markdown(f"**Solution.**\n\n```python\n{self.solution_code}\n```\n\n{self.why}")

    def _untouched(self, function: Any) -> bool:
        try:
            return function is ... or inspect.getsource(function).strip() in self.given
        except (OSError, TypeError):  # it was not written in a cell or a file
            return False


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

    def verdict(self, choice: str) -> Outcome:
        """Whether this choice is right, and the reason for or against it."""
        right = choice == self.right
        return Outcome("right" if right else "wrong", self.because if right else self.wrong[choice])


class Quiz(Rule):
    """The questions of a notebook; as the last line of a cell it shows itself."""

    lesson: str
    questions: list[QuizQuestion]

    def answer(self, number: int, choice: str | None) -> Outcome:
        """Checks the choice, given as its text, for the question of this number (from 1), and keeps it; None is not
        attempted.
        """
        if choice is None:
            return Outcome("not attempted", "Choose an answer first.")
        return keep(f"{self.lesson}/quiz{number}", self.questions[number - 1].verdict(choice), choice=choice)

    def total(self) -> str:
        """How many questions were answered rightly so far, as a sentence."""
        known = progress()
        right = [known.get(f"{self.lesson}/quiz{n}", {}).get("state") for n in range(1, len(self.questions) + 1)]
        return f"Right so far: {right.count('right')} of {len(self.questions)}."

    def static(self) -> str:
        """The questions and their choices as HTML for a page without a kernel; it does not say what is right."""
        items = ""
        for question in self.questions:
            choices = "".join(f"<li>{escape(choice)}</li>" for choice in question.choices)
            items += f"<li>{marked(question.ask)}<ol type='a'>{choices}</ol></li>"
        return f"<b>Quiz</b><ol>{items}</ol>"

    def question_box(self, number: int, total: ipywidgets.HTML) -> ipywidgets.VBox:
        """One question as a widget: its text, its choices, a button and the verdict; begins with the answer kept."""
        question, fit = self.questions[number - 1], ipywidgets.Layout(width="max-content")
        text, verdict = ipywidgets.HTML(f"<p><b>{number}.</b> {marked(question.ask)}</p>"), ipywidgets.HTML()
        choices = ipywidgets.RadioButtons(options=question.choices, index=None, layout=fit)
        button = ipywidgets.Button(description=f"Check question {number}", layout=fit)

        def show(outcome: Outcome | None) -> None:
            verdict.value = f"<div role='status'>{outcome._repr_html_()}</div>" if outcome else ""
            total.value = f"<p role='status'>{self.total()}</p>"

        kept = progress().get(f"{self.lesson}/quiz{number}", {}).get("choice")
        if kept in question.choices:
            choices.value = kept
        show(question.verdict(kept) if kept in question.choices else None)
        button.on_click(lambda _: show(self.answer(number, choices.value)))
        choices.observe(lambda _: show(None), "value")  # a verdict belongs to the choice it was given for
        return ipywidgets.VBox([text, choices, button, verdict], layout=ipywidgets.Layout(margin="0 0 14px 0"))

    def _ipython_display_(self) -> None:
        total = ipywidgets.HTML()
        boxes = [self.question_box(number, total) for number in range(1, len(self.questions) + 1)]
        show_with_static(self.static(), ipywidgets.VBox([ipywidgets.HTML("<b>Quiz</b>"), *boxes, total]))


class Exercises:
    """The exercises of one notebook as attributes `e1`, `e2`, ..., and its `quiz`."""

    def __init__(self, exercises: list[Exercise], quiz: Quiz):
        self.exercises, self.quiz = exercises, quiz
        self.__dict__ |= {exercise.id: exercise for exercise in exercises}


def load(number: str) -> Exercises:
    """The exercises and the quiz of a notebook.

    Raises:
        KitError: There is no notebook of this number ("01"), or it has none.
        DataError: Its data file is damaged.
    """
    path = FOLDER / f"{number}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
        raise KitError(f"there are no exercises for notebook {number!r}: choose one of {there}")
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        exercises = [
            Exercise(id=f"e{n}", key=f"{number}/e{n}", **row | {"title": f"Exercise {n}: {row['title']}"})
            for n, row in enumerate(record["exercises"], 1)
        ]
        return Exercises(exercises, Quiz(lesson=number, questions=record["quiz"]))
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it with git") from error


def progress() -> dict[str, dict[str, Any]]:
    """What is known of each item ("05/e3", "05/quiz1"): `state`, and `choice` in a quiz; empty if unreadable."""
    try:
        kept = json.loads((own_folder() / "progress.json").read_text(encoding="utf-8"))
        return {item: known for item, known in kept.items() if isinstance(known, dict)}
    except (OSError, ValueError, AttributeError):
        return {}


def keep(item: str, outcome: Outcome, **known: Any) -> Outcome:
    """Adds an outcome to what is known of an item (what was right once stays right); it says so where that failed."""
    path = own_folder() / "progress.json"
    try:
        with held(path):  # another notebook may be open
            kept = progress()
            before = kept.get(item, {})
            known["state"] = "right" if before.get("state") == "right" else outcome.state
            write_text(path, json.dumps(kept | {item: before | known}, indent=1, ensure_ascii=False) + "\n")
    except (KitError, OSError) as error:
        return replace(outcome, message=f"{outcome.message}\nYour progress could not be kept: {error}")
    return outcome
