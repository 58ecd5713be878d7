"""The notebooks' exercises and quizzes, with an instant check, a hint and a solution for each.

    q = exercises.load("01")
    q.e1.check(tokens_per_word)      # right, wrong with the reason, or not attempted
    q.e2.predict(0.4)                # before the run; after it, q.e2.check(what_was_measured)
    q.quiz                           # the questions at the end of the notebook

The texts and the cases are data: one file a notebook in `helpers/lessons/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from IPython.display import Markdown

from ..data import KitError
from . import checks, progress
from .widgets.frame import marked

LESSONS = Path(__file__).parent
LETTERS = "abcdefgh"
MARKS = {
    checks.RIGHT: ("✓ Right.", "#1a7f37"),
    checks.WRONG: ("✗ Not yet.", "#b35900"),
    checks.NOT_ATTEMPTED: ("○ Not attempted.", "#6e7781"),
    "kept": ("● Kept.", "#0969da"),
}


@dataclass(frozen=True)
class Outcome:
    """What a check says: `state` is `right`, `wrong` or `not attempted`, `message` says why; a prediction is `kept`."""

    state: str
    message: str = ""

    def __str__(self) -> str:
        return f"{MARKS[self.state][0]} {self.message}".strip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        mark, colour = MARKS[self.state]
        look = f"border-left: 4px solid {colour}; padding: 2px 10px"
        return f"<div style='{look}'><b>{mark}</b> {marked(self.message)}</div>"


@dataclass(frozen=True)
class Exercise:
    """One exercise: what it asks (`text`), the code that it starts from (`given`), and how an answer is checked.

    `kind` is `write` (a function), `mend` (find the bug in a function), `answer` (a value) or `predict`.
    """

    lesson: str
    id: str
    title: str
    kind: str
    text: str
    rule: dict[str, Any]
    hint_text: str
    solution_code: str
    why: str
    name: str = ""
    given: str = ""
    wrong: tuple[Any, ...] = ()

    def check(self, answer: Any = ...) -> Outcome:
        """Checks an answer; for a prediction, `answer` is what was measured.

        Args:
            answer: The function or value that the exercise asks for; a measured value may be a mapping with `value`,
                `low` and `high`. Three dots mean that nothing was tried, and are not counted.

        Returns:
            The outcome, which a notebook shows; it never holds the right answer.
        """
        verdict = self._verdict(answer)
        if verdict.state == checks.NOT_ATTEMPTED:
            return Outcome(verdict.state, verdict.reason)
        trouble = progress.note_try(self.lesson, self.id, verdict.state)
        reason = verdict.reason or self.why
        return Outcome(verdict.state, f"{reason}\n{trouble}".strip())

    def predict(self, value: Any = ...) -> Outcome:
        """Keeps a prediction until the run has shown what comes out.

        Raises:
            KitError: This exercise asks for no prediction.
        """
        if self.kind != "predict":
            raise KitError(f"{self.id} of notebook {self.lesson} asks for no prediction: use `q.{self.id}.check(...)`")
        kept = progress.entry(self.lesson, self.id).get("predicted")
        if value is ...:
            before = f" Your last prediction was {checks.told(kept)}." if kept is not None else ""
            return Outcome(checks.NOT_ATTEMPTED, f"Write your prediction in place of the three dots.{before}")
        problem = _not_a_prediction(value, self.rule)
        if problem:
            return Outcome(checks.WRONG, problem)
        trouble = progress.note(self.lesson, self.id, predicted=value)
        return Outcome("kept", f"You predict {checks.told(value)}. Now run on and see.\n{trouble}".strip())

    def hint(self) -> Markdown:
        """A push in the right direction."""
        return Markdown(f"**Hint.** {self.hint_text}")

    def solution(self) -> Markdown:
        """One right answer, and why it is right."""
        code = f"```python\n{self.solution_code}\n```\n\n" if self.solution_code else ""
        return Markdown(f"**Solution.**\n\n{code}{self.why}")

    @property
    def heading(self) -> str:
        """The exercise's number and title, as the notebook shows them."""
        return f"Exercise {self.id[1:]}: {self.title}"

    def _repr_markdown_(self) -> str:
        given = f"\n\n```python\n{self.given}\n```" if self.given else ""
        return f"**{self.heading}**\n\n{self.text}{given}"

    def _verdict(self, answer: Any) -> checks.Verdict:
        if self.kind == "predict":
            predicted = progress.entry(self.lesson, self.id).get("predicted")
            if predicted is None or answer is ...:
                todo = f"Write a prediction into `q.{self.id}.predict(...)` above, before you look."
                return checks.Verdict(checks.NOT_ATTEMPTED, todo)
            return checks.check_prediction(predicted, answer, self.rule)
        if self.kind == "answer":
            return checks.check_value(answer, self.rule)
        if self.kind == "mend" and checks.as_given(answer, self.given, self.name):
            todo = f"`{self.name}` is still as it was handed out. There is a bug in it."
            return checks.Verdict(checks.NOT_ATTEMPTED, todo)
        return checks.check_function(answer, self.rule, self.name)


