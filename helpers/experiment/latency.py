"""How long one answer takes: all arms take turns, one question at a time, so that drift of the machine hits all alike.

    timings = time_arms({"base": Assistant(fm), "rag": Assistant(fm, retriever=retriever)}, questions, repeats=3)

What follows from timings (medians, ratios, intervals) is in `helpers.analysis`. Nothing here asks which arm it holds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import WARM_UP, DataError, Question
from .assistant import Assistant
from .results import read_record, write_record

LATENCY_FILE = "latency.json"  # the timings beside the results that they belong to
PHASES = ("retrieval_s", "first_token_s", "per_token_s", "total_s")


@dataclass(frozen=True)
class Timing:
    """One answer, asked alone. Seconds; `first_token_s` and `total_s` count from the question and include retrieval.

    `per_token_s` is the mean time of each token after the first, None where there was only one.
    """

    arm: str
    question_id: str
    round: int
    retrieval_s: float
    first_token_s: float
    per_token_s: float | None
    total_s: float
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class Timings:
    """What the file of timings holds; `about` is what they depend on, such as the machine."""

    about: dict[str, Any]
    timings: list[Timing]


def time_arms(
    assistants: Mapping[str, Assistant], questions: Sequence[Question], repeats: int = 3, seed: int = 7
) -> list[Timing]:
    """Asks every arm every question `repeats` times, one at a time; the arms take turns in an order drawn by `seed`.

    Each arm is warmed up with the first question. The timings are in the order in which they were taken.

    Raises:
        DataError: There is nothing to ask, or a question has choices, which are scored and not answered.
    """
    if not assistants or not questions or repeats < 1:
        got = f"{len(assistants)} arms, {len(questions)} questions, {repeats} repeats"
        raise DataError(f"timing needs at least one of each. Got {got}: name arms, and a set that has questions")
    if any(question.choices for question in questions):
        raise DataError("questions with choices are scored, not answered, and cannot be timed: take another set")
    for assistant in assistants.values():
        assistant.ask(questions[0], max_new_tokens=WARM_UP)
    order = random.Random(seed)
    turns = [
        (arm, question, turn)
        for turn in range(repeats)
        for question in questions
        for arm in order.sample(list(assistants), len(assistants))
    ]
    return [_time(arm, assistants[arm], question, turn) for arm, question, turn in turns]


def _time(arm: str, assistant: Assistant, question: Question, turn: int) -> Timing:
    answer = assistant.ask(question)
    after_first = answer.new_tokens - 1
    per_token = (answer.total_s - answer.first_token_s) / after_first if after_first > 0 else None
    return Timing(
        arm, question.id, turn, answer.retrieval_s, answer.first_token_s, per_token, answer.total_s,
        answer.prompt_tokens, answer.new_tokens,
    )  # fmt: skip


def write_timings(path: Path, timings: Sequence[Timing], about: Mapping[str, Any] | None = None) -> Path:
    """Keeps timings as one JSON file."""
    return write_record(Path(path), Timings(dict(about or {}), list(timings)))


def read_timings(path: Path, about: Mapping[str, Any] | None = None) -> list[Timing]:
    """The timings of a file; none where it is not there, or is not `about` this (None: whatever it is about).

    Raises:
        DataError: The file cannot be read.
    """
    if not Path(path).is_file():
        return []
    kept = read_record(path, Timings, "timings")
    return kept.timings if about is None or kept.about == dict(about) else []
