"""The notebooks' exercises and quizzes, as data in `helpers/lessons/NN.yaml`.

q = exercises.load("01")
q.e1.check(tokens_per_word)      # right, wrong with the reason, or not attempted
q.e2.predict(0.4)                # before the run; after it, q.e2.check(what_was_measured)
q.quiz                           # the questions at the end of the notebook
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from IPython.display import Markdown
from pydantic import Field, ValidationError

from ..data import DataError, KitError
from . import progress
from .checks import KEPT, NOT_ATTEMPTED, RIGHT, WRONG, FunctionRule, Outcome, PredictionRule, Rule, in_words, unchanged
from .quiz import Quiz, QuizQuestion

FOLDER = Path(__file__).parent


class Exercise(Rule):
    """One exercise: what it asks (`text`), the code that it starts from (`given`), and the rule that checks answers.

    `kind` is `write` (a function called `name`), `fix` (find the bug in a function) or `predict`.
    `wrong` are wrong answers, as code, that the tests try.
    """

    lesson: str
    id: str
    title: str
    kind: Literal["write", "fix", "predict"]
    text: str
    rule: FunctionRule | PredictionRule
    hint_text: str = Field(alias="hint")
    solution_code: str = Field("", alias="solution")
    why: str
    name: str = ""
    given: str = ""
    wrong: tuple[str, ...] = ()

    def check(self, answer: Any = ...) -> Outcome:
        """Checks an answer; for a prediction, `answer` is what was measured.

        Args:
            answer: The function that the exercise asks for; a measured value may be a mapping with `value`,
                `low` and `high`. Three dots mean that nothing was tried, and are not counted.

        Returns:
            The outcome, which a notebook shows; it never contains the right answer.
        """
        outcome = self._outcome(answer)
        if outcome.state == NOT_ATTEMPTED:
            return outcome
        trouble = progress.note_try(self.key, outcome.state)
        return Outcome(outcome.state, f"{outcome.message or self.why}\n{trouble}".strip())

    def predict(self, value: Any = ...) -> Outcome:
        """Keeps a prediction until the run has shown the result.

        Raises:
            KitError: This exercise asks for no prediction.
        """
        if self.kind != "predict":
            raise KitError(f"{self.id} of notebook {self.lesson} asks for no prediction: use `q.{self.id}.check(...)`")
        if value is ...:
            kept = progress.read().get(self.key, {}).get("predicted")
            before = f" Your last prediction was {in_words(kept)}." if kept is not None else ""
            return Outcome(NOT_ATTEMPTED, f"Write your prediction in place of the three dots.{before}")
        if problem := self.rule.problem(value):
            return Outcome(WRONG, problem)
        trouble = progress.note(self.key, predicted=value)
        return Outcome(KEPT, f"You predict {in_words(value)}. Now run on and see.\n{trouble}".strip())

    def hint(self) -> Markdown:
        """A push in the right direction."""
        return Markdown(f"**Hint.** {self.hint_text}")

    def solution(self) -> Markdown:
        """One right answer, and why it is right."""
        code = f"```python\n{self.solution_code}\n```\n\n" if self.solution_code else ""
        return Markdown(f"**Solution.**\n\n{code}{self.why}")

    @property
    def key(self) -> str:
        """Its name in the learner's progress."""
        return f"{self.lesson}/{self.id}"

    @property
    def heading(self) -> str:
        """The exercise's number and title, as the notebook shows them."""
        return f"Exercise {self.id[1:]}: {self.title}"

    def _repr_markdown_(self) -> str:
        given = f"\n\n```python\n{self.given}\n```" if self.given else ""
        return f"**{self.heading}**\n\n{self.text}{given}"

    def _outcome(self, answer: Any) -> Outcome:
        if self.kind == "predict":
            predicted = progress.read().get(self.key, {}).get("predicted")
            if predicted is None or answer is ...:
                return Outcome(NOT_ATTEMPTED, f"Write a prediction into `q.{self.id}.predict(...)` above, then run on.")
            return self.rule.compare(predicted, answer)
        if self.kind == "fix" and unchanged(answer, self.given, self.name):
            return Outcome(NOT_ATTEMPTED, f"`{self.name}` has not been changed yet. There is a bug in it.")
        return self.rule.check(answer, self.name)


class Exercises:
    """The exercises of one notebook as attributes `e1`, `e2`, ..., and its `quiz`."""

    def __init__(self, number: str, exercises: list[Exercise], quiz: Quiz):
        self.number, self.quiz = number, quiz
        self.exercises = {exercise.id: exercise for exercise in exercises}

    def __getattr__(self, name: str) -> Exercise:
        known = self.__dict__.get("exercises", {})
        if name not in known:
            raise AttributeError(f"no exercise {name!r} in this notebook: it has {', '.join(known)}, and `quiz`")
        return known[name]

    def __dir__(self) -> list[str]:
        return [*self.exercises, "quiz", "done"]

    def done(self) -> tuple[int, int]:
        """How many exercises, and how many quiz questions, were answered rightly so far."""
        right = {item for item, known in progress.read().items() if known.get("state") == RIGHT}
        quiz = {f"{self.number}/quiz{n}" for n in range(1, len(self.quiz.questions) + 1)}
        return len(right & {exercise.key for exercise in self.exercises.values()}), len(right & quiz)


def load(number: str) -> Exercises:
    """The exercises and the quiz of a notebook.

    Args:
        number: The notebook's number, such as "01".

    Raises:
        KitError: It has none.
        DataError: Its data file is damaged.
    """
    path = FOLDER / f"{number}.yaml"
    if not path.is_file():
        raise KitError(f"there are no exercises for notebook {number!r}: choose one of {', '.join(numbers())}")
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        exercises = [Exercise(lesson=number, id=f"e{n}", **row) for n, row in enumerate(record["exercises"], 1)]
        return Exercises(number, exercises, Quiz(number, tuple(QuizQuestion(**row) for row in record["quiz"])))
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it with git") from error


def numbers() -> list[str]:
    """The numbers of the notebooks that have exercises, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
