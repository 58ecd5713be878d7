"""How long one answer takes: all arms take turns, one question at a time, so that drift of the machine hits all alike.

    timings = time_arms({"base": Assistant(fm), "rag": Assistant(fm, retriever=retriever)}, questions)

A name may be any that tells the assistants apart: the same weights with and without a retriever, say.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import TIMED_SET, WARM_UP, DataError, Question
from .assistant import Assistant
from .results import read_record, write_record

LATENCY_FILE = "latency.json"  # the timings beside the results that they belong to
PHASES = ("retrieval_s", "first_token_s", "per_token_s", "total_s")
A_TURN = 10  # questions that an arm is asked in one turn: tuned copies of the model are made for it anew
EQUAL_TOKENS = 16  # of every reply, where replies of equal length are timed


@dataclass(frozen=True)
class Timing:
    """One answer, asked alone. Seconds; `first_token_s` and `total_s` count from the question and include retrieval.

    `per_token_s` is the mean time of each token after the first, None where there was only one. `equal_length` says
    that the reply was made to have `EQUAL_TOKENS` tokens, where others end as they end.
    """

    arm: str
    question_id: str
    retrieval_s: float
    first_token_s: float
    per_token_s: float | None
    total_s: float
    prompt_tokens: int
    new_tokens: int
    question_set: str = TIMED_SET
    equal_length: bool = False


@dataclass(frozen=True)
class Timings:
    """What the file of timings holds; `about` is what they depend on, such as the machine."""

    about: dict[str, Any]
    timings: list[Timing]


def time_arms(assistants: Mapping[str, Assistant], questions: Sequence[Question]) -> list[Timing]:
    """Asks every arm every question, one at a time: as the reply comes, and again with replies of equal length.

    The arms take turns of `A_TURN` questions, in a random order; each turn begins with a warm-up, and of the tuned
    copies of the model the latest two stay in memory. The timings are in the order in which they were taken.

    Raises:
        DataError: There is nothing to ask, or a question has choices, which are scored and not answered.
    """
    if not assistants or not questions:
        got = f"{len(assistants)} arms, {len(questions)} questions"
        raise DataError(f"timing needs at least one of each. Got {got}: name arms, and a set that has questions")
    if any(question.choices for question in questions):
        raise DataError("questions with choices are scored, not answered, and cannot be timed: take another set")
    order, timings = random.Random(7), []
    for start in range(0, len(questions), A_TURN):
        for arm in order.sample(list(assistants), len(assistants)):
            assistants[arm].ask(questions[0], max_new_tokens=WARM_UP)
            for question, equal in itertools.product(questions[start : start + A_TURN], (False, True)):
                answer = assistants[arm].ask(question, EQUAL_TOKENS if equal else None, exactly=equal)
                after_first, more = answer.total_s - answer.first_token_s, answer.new_tokens - 1
                timings.append(Timing(
                    arm, question.id, answer.retrieval_s, answer.first_token_s, after_first / more if more else None,
                    answer.total_s, answer.prompt_tokens, answer.new_tokens, question.set, equal,
                ))  # fmt: skip
    return timings


def write_timings(path: Path, timings: Sequence[Timing], about: Mapping[str, Any] | None = None) -> Path:
    """Keeps timings as one JSON file."""
    return write_record(Path(path), Timings(dict(about or {}), list(timings)))


def read_timings(
    path: Path, about: Mapping[str, Any] | None = None, question_set: str = TIMED_SET, equal_length: bool = False
) -> list[Timing]:
    """The timings of a file on a question set, of replies as they came or of equal length.

    There are none where the file is not there, or is not `about` this (None: whatever it is about). A `DataError` says
    why a file cannot be read.
    """
    kept = read_record(path, Timings, "timings") if Path(path).is_file() else Timings({}, [])
    fits = about is None or kept.about == dict(about)
    return [t for t in kept.timings if fits and (t.question_set, t.equal_length) == (question_set, equal_length)]
