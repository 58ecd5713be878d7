"""Which results may be compared: the same experiment, the same questions, and a label that fits the answers.

Arms differ in their weights and in their context, and in nothing else. What a result says about itself is therefore
checked against what its answers show, so that two swapped labels do not pass for a finding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ..data import DataError, Result
from ..experiment import ARMS
from ..tuning import with_starts

TUNED = ("customization", "domain_adaptation")
AGAIN = "Delete the file and run the study again."


def check_comparable(results: Sequence[Result]) -> None:
    """Refuses results that were not made with the same questions, data, base model, prompts and profile.

    Raises:
        DataError: There are none, or two of them differ, or one's answers contradict its label; the message says how.
    """
    if not results:
        raise DataError("there are no results to compare: name at least one arm and one question set")
    for result in results:
        _check_experiment(results[0], result)
        _check_scores(result)
        wrong = _contradiction(result)
        if wrong:
            raise DataError(f"{label(result)} is labelled {result.arm!r}, but {wrong}: labels may be swapped. {AGAIN}")
    _check_settings(results)
    complete = [result for result in results if result.status == "complete"]
    for question_set in dict.fromkeys(result.question_set for result in complete):
        runs = [result for result in complete if result.question_set == question_set]
        if len({tuple(score.question for score in run.scores) for run in runs}) > 1:
            raise DataError(f"the arms were not asked the same questions of {question_set}: run the study again")
        _check_prompts(question_set, runs)


def label(result: Result) -> str:
    """How messages name a result."""
    return f"{result.arm}/{result.question_set}"


def _check_experiment(first: Result, other: Result) -> None:
    if other.schema != first.schema:
        raise DataError(f"{label(first)} has schema {first.schema} and {label(other)} {other.schema}. {AGAIN}")
    if other.experiment != first.experiment:
        raise DataError(
            f"{label(first)} of {first.created} and {label(other)} of {other.created} cannot be compared: they differ "
            f"in {_difference(first, other)}. Keep each experiment in a folder of its own (`study --out`), or delete "
            "the files of the older one."
        )


def _difference(first: Result, other: Result) -> str:
    """What two experiments differ in."""
    ours, theirs = ({"profile": each.profile} | each.config for each in (first, other))
    for name in ("data_hash", "model", "model_hash", "dtype", "profile"):
        if ours.get(name) != theirs.get(name):
            return f"{name} {ours.get(name)!r} against {theirs.get(name)!r}"
    return "the prompts, the limit of an answer's length, the solved examples or how many questions were asked"


def _check_scores(result: Result) -> None:
    """Each answer belongs to the question beside it, and each score is a share."""
    for score in result.scores:
        name = score.question.id
        if score.question.set != result.question_set or score.answer.question_id != name:
            raise DataError(f"{label(result)}: the answer beside question {name!r} belongs to another one. {AGAIN}")
        if not 0 <= score.value <= 1:  # NaN too
            raise DataError(
                f"{label(result)} (seed {result.seed}): the score of question {name!r} is {score.value}, not a number "
                f"between 0 and 1. {AGAIN}"
            )


def _contradiction(result: Result) -> str:
    """What in the record or in the answers contradicts the label; empty where all agrees."""
    arm, k = result.config.get("arm"), result.config.get("rag", {}).get("k")
    if not isinstance(arm, dict):
        return ""  # a record that does not say what it is can only be compared by its questions
    if arm.get("name") != result.arm:
        return f"its record says {arm.get('name')!r}"
    shown = [len(score.answer.passages) for score in result.scores]
    if shown and any(shown) != ("rag" in re.split(r"[+:]", result.arm)):
        return "its answers have passages" if any(shown) else "none of its answers has a passage"
    if k is not None and max(shown, default=0) > k:
        return f"one of its answers has {max(shown)} passages where its record says {k}"
    if ("examples" in result.config) != (arm.get("sees") == "examples"):
        return "its record and its context disagree about solved examples in the prompt"
    if arm.get("k") and arm["k"] != k:
        return f"it should see {arm['k']} passages and its record says {k}"
    adapter = result.config.get("adapter") or {}
    if any(part in result.arm for part in TUNED) != bool(adapter):
        return "its record names tuned weights" if adapter else "its record names no tuned weights"
    if result.arm in ARMS and adapter:
        needed = ARMS[result.arm].recipe(result.question_set)
        if needed not in adapter:
            return f"it answers with the training {needed}, and its record names {', '.join(adapter)}"
        strange = set(adapter) - set(with_starts(ARMS[result.arm].recipes))
        if strange:
            return f"its record names trainings that it does not use: {', '.join(sorted(strange))}"
    return ""


def _check_settings(results: Sequence[Result]) -> None:
    """Refuses runs of one arm that were made with different settings; only the seed of a training may differ."""
    first: dict[str, Result] = {}
    for result in results:
        one = first.setdefault(result.arm, result)
        ours, theirs = _without_seeds(one.config), _without_seeds(result.config)
        for key in [*ours, *theirs]:
            if ours.get(key) != theirs.get(key):
                raise DataError(
                    f"{label(one)} and {label(result)} were made with different settings (`{key}`): runs of one arm "
                    "can only be combined when nothing but their seed differs. Keep them in separate folders."
                )


def _without_seeds(settings: Any) -> Any:
    """The same settings without any `seed`."""
    if not isinstance(settings, dict):
        return settings
    return {key: _without_seeds(value) for key, value in settings.items() if key != "seed"}


def _check_prompts(question_set: str, runs: Sequence[Result]) -> None:
    """Arms that see nothing but the question read the same prompt, whatever their weights."""
    prompts: dict[str, dict[str, str]] = defaultdict(dict)
    for run in runs:
        arm = run.config.get("arm")
        if isinstance(arm, dict) and arm.get("sees") == "nothing":
            for score in run.scores:
                prompts[score.question.id][run.arm] = score.answer.prompt
    for question_id, by_arm in prompts.items():
        if len(set(by_arm.values())) > 1:
            raise DataError(
                f"on {question_set}, {' and '.join(by_arm)} should read the same prompt, but do not (question "
                f"{question_id!r}): an arm that sees nothing but the question was shown more. Run the study again."
            )