@dataclass(frozen=True)
class QuizQuestion:
    """One question with its choices, in an order that does not tell; `says` has a reason for each wrong choice."""

    ask: str
    choices: tuple[str, ...]
    right: str
    because: str
    says: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Quiz:
    """The questions that end a notebook; as the last line of a cell it shows itself."""

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
            return Outcome(checks.NOT_ATTEMPTED, "Choose an answer first.")
        letters = dict(zip(LETTERS, question.choices, strict=False))
        chosen = letters.get(choice, choice)
        if chosen not in question.choices:
            raise KitError(f"question {number} has no choice {choice!r}: use one of {', '.join(letters)}")
        state = checks.RIGHT if chosen == question.right else checks.WRONG
        trouble = progress.note_try(self.lesson, f"quiz{number}", state)
        reason = question.because if state == checks.RIGHT else question.says[chosen]
        return Outcome(state, f"{reason}\n{trouble}".strip())

    def _ipython_display_(self) -> None:
        from .widgets.quiz import show

        show(self)


class Lesson:
    """The exercises of one notebook as attributes `e1`, `e2`, ..., and its `quiz`."""

    def __init__(self, number: str, exercises: Sequence[Exercise], questions: Sequence[QuizQuestion]):
        self.number = number
        self.exercises = {exercise.id: exercise for exercise in exercises}
        self.quiz = Quiz(number, tuple(questions))

    def __getattr__(self, name: str) -> Exercise:
        try:
            return self.__dict__["exercises"][name]
        except KeyError:
            known = ", ".join(self.__dict__.get("exercises", ()))
            raise AttributeError(
                f"there is no exercise {name!r} in this notebook: it has {known}, and `quiz`"
            ) from None

    def __dir__(self) -> list[str]:
        return [*self.exercises, "quiz", "done"]

    @cached_property
    def items(self) -> list[str]:
        """The names under which progress is kept: exercises, then quiz questions."""
        return [*self.exercises, *(f"quiz{n}" for n, _ in enumerate(self.quiz.questions, 1))]

    def done(self) -> tuple[int, int]:
        """How many exercises, and how many quiz questions, were answered rightly so far."""
        kept = progress.read().get(self.number, {})
        right = [name for name in self.items if kept.get(name, {}).get("state") == checks.RIGHT]
        exercises = sum(name in self.exercises for name in right)
        return exercises, len(right) - exercises


def load(number: str) -> Lesson:
    """The exercises and the quiz of a notebook.

    Args:
        number: The notebook's number, such as "01".

    Raises:
        KitError: It has none.
    """
    path = LESSONS / f"{number}.yaml"
    if not path.is_file():
        raise KitError(f"there are no exercises for notebook {number!r}: choose one of {', '.join(lessons())}")
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    exercises = [_exercise(number, f"e{n}", row) for n, row in enumerate(record["exercises"], 1)]
    return Lesson(number, exercises, [_question(row) for row in record["quiz"]])


def lessons() -> list[str]:
    """The numbers of the notebooks that have exercises, in order."""
    return sorted(path.stem for path in LESSONS.glob("*.yaml"))


def _exercise(lesson: str, name: str, row: dict[str, Any]) -> Exercise:
    texts = {key: row.get(key, "").strip() for key in ("title", "kind", "text", "why", "name")}
    return Exercise(
        lesson, name, rule=row["rule"], hint_text=row["hint"].strip(), solution_code=row.get("solution", "").strip(),
        given=row.get("given", "").strip(), wrong=tuple(row.get("wrong", ())), **texts,
    )  # fmt: skip


def _question(row: dict[str, Any]) -> QuizQuestion:
    says = {str(choice["text"]): choice["says"] for choice in row["wrong"]}
    texts = [str(row["right"]), *says]
    mixed = sorted(texts, key=lambda text: hashlib.sha256(f"{row['ask']}{text}".encode()).digest())
    return QuizQuestion(row["ask"].strip(), tuple(mixed), str(row["right"]), row["because"].strip(), says)


def _not_a_prediction(value: Any, rule: dict[str, Any]) -> str:
    """What is wrong with a prediction as such; empty where it can be kept."""
    if "choices" in rule:
        return "" if value in rule["choices"] else f"Choose one of: {', '.join(rule['choices'])}."
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return "A prediction is a number here, such as the lowest one allowed: " + str(rule["range"][0]) + "."
    low, high = rule["range"]
    return "" if low <= value <= high else f"A prediction lies between {low} and {high} here."
