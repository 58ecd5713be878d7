"""Which results may be compared: the same experiment, the same questions, and a label that fits the answers.

Arms differ in their weights and in their context, and in nothing else. What a result says about itself is therefore
checked against what its answers show, so that two swapped labels do not pass for a finding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..data import DataError, Result
from ..experiment import ARMS
from ..tuning import with_starts

TUNED = ("customization", "domain_adaptation")
AGAIN = "Delete the file and run the study again."


def check_comparable(results: Sequence[Result]) -> None:
    """Refuses results that were not made with the same questions, data, base model, prompts and profile."""
    if not results:
        raise DataError("there are no results to compare: name at least one arm and one question set")
    of_arm: dict[str, Result] = {}
    asked: dict[str, Result] = {}
    for result in results:
        _check_same_experiment(results[0], result)
        _check_scores(result)
        wrong = _contradiction(result)
        if wrong:
            raise DataError(f"{label(result)} is labelled {result.arm!r}, but {wrong}: labels may be swapped. {AGAIN}")
        _check_same_settings(of_arm.setdefault(result.arm, result), result)
        if result.status == "complete":
            first = asked.setdefault(result.question_set, result)
            if [score.question for score in first.scores] != [score.question for score in result.scores]:
                where = result.question_set
                raise DataError(f"the arms were not asked the same questions of {where}: run the study again")
    _check_prompts([result for result in results if result.status == "complete"])


def label(result: Result) -> str:
    """How messages name a result."""
    return f"{result.arm}/{result.question_set}"


def _check_same_experiment(first: Result, other: Result) -> None:
    if (first.schema, first.experiment) == (other.schema, other.experiment):
        return
    ours, theirs = ({"schema": r.schema, **r.config, "profile": r.profile} for r in (first, other))
    named = ("schema", "data_hash", "model", "model_hash", "dtype", "profile")
    unnamed = "the prompts, the limit of an answer's length, the solved examples or how many questions were asked"
    raise DataError(
        f"{label(first)} of {first.created} and {label(other)} of {other.created} cannot be compared: they differ in "
        f"{_differing(ours, theirs, named) or unnamed}. Keep each experiment in a folder of its own (`study --out`), "
        "or delete the files of the older one."
    )


def _check_same_settings(first: Result, other: Result) -> None:
    """Runs of one arm may differ in the seed of a training, and in nothing else."""
    ours, theirs = dict(_settings(first.config)), dict(_settings(other.config))
    differing = _differing(ours, theirs, [*ours, *theirs])
    if differing:
        raise DataError(
            f"{label(first)} and {label(other)} were made with different settings ({differing}): runs of one arm can "
            "only be combined when nothing but their seed differs. Keep them in separate folders."
        )


def _settings(config: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its path, such as adapter.triage.epochs; without seeds."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{within}{key}.")
        elif key != "seed":
            yield within + key, value


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of the named fields in which two records differ; empty where they agree."""
    wrong = (name for name in names if ours.get(name) != theirs.get(name))
    return next((f"{name} {ours.get(name)!r} against {theirs.get(name)!r}" for name in wrong), "")


def _check_scores(result: Result) -> None:
    """Each answer belongs to the question beside it, and each score is a share."""
    for score in result.scores:
        name, where = score.question.id, f"{label(result)} (seed {result.seed})"
        if score.question.set != result.question_set or score.answer.question_id != name:
            raise DataError(f"{where}: the answer beside question {name!r} belongs to another one. {AGAIN}")
        if not 0 <= score.value <= 1:  # NaN too
            raise DataError(f"{where}: the score of question {name!r} is {score.value}, not between 0 and 1. {AGAIN}")


def _contradiction(result: Result) -> str:
    """What in the record or in the answers contradicts the label; empty where all agrees."""
    arm, k = result.config.get("arm"), result.config.get("rag", {}).get("k")
    if not arm:
        return ""  # a record that does not say what it is can only be compared by its questions
    shown = [len(score.answer.passages) for score in result.scores]
    adapter = result.config.get("adapter") or {}
    if arm.get("name") != result.arm:
        return f"its record says {arm.get('name')!r}"
    if shown and any(shown) != ("rag" in re.split(r"[+:]", result.arm)):
        return "its answers have passages" if any(shown) else "none of its answers has a passage"
    if k is not None and max(shown, default=0) > k or arm.get("k") not in (None, k):
        return f"its answers have up to {max(shown, default=0)} passages, and its record says {k}"
    if ("examples" in result.config) != (arm.get("sees") == "examples"):
        return "its record and its context disagree about solved examples in the prompt"
    if any(part in result.arm for part in TUNED) != bool(adapter):
        return "its record names tuned weights" if adapter else "its record names no tuned weights"
    if result.arm in ARMS and adapter:
        needed, allowed = ARMS[result.arm].recipe(result.question_set), with_starts(ARMS[result.arm].recipes)
        if needed not in adapter or not set(adapter) <= set(allowed):
            return f"it answers with the training {needed}, and its record names {', '.join(adapter)}"
    return ""


def _check_prompts(complete: Sequence[Result]) -> None:
    """Arms that see nothing but the question read the same prompt, whatever their weights."""
    prompts: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for run in complete:
        if (run.config.get("arm") or {}).get("sees") == "nothing":
            for score in run.scores:
                prompts[run.question_set, score.question.id][run.arm] = score.answer.prompt
    for (question_set, question_id), by_arm in prompts.items():
        if len(set(by_arm.values())) > 1:
            raise DataError(
                f"on {question_set}, {' and '.join(by_arm)} should read the same prompt, but do not (question "
                f"{question_id!r}): an arm that sees nothing but the question was shown more. Run the study again."
            )
