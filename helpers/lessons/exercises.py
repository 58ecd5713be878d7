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
from .checks import FunctionRule, Outcome, PredictionRule, Rule, in_words, is_same_code
from .quiz import Quiz, QuizQuestion

FOLDER = Path(__file__).parent


class Exercise(Rule):
    """One exercise: what it asks (`text`), the code that it starts from (`given`), and the rule that checks answers.

    `id` is its name in the notebook ("e3"), `key` that in the learner's progress ("05/e3"). `kind` is `write` (a
    function called `name`), `fix` (find the bug in a function) or `predict`. `wrong` are wrong answers as code, which
    the tests try.
    """

    id: str
    key: str
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
        """Checks an answer and says what is right or wrong with it, never what the right answer is.

        Args:
            answer: The function that the exercise asks for; for a prediction what was measured, a number or a mapping
                with `value`, `low` and `high`. Three dots mean that nothing was tried, and are not counted.
        """
        if problem := self._untried(answer):
            return Outcome("not attempted", problem)
        predicts = self.kind == "predict"
        outcome = self.rule.compare(self._predicted, answer) if predicts else self.rule.check(answer, self.name)
        trouble = progress.note(self.key, outcome.state)
        return Outcome(outcome.state, f"{outcome.message or self.why}\n{trouble}".strip())

    def predict(self, value: Any = ...) -> Outcome:
        """Keeps a prediction until the run has shown the result.

        Raises:
            KitError: This exercise asks for no prediction.
        """
        if self.kind != "predict":
            raise KitError(f"{self.key} asks for no prediction: use `q.{self.id}.check(...)`")
        if value is ...:
            before = f" Your last prediction was {in_words(self._predicted)}." if self._predicted is not None else ""
            return Outcome("not attempted", f"Write your prediction in place of the three dots.{before}")
        if problem := self.rule.problem(value):
            return Outcome("wrong", problem)
        trouble = progress.note(self.key, predicted=value)
        return Outcome("kept", f"You predict {in_words(value)}. Now run on and see.\n{trouble}".strip())

    def hint(self) -> Markdown:
        """A push in the right direction."""
        return Markdown(f"**Hint.** {self.hint_text}")

    def solution(self) -> Markdown:
        """One right answer, and why it is right."""
        return Markdown(f"**Solution.**\n\n{_fenced(self.solution_code)}\n\n{self.why}")

    def _repr_markdown_(self) -> str:
        return f"**{self.title}**\n\n{self.text}\n\n{_fenced(self.given)}"

    @property
    def _predicted(self) -> Any:
        return progress.read().get(self.key, {}).get("predicted")

    def _untried(self, answer: Any) -> str:
        if self.kind == "predict":
            ready = self._predicted is not None and answer is not ...
            return "" if ready else f"Write a prediction into `q.{self.id}.predict(...)` above, then run on."
        if answer is ...:
            return f"Write the function `{self.name}` first."
        exec(self.given, handed_out := {})
        if not is_same_code(answer, handed_out[self.name]):
            return ""
        fix = f"`{self.name}` has not been changed yet. There is a bug in it."
        return fix if self.kind == "fix" else f"Write the body of `{self.name}`: it still returns the three dots."


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```" if code else ""


class Exercises:
    """The exercises of one notebook as attributes `e1`, `e2`, ..., and its `quiz`."""

    def __init__(self, number: str, exercises: list[Exercise], quiz: Quiz):
        self.number, self.exercises, self.quiz = number, exercises, quiz
        self.__dict__ |= {exercise.id: exercise for exercise in exercises}

    def done(self) -> tuple[int, int]:
        """How many exercises, and how many quiz questions, were answered rightly so far."""
        right = [item for item, known in progress.read().items() if known.get("state") == "right"]
        quiz = [f"{self.number}/quiz{n}" for n in range(1, len(self.quiz.questions) + 1)]
        return sum(exercise.key in right for exercise in self.exercises), sum(name in right for name in quiz)


def load(number: str) -> Exercises:
    """The exercises and the quiz of a notebook.

    Raises:
        KitError: There is no notebook of this number ("01"), or it has none.
        DataError: Its data file is damaged.
    """
    path, exercises = FOLDER / f"{number}.yaml", []
    if not path.is_file():
        raise KitError(f"there are no exercises for notebook {number!r}: choose one of {', '.join(numbers())}")
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        for n, row in enumerate(record["exercises"], 1):
            row["title"] = f"Exercise {n}: {row['title']}"
            exercises.append(Exercise(id=f"e{n}", key=f"{number}/e{n}", **row))
        return Exercises(number, exercises, Quiz(number, [QuizQuestion(**row) for row in record["quiz"]]))
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it with git") from error


def numbers() -> list[str]:
    """The numbers of the notebooks that have exercises, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
