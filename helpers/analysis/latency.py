"""What was timed: medians and ratios, the interleaved times put into the results, and what an update takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import DataError, Result
from ..experiment import LATENCY_FILE, PHASES, Timing, read_timings
from .intervals import Interval, ratio


def spread(seconds: Sequence[float] | None) -> dict[str, float] | None:
    """Median and 95th percentile of times in seconds; None where nothing was timed."""
    if not seconds:
        return None
    if not np.isfinite(seconds).all():
        raise DataError("a time is not a number. Delete the result file that holds it, and run the study again.")
    return {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95))}


def latency_summary(timings: Sequence[Timing]) -> dict[str, dict[str, dict[str, float] | None]]:
    """Median and 95th percentile over questions of each phase, in seconds, by arm; None where a phase did not occur."""
    arms = dict.fromkeys(timing.arm for timing in timings)
    return {arm: {phase: spread(by_question(timings, arm, phase)) for phase in PHASES} for arm in arms}


def latency_ratio(timings: Sequence[Timing], first: str, second: str, phase: str = "total_s") -> Interval:
    """How many times as long the first arm takes as the second: the ratio of medians over questions."""
    return ratio(by_question(timings, first, phase), by_question(timings, second, phase))


def by_question(timings: Sequence[Timing], arm: str, phase: str = "total_s") -> list[float]:
    """An arm's seconds for each question, the median of its rounds: rounds of one question are not independent."""
    if phase not in PHASES:
        raise DataError(f"there is no phase {phase!r}: choose one of {', '.join(PHASES)}")
    rows = [(timing.question_id, getattr(timing, phase)) for timing in timings if timing.arm == arm]
    table = pd.DataFrame(rows, columns=["question", "seconds"]).astype({"seconds": float})
    return table.groupby("question", sort=False)["seconds"].median().dropna().tolist()


def interleaved(results: Sequence[Result], folder: Path) -> tuple[list[Result], str]:
    """The results with the times of the interleaved run, where there is one that fits them, and a sentence on that.

    For each arm that took turns, the seconds of its own run are replaced by the median of its rounds for each
    question, so that drift of the machine between the runs of two arms plays no part. Answers stay.
    """
    path = folder / LATENCY_FILE
    timings = read_timings(path, timing_conditions(results))
    if not timings:
        why = f" {LATENCY_FILE} is about other results (an arm was added or trained anew) or another machine."
        own = "The arms were not timed in turns: the times are those of their own runs."
        return list(results), own + why * path.is_file()
    asked, arms = {timing.question_id for timing in timings}, {timing.arm for timing in timings}
    updated = list(results)
    for place, result in enumerate(results):
        if "total_s" in result.metrics and result.arm in arms and asked & {s.question.id for s in result.scores}:
            seconds = {phase: by_question(timings, result.arm, phase) for phase in ("first_token_s", "total_s")}
            updated[place] = replace(result, metrics=result.metrics | seconds)
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
    changed = {arm: row["updates"] for arm, row in compared.items() if "update" in row.get("updates", {})}
    return {
        arm: {
            **figures["accuracy"], "seconds": figures["update"]["effort"]["wall_s"],
            "fresh": "reembedded" in figures["update"], "estimated": not figures["update"].get("measured", True),
        }
        for arm, figures in changed.items() if "effort" in figures["update"]
    }  # fmt: skip
