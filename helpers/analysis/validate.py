"""What goes into a comparison: results of one experiment whose labels fit their answers, and the times of its turns.

Arms differ in their weights and in their context, and in nothing else. What a result says about itself is therefore
checked against what its answers show, so that two swapped labels do not pass for a finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import DataError, Result
from ..experiment import ARMS, LATENCY_FILE, SHOWN, Timing, claims_hash, read_timings
from ..tuning import with_starts
from .intervals import Interval, ratio

MADE_OF = ("data_hash", "model", "model_hash", "dtype")
SETTINGS = ("model", "model_hash", "dtype", "device", "arm", "rag", "examples")  # of an arm, in every world
TUNED = ("customization", "domain_adaptation")
AGAIN = "Delete the file and run the study again."


def check_comparable(results: Sequence[Result]) -> None:
    """Refuses results that were not made with the same questions, data, base model, prompts, profile and claims.

    Several seeds are several worlds: data and questions are the same within each, the arms' settings in all of them.

    Raises:
        DataError: They cannot be compared; the message says what differs, or whose label does not fit.
    """
    if not results:
        raise DataError("there are no results to compare: name at least one arm and one question set")
    worlds: dict[int, Result] = {}
    of_arm: dict[tuple[str, int], Result] = {}
    asked: dict[tuple[str, int], Result] = {}
    for result in results:
        _check_same_experiment(worlds.setdefault(result.seed, result), result)
        if result.claims not in ("", claims_hash()) or result.claims != results[0].claims:
            raise DataError(
                f"{label(result)} was not made with the claims of rules/claims.yaml, which are written down before the "
                "runs. Restore that file with git, or run the study again in another folder."
            )
    _check_worlds(list(worlds.values()))
    for result in results:
        _check_scores(result)
        if wrong := _contradiction(result):
            raise DataError(f"{label(result)} is labelled {result.arm!r}, but {wrong}: labels may be swapped. {AGAIN}")
        same = of_arm.setdefault((result.arm, result.seed), result)
        first = next(each for (arm, _), each in of_arm.items() if arm == result.arm)
        if different := _differing(same.config, result.config) or _differing(_settings(first), _settings(result)):
            raise DataError(
                f"{label(same)} and {label(result)} were made with different settings ({different}): keep each choice "
                "of settings in a folder of its own."
            )
        if result.status == "complete":
            first = asked.setdefault((result.question_set, result.seed), result)
            if [score.question for score in first.scores] != [score.question for score in result.scores]:
                raise DataError(
                    f"{label(first)} and {label(result)} were not asked the same questions: delete the older file, and "
                    "run the study again."
                )


def label(result: Result) -> str:
    """How messages name a result."""
    return f"{result.arm}/{result.question_set}"


def _check_same_experiment(first: Result, other: Result, made_of: Sequence[str] = MADE_OF) -> None:
    ours, theirs = (
        {"schema": r.schema} | {name: r.config.get(name) for name in made_of} | {"profile": r.profile}
        for r in (first, other)
    )
    if ours == theirs and (first.experiment == other.experiment or made_of != MADE_OF):
        return
    unnamed = "the prompts, the limit of an answer's length, the solved examples or how many questions were asked"
    raise DataError(
        f"{label(first)} of {first.created} and {label(other)} of {other.created} cannot be compared: they differ in "
        f"{_differing(ours, theirs) or unnamed}. Keep each experiment in a folder of its own (`study --out`), "
        "or delete the files of the older one."
    )


def _check_worlds(firsts: Sequence[Result]) -> None:
    """Each world has its own data, and everything else is the same in all of them."""
    for other in firsts[1:]:
        _check_same_experiment(firsts[0], other, MADE_OF[1:])
    if len({first.config.get("data_hash") for first in firsts}) < len(firsts):
        seeds = sorted(first.seed for first in firsts)
        others = " and ".join(f"*.seed{seed}.*" for seed in seeds[1:])
        raise DataError(
            f"the results have the seeds {', '.join(map(str, seeds))} and the same data, and a comparison takes one "
            f"seed a data set: to compare seed {seeds[0]}, move the files named {others} to a folder of their own."
        )


def _settings(result: Result) -> dict[str, Any]:
    """The settings of an arm that are the same in every world."""
    trained = {name: {**each, "seed": None} for name, each in (result.config.get("adapter") or {}).items()}
    return {name: result.config.get(name) for name in SETTINGS} | {"adapter": trained}


def _differing(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first field in which two records differ, such as adapter.triage.epochs; empty where they agree."""
    ours, theirs = (pd.json_normalize(record).to_dict("records")[0] for record in (first, other))
    wrong = (name for name in ours | theirs if ours.get(name) != theirs.get(name))
    return next((f"{name} {ours.get(name)!r} against {theirs.get(name)!r}" for name in wrong), "")


