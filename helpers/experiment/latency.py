"""How long one answer takes: all arms take turns, one question at a time, so that drift of the machine hits all alike.

    timings = time_arms({"base": Assistant(fm), "rag": Assistant(fm, retriever=retriever)}, questions, repeats=3)
    summary(timings)["rag"]["first_token_s"]          # median, p95
    slower(timings, "rag", "base", "total_s")         # a ratio with its interval

Nothing here asks which arm it holds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from ..analysis import ratio, spread
from ..data import WARM_UP, DataError, Question, Result, write_text

if TYPE_CHECKING:
    from .assistant import Assistant

FILE = "latency.json"  # the job beside the results that it belongs to
PHASES = ("retrieval_s", "first_token_s", "per_token_s", "total_s")
IN_A_ROW = 4  # questions that an arm is asked in its turn: putting other weights in takes longer than an answer


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


def time_arms(
    assistants: Mapping[str, Assistant],
    questions: Sequence[Question],
    repeats: int = 3,
    seed: int = 7,
    progress: bool = False,
) -> list[Timing]:
    """Asks every arm every question, one at a time; the arms take turns, a few questions each, in drawn order.

    Args:
        assistants: The arms by name; each is warmed up with the first question when its first turn comes.
        questions: Questions that are answered in words.
        repeats: How often each arm is asked each question.
        seed: Seeds the order of the arms.
        progress: Whether to show a progress bar.

    Returns:
        One timing an answer, in the order in which they were taken.

    Raises:
        DataError: There is nothing to ask, or a question has choices, which are not timed.
    """
    if not assistants or not questions or repeats < 1:
        raise DataError("timing needs at least one arm, one question and one repeat")
    if any(question.choices for question in questions):
        raise DataError("questions with choices are scored, not answered, and cannot be timed: take another set")
    order = random.Random(seed)
    timings: list[Timing] = []
    total = repeats * len(questions) * len(assistants)
    with tqdm(total=total, desc="timing", unit="answer", disable=not progress) as bar:
        for turn in range(repeats):
            for start in range(0, len(questions), IN_A_ROW):
                for arm in order.sample(list(assistants), len(assistants)):
                    if turn == start == 0:
                        assistants[arm].ask(questions[0], max_new_tokens=WARM_UP)
                    for question in questions[start : start + IN_A_ROW]:
                        timings.append(_time(arm, assistants[arm], question, turn))
                        bar.update()
    return timings


def summary(timings: Sequence[Timing]) -> dict[str, dict[str, dict[str, float] | None]]:
    """Median and 95th percentile of each phase in seconds, by arm; None where a phase did not occur.

    They are taken over questions, each with the median of its rounds, as in `slower` and `in_turns`.
    """
    return {
        arm: {phase: spread(list(by_question(timings, arm, phase).values())) for phase in PHASES}
        for arm in dict.fromkeys(timing.arm for timing in timings)
    }


def slower(timings: Sequence[Timing], first: str, second: str, phase: str = "total_s") -> dict[str, float]:
    """How many times as long the first arm takes as the second: the ratio of medians with its 95 % interval.

    Resampled are questions, each with the median of its rounds.

    Raises:
        DataError: One of the arms was not timed.
    """
    return ratio(*(list(by_question(timings, arm, phase).values()) for arm in (first, second)))


def by_question(timings: Sequence[Timing], arm: str, phase: str = "total_s") -> dict[str, float]:
    """The median over the rounds for each question of an arm: rounds of one question are not independent."""
    if phase not in PHASES:
        raise DataError(f"there is no phase {phase!r}: choose one of {', '.join(PHASES)}")
    asked: dict[str, list[float]] = {}
    for timing in timings:
        seconds = getattr(timing, phase)
        if timing.arm == arm and seconds is not None:
            asked.setdefault(timing.question_id, []).append(seconds)
    return {question: float(np.median(seconds)) for question, seconds in asked.items()}


def write_timings(path: Path, timings: Sequence[Timing], about: Mapping[str, Any] | None = None) -> Path:
    """Keeps timings as one JSON file; `about` holds what a reader must know, such as the machine."""
    record = {"about": dict(about or {}), "timings": [asdict(timing) for timing in timings]}
    return write_text(Path(path), json.dumps(record, indent=1) + "\n")


def read_timings(path: Path, about: Mapping[str, Any] | None = None) -> list[Timing]:
    """The timings of a file that `write_timings` made; none where it is not there, or was not made about the same.

    Args:
        path: The file.
        about: What it must have been made about; None takes it as it is.

    Raises:
        DataError: The file cannot be read.
    """
    if not Path(path).is_file():
        return []
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        timings = [Timing(**row) for row in record["timings"]]
        return timings if about is None or record["about"] == dict(about) else []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} cannot be read as timings ({error}). Delete it and measure again.") from error


def in_turns(results: Sequence[Result], folder: Path) -> list[Result]:
    """The results with the times of the interleaved job beside them, where one was made about them.

    For each arm that took turns, the seconds of its own run on those questions are replaced by the median of its rounds
    for each question, so that drift of the machine between the runs of two arms plays no part. Answers stay.

    Args:
        results: Results that can be compared.
        folder: Where they lie; the job lies beside them as `FILE`.
    """
    timings = read_timings(Path(folder) / FILE, about(results))
    asked = {timing.question_id for timing in timings}
    made = []
    for result in results:
        if asked & {score.question.id for score in result.scores} and "total_s" in result.metrics:
            taken = {
                name: list(by_question(timings, result.arm, name).values()) for name in ("first_token_s", "total_s")
            }
            if all(taken.values()):
                result = replace(result, metrics=result.metrics | taken)
        made.append(result)
    return made


def told(results: Sequence[Result], folder: Path) -> str:
    """Which times `in_turns` gives, in a sentence: those of the turns, or those of the arms' own runs, and why.

    Args:
        results: Results that can be compared.
        folder: Where they lie.

    Raises:
        DataError: The job cannot be read.
    """
    path = Path(folder) / FILE
    took = {timing.arm for timing in read_timings(path, about(results))}
    if took:
        alone = dict.fromkeys(r.arm for r in results if "total_s" in r.metrics and r.arm not in took)
        return "The arms were timed in turns." + (f" Timed in their own runs: {', '.join(alone)}." if alone else "")
    made = f" {FILE} is about other results (an arm was added or trained anew) or another machine." * path.is_file()
    return f"The arms were not timed in turns: the times are those of their own runs.{made}"


def about(results: Sequence[Result]) -> dict[str, Any]:
    """What an interleaved job is made about: the experiment, the weights of each arm (first seed), and the machine."""
    tuned = sorted((r for r in results if "weights" in r.metrics), key=lambda r: -r.seed)  # the first one stays
    weights = {f"{r.arm} on {r.question_set}": r.metrics["weights"] for r in tuned}
    machine = {key: value for key, value in results[0].hardware.items() if key in ("processor", "cores", "gflops")}
    return {"experiment": results[0].experiment, "weights": dict(sorted(weights.items())), "machine": machine}


def _time(arm: str, assistant: Assistant, question: Question, turn: int) -> Timing:
    answer = assistant.ask(question)
    after = answer.new_tokens - 1
    per_token = (answer.total_s - answer.first_token_s) / after if after > 0 else None
    return Timing(
        arm, question.id, turn, answer.retrieval_s, answer.first_token_s, per_token, answer.total_s,
        answer.prompt_tokens, answer.new_tokens,
    )  # fmt: skip
