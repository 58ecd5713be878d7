"""What goes into a comparison: results of one experiment whose labels fit their answers, and the times of its turns.

What a result says about itself is checked against its answers, so that two swapped labels do not pass for a finding.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..data import DataError, Result
from ..experiment import ARMS, SHOWN, claims_hash
from ..tuning import with_starts

MADE_OF = ("model", "model_hash", "dtype")  # the same in every world
UNNAMED = "the prompts, the limit of an answer's length, the solved examples or how many questions were asked"
TUNED = ("customization", "domain_adaptation")
AGAIN = "Delete the file and run the study again."


def check_comparable(results: Sequence[Result]) -> None:
    """Refuses results that were not made with the same questions, data, base model, prompts, profile and claims.

    Several seeds are several worlds: data and questions are the same within each, the arms' settings in all of them.
    A `DataError` says what differs, or whose label does not fit.
    """
    if not results:
        raise DataError("there are no results to compare: name at least one arm and one question set")
    worlds: dict[int, Result] = {}
    of_arm: dict[str, Result] = {}
    asked: dict[tuple[str, int], Result] = {}
    for result in results:
        world, same = worlds.setdefault(result.seed, result), of_arm.setdefault(result.arm, result)
        first, names = (results[0], MADE_OF) if world is result else (world, (*MADE_OF, "data_hash"))
        made_of = (
            {"schema": r.schema, "profile": r.profile} | {n: r.config.get(n) for n in names} for r in (first, result)
        )
        differs = _differing(*made_of)
        if differs or (world is first and first.experiment != result.experiment):
            raise DataError(
                f"{label(first)} of {first.created} and {label(result)} of {result.created} cannot be compared: they "
                f"differ in {differs or UNNAMED}. Keep each experiment in a folder of its own (`study --out`), "
                "or delete the files of the older one."
            )
        if result.claims not in ("", claims_hash()) or result.claims != results[0].claims:
            raise DataError(
                f"{label(result)} was not made with the claims of rules/claims.yaml, which are written down before the "
                "runs. Restore that file with git, or run the study again in another folder."
            )
        if wrong := _contradiction(result):
            raise DataError(f"{label(result)} is labelled {result.arm!r}, but {wrong}: labels may be swapped. {AGAIN}")
        if different := _differing(_settings(same), _settings(result)):
            raise DataError(
                f"{label(same)} and {label(result)} were made with different settings ({different}): keep each choice "
                "of settings in a folder of its own."
            )
        first = asked.setdefault((result.question_set, result.seed), result) if result.status == "complete" else result
        if [score.question for score in first.scores] != [score.question for score in result.scores]:
            raise DataError(
                f"{label(first)} and {label(result)} were not asked the same questions: delete the older file, and "
                "run the study again."
            )
    if len({first.config.get("data_hash") for first in worlds.values()}) < len(worlds):
        seeds = sorted(worlds)
        others = " and ".join(f"*.seed{seed}.*" for seed in seeds[1:])
        raise DataError(
            f"the results have the seeds {', '.join(map(str, seeds))} and the same data, and a comparison takes one "
            f"seed a data set: to compare seed {seeds[0]}, move the files named {others} to a folder of their own."
        )


def label(result: Result) -> str:
    """How messages name a result."""
    return f"{result.arm}/{result.question_set}"


def _settings(result: Result) -> dict[str, Any]:
    """The settings of an arm that are the same in every world."""
    trained = {name: {**each, "seed": None} for name, each in (result.config.get("adapter") or {}).items()}
    return {**result.config, "data_hash": None, "adapter": trained}


def _differing(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first field in which two records differ, such as adapter.triage.epochs; empty where they agree."""
    if first == other:
        return ""
    ours, theirs = (pd.json_normalize(record).to_dict("records")[0] for record in (first, other))
    wrong = (name for name in ours | theirs if ours.get(name) != theirs.get(name))
    return next((f"{name} {ours.get(name)!r} against {theirs.get(name)!r}" for name in wrong), "")


def _contradiction(result: Result) -> str:
    """What in the record or in the answers contradicts the label; empty where all agrees."""
    arm, k, known = result.config.get("arm"), result.config.get("rag", {}).get("k"), ARMS.get(result.arm)
    if not arm:
        return ""  # a record that does not say what it is can only be compared by its questions
    sees, adapter = str(arm.get("sees")).split("+"), result.config.get("adapter") or {}
    shown = [len(score.answer.passages) for score in result.scores]
    most, tuned = max(shown, default=0), any(part in result.arm for part in TUNED)
    needed, allowed = (known.recipe(result.question_set), with_starts(known.recipes)) if known else ("", [])
    wrong = {
        f"its record says {arm.get('name')!r}": arm.get("name") != result.arm,
        "it has answers to questions of other sets": {s.question.set for s in result.scores} - {result.question_set},
        "its answers have passages": most and not set(sees) & set(SHOWN),
        "none of its answers has a passage": shown and not most and set(sees) & set(SHOWN),
        f"its answers have up to {most} passages, and its record says {k}":
            k is not None and most > k or arm.get("k") not in (None, k),
        "its record and its context disagree about solved examples in the prompt":
            ("examples" in result.config) != ("examples" in sees),
        "its record names tuned weights": adapter and not tuned,
        "its record names no tuned weights": tuned and not adapter,
        f"it answers with the training {needed}, and its record names {', '.join(adapter)}":
            known and adapter and not {needed} <= set(adapter) <= set(allowed),
    }  # fmt: skip
    return next((what for what, holds in wrong.items() if holds), "")


def timing_conditions(results: Sequence[Result]) -> Mapping[str, Any]:
    """What timings depend on, one world's: the experiment, the weights of each arm, and the machine."""
    weights = {f"{r.arm} on {r.question_set}": r.metrics["weights"] for r in results if "weights" in r.metrics}
    machine = {key: value for key, value in results[0].hardware.items() if key in ("processor", "cores", "gflops")}
    return {"experiment": results[0].experiment, "weights": dict(sorted(weights.items())), "machine": machine}