def _check_scores(result: Result) -> None:
    """Each answer belongs to the question beside it, and each score is a share."""
    for score in result.scores:
        name = score.question.id
        if score.question.set != result.question_set or score.answer.question_id != name:
            raise DataError(f"{label(result)}: the answer beside question {name!r} belongs to another one. {AGAIN}")
        if not 0 <= score.value <= 1:  # NaN too
            raise DataError(f"{label(result)}: the score of {name!r} is {score.value}, not between 0 and 1. {AGAIN}")


def _contradiction(result: Result) -> str:
    """What in the record or in the answers contradicts the label; empty where all agrees."""
    arm, k = result.config.get("arm"), result.config.get("rag", {}).get("k")
    if not arm:
        return ""  # a record that does not say what it is can only be compared by its questions
    shown = [len(score.answer.passages) for score in result.scores]
    adapter = result.config.get("adapter") or {}
    if arm.get("name") != result.arm:
        return f"its record says {arm.get('name')!r}"
    sees = str(arm.get("sees")).split("+")
    if shown and any(shown) != any(part in SHOWN for part in sees):
        return "its answers have passages" if any(shown) else "none of its answers has a passage"
    if k is not None and max(shown, default=0) > k or arm.get("k") not in (None, k):
        return f"its answers have up to {max(shown, default=0)} passages, and its record says {k}"
    if ("examples" in result.config) != ("examples" in sees):
        return "its record and its context disagree about solved examples in the prompt"
    if any(part in result.arm for part in TUNED) != bool(adapter):
        return "its record names tuned weights" if adapter else "its record names no tuned weights"
    if result.arm in ARMS and adapter:
        needed, allowed = ARMS[result.arm].recipe(result.question_set), with_starts(ARMS[result.arm].recipes)
        if needed not in adapter or not set(adapter) <= set(allowed):
            return f"it answers with the training {needed}, and its record names {', '.join(adapter)}"
    return ""


def by_question(timings: Sequence[Timing], arm: str, phase: str = "total_s") -> list[float]:
    """An arm's seconds for each question, the median of its rounds: rounds of one question are not independent."""
    rounds: dict[str, list[float]] = defaultdict(list)
    for timing in timings:
        if timing.arm == arm and (seconds := getattr(timing, phase)) is not None:
            rounds[timing.question_id].append(seconds)
    return [float(np.median(seconds)) for seconds in rounds.values()]


def latency_ratio(timings: Sequence[Timing], first: str, second: str, phase: str = "total_s") -> Interval:
    """How many times as long the first arm takes as the second: the ratio of medians over questions."""
    return ratio(by_question(timings, first, phase), by_question(timings, second, phase))


def interleaved(results: Sequence[Result], folder: Path) -> tuple[list[Result], str]:
    """The results with the times of the interleaved run, where there is one that fits them, and a sentence on that.

    For each arm that took turns, the seconds of its own run are replaced by the median of its rounds for each
    question, so that drift of the machine between the runs of two arms plays no part. Answers stay.
    """
    path = folder / LATENCY_FILE
    for seed in dict.fromkeys(result.seed for result in results):
        if timings := read_timings(path, timing_conditions([r for r in results if r.seed == seed])):
            break
    else:
        why = f" {LATENCY_FILE} is about other results (an arm was added or trained anew) or another machine."
        own = "The arms were not timed in turns: the times are those of their own runs."
        return list(results), own + why * path.is_file()
    asked, arms = {timing.question_id for timing in timings}, {timing.arm for timing in timings}
    updated = list(results)
    for place, result in enumerate(results):
        if "total_s" in result.metrics and result.arm in arms:
            phases = ("first_token_s", "total_s")
            if result.seed != seed:  # the turns were those of one world
                kept = {name: value for name, value in result.metrics.items() if name not in phases}
                updated[place] = replace(result, metrics=kept)
            elif asked & {s.question.id for s in result.scores}:
                seconds = {phase: by_question(timings, result.arm, phase) for phase in phases}
                updated[place] = replace(result, metrics=result.metrics | seconds)
    alone = dict.fromkeys(r.arm for r in results if "total_s" in r.metrics and r.arm not in arms)
    return updated, "The arms were timed in turns." + f" Timed in their own runs: {', '.join(alone)}." * bool(alone)


def timing_conditions(results: Sequence[Result]) -> Mapping[str, Any]:
    """What timings depend on: the experiment, the weights of each arm, and the machine."""
    weights = {f"{r.arm} on {r.question_set}": r.metrics["weights"] for r in results if "weights" in r.metrics}
    machine = {key: value for key, value in results[0].hardware.items() if key in ("processor", "cores", "gflops")}
    return {"experiment": results[0].experiment, "weights": dict(sorted(weights.items())), "machine": machine}
