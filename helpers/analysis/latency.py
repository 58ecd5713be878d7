"""What was timed: medians and ratios, the interleaved times put into the results, and what an update takes.

timings = time_arms(assistants, questions, repeats=3)        # of helpers.experiment
latency_summary(timings)["rag"]["first_token_s"]             # median, p95
latency_ratio(timings, "rag", "base", "total_s")             # a ratio with its interval
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data import DataError, Result
from ..experiment import LATENCY_FILE, PHASES, Timing, read_timings
from .intervals import Interval, ratio


def spread(seconds: Sequence[float] | None) -> dict[str, float] | None:
    """Median and 95th percentile of times in seconds; None where nothing was timed.

    Raises:
        DataError: A time is not a number.
    """
    if not seconds:
        return None
    if not np.isfinite(seconds).all():
        raise DataError("a time is not a number. Delete the result file that holds it, and run the study again.")
    return {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95))}


def latency_summary(timings: Sequence[Timing]) -> dict[str, dict[str, dict[str, float] | None]]:
    """Median and 95th percentile over questions of each phase, in seconds, by arm; None where a phase did not occur."""
    return {
        arm: {phase: spread(list(by_question(timings, arm, phase).values())) for phase in PHASES}
        for arm in dict.fromkeys(timing.arm for timing in timings)
    }


def latency_ratio(timings: Sequence[Timing], first: str, second: str, phase: str = "total_s") -> Interval:
    """How many times as long the first arm takes as the second: the ratio of medians over questions.

    Raises:
        DataError: One of the arms was not timed.
    """
    return ratio(*(list(by_question(timings, arm, phase).values()) for arm in (first, second)))


def by_question(timings: Sequence[Timing], arm: str, phase: str = "total_s") -> dict[str, float]:
    """The median over the rounds for each question of an arm: rounds of one question are not independent."""
    if phase not in PHASES:
        raise DataError(f"there is no phase {phase!r}: choose one of {', '.join(PHASES)}")
    rounds: dict[str, list[float]] = {}
    for timing in timings:
        seconds = getattr(timing, phase)
        if timing.arm == arm and seconds is not None:
            rounds.setdefault(timing.question_id, []).append(seconds)
    return {question: float(np.median(seconds)) for question, seconds in rounds.items()}


def interleaved(results: Sequence[Result], folder: Path) -> tuple[list[Result], str]:
    """The results with the times of the interleaved run, where there is one that fits them, and a sentence on that.

    For each arm that took turns, the seconds of its own run are replaced by the median of its rounds for each
    question, so that drift of the machine between the runs of two arms plays no part. Answers stay.

    Raises:
        DataError: The timings, `LATENCY_FILE` in the folder of the results, cannot be read.
    """
    path = folder / LATENCY_FILE
    timings = read_timings(path, timing_conditions(results))
    asked, arms = {timing.question_id for timing in timings}, {timing.arm for timing in timings}
    updated = list(results)
    for place, result in enumerate(results):
        if "total_s" in result.metrics and result.arm in arms and asked & {s.question.id for s in result.scores}:
            phases = ("first_token_s", "total_s")
            seconds = {phase: list(by_question(timings, result.arm, phase).values()) for phase in phases}
            updated[place] = replace(result, metrics=result.metrics | seconds)
    if not timings:
        why = f" {LATENCY_FILE} is about other results (an arm was added or trained anew) or another machine."
        return (
            updated,
            "The arms were not timed in turns: the times are those of their own runs." + why * path.is_file(),
        )
    alone = dict.fromkeys(r.arm for r in results if "total_s" in r.metrics and r.arm not in arms)
    return updated, "The arms were timed in turns." + f" Timed in their own runs: {', '.join(alone)}." * bool(alone)


def timing_conditions(results: Sequence[Result]) -> dict[str, Any]:
    """What timings depend on: the experiment, the weights of each arm (first seed), and the machine."""
    tuned = sorted((r for r in results if "weights" in r.metrics), key=lambda r: -r.seed)  # the first one stays
    weights = {f"{r.arm} on {r.question_set}": r.metrics["weights"] for r in tuned}
    machine = {key: value for key, value in results[0].hardware.items() if key in ("processor", "cores", "gflops")}
    return {"experiment": results[0].experiment, "weights": dict(sorted(weights.items())), "machine": machine}


def freshness_steps(compared: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each arm of `Comparison.table` what absorbing the changes took, and how it answers about what changed.

    `fresh` marks an arm that was asked after its index was brought up to date, unlike one that answered as it was
    trained before the change; `estimated` marks seconds that are those of the first preparation.
    """
    steps = {}
    for arm, row in compared.items():
        figures = row.get("updates", {})
        update = figures.get("update", {})
        if "effort" in update:
            steps[arm] = {
                **figures["accuracy"], "seconds": update["effort"]["wall_s"], "fresh": "reembedded" in update,
                "estimated": not update.get("measured", True),
            }  # fmt: skip
    return steps
