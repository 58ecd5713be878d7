"""Which results may stand side by side: the same experiment, the same questions, and a label that fits the answers.

Arms differ in their weights and in their context, and in nothing else. What a result says about itself is therefore
checked against what its answers show, so that two swapped labels do not pass for a finding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data import DataError, Result
from ..experiment import ARMS, file_name, read_results
from ..tuning import with_starts
from .intervals import check_values

TUNED = ("customization", "domain_adaptation")
ORDER = tuple(ARMS)
AGAIN = "Delete the file and run the study again."


def check_comparable(results: Sequence[Result]) -> None:
    """Refuses results that were not made with the same questions, data, base model, prompts and profile.

    Raises:
        DataError: There are none, or two of them differ, or one's answers contradict its label; the message says how.
    """
    if not results:
        raise DataError("there are no results to compare: name at least one arm and one question set")
    for other in results[1:]:
        _check_experiment(results[0], other)
    for result in results:
        check_identity(result)
    _check_settings(results)
    complete = [result for result in results if result.status == "complete"]
    for question_set in dict.fromkeys(result.question_set for result in complete):
        runs = [result for result in complete if result.question_set == question_set]
        if len({tuple(score.question for score in run.scores) for run in runs}) > 1:
            raise DataError(f"the arms were not asked the same questions of {question_set}: run the study again")
        _check_same_prompts(question_set, runs)


def _check_settings(results: Sequence[Result]) -> None:
    """Refuses runs of one arm that were made with different settings; only the seed may differ."""
    first: dict[str, Result] = {}
    for result in results:
        one = first.setdefault(result.arm, result)
        ours, theirs = (_settings(each) for each in (one, result))
        for key in dict.fromkeys([*ours, *theirs]):
            if ours.get(key) != theirs.get(key):
                raise DataError(
                    f"{_name(one)} and {_name(result)} were made with different settings (`{key}`): runs of one arm "
                    "can only be put together when nothing but their seed differs. Keep them in folders of their own."
                )


def _settings(result: Result) -> dict[str, Any]:
    """What a result was made with, the seed of its trainings aside."""
    made = dict(result.config)
    adapter = made.get("adapter")
    if isinstance(adapter, dict):
        made["adapter"] = {
            name: {k: v for k, v in settings.items() if k != "seed"} if isinstance(settings, dict) else settings
            for name, settings in adapter.items()
        }
    return made


def has_results(folder: Path | str) -> bool:
    """Whether a folder holds any result; a folder that is not there holds none."""
    return any(Path(folder).glob("*.seed*.json"))


def read_comparable(folder: Path) -> list[Result]:
    """Every result of a folder, arm by arm in the kit's order, after the check that they belong together.

    Raises:
        DataError: See `results.read_results` and `check_comparable`; or a file was renamed, or its label changed.
    """
    found = read_results(folder)
    for result in found:
        name = file_name(result.arm, result.question_set, result.seed, result.experiment)
        if not (Path(folder) / name).is_file():
            raise DataError(
                f"{_name(result)} (seed {result.seed}) stands in {folder} under another name than {name}: the file was "
                f"renamed, or its label changed. {AGAIN}"
            )
    check_comparable(found)
    return sorted(found, key=lambda result: ORDER.index(result.arm) if result.arm in ORDER else len(ORDER))


def check_identity(result: Result) -> None:
    """Refuses a result whose label contradicts its own record or answers.

    The label is compared with the arm in `config`; what the arm sees with the passages and examples that its answers
    carry; an adapter with an arm that is tuned; and every answer with the question beside it. Scores are checked too.

    Raises:
        DataError: One of them disagrees; the message says which.
    """
    for score in result.scores:
        if score.question.set != result.question_set or score.answer.question_id != score.question.id:
            raise DataError(
                f"{_name(result)}: the answer beside question {score.question.id!r} is another one's. {AGAIN}"
            )
    check_values(result.scores, f"{_name(result)} (seed {result.seed}): ")
    arm = result.config.get("arm")
    if not isinstance(arm, dict):
        return  # a record that does not say what it is can only be compared by its questions
    wrong = _contradiction(result, arm)
    if wrong:
        raise DataError(f"{_name(result)} is labelled {result.arm!r}, but {wrong}: labels may be swapped. {AGAIN}")


def _contradiction(result: Result, arm: dict[str, Any]) -> str:
    """What in the record contradicts the label; empty where all agrees."""
    if arm.get("name") != result.arm:
        return f"its record says {arm.get('name')!r}"
    passages = any(score.answer.passages for score in result.scores)
    if passages != ("rag" in re.split(r"[+:]", result.arm)) and result.scores:
        return "its answers carry passages" if passages else "no answer of it carries a passage"
    most = max((len(score.answer.passages) for score in result.scores), default=0)
    if most > result.config.get("rag", {}).get("k", most):
        return f"an answer of it carries {most} passages where its record says {result.config['rag']['k']}"
    if ("examples" in result.config) != (arm.get("sees") == "examples"):
        return "its record and its context disagree about solved examples in the prompt"
    if arm.get("k") and arm["k"] != result.config.get("rag", {}).get("k"):
        return f"it should see {arm['k']} passages and its record says {result.config.get('rag', {}).get('k')}"
    adapter = result.config.get("adapter") or {}
    tuned = any(part in result.arm for part in TUNED)
    if tuned != bool(adapter):
        return "its record names no tuned weights" if tuned else "its record names tuned weights"
    if result.arm in ARMS and adapter:
        needed = ARMS[result.arm].recipe(result.question_set)
        if needed not in adapter:
            return f"it answers with the training {needed}, and its record names {', '.join(adapter)}"
        strange = set(adapter) - set(with_starts(ARMS[result.arm].recipes))
        if strange:
            return f"its record names the trainings {', '.join(sorted(strange))}, which it has no part in"
    return ""


def _check_experiment(first: Result, other: Result) -> None:
    if other.schema != first.schema:
        raise DataError(f"{_name(first)} has schema {first.schema} and {_name(other)} {other.schema}. {AGAIN}")
    if other.experiment == first.experiment:
        return
    for name in ("data_hash", "model", "model_hash", "dtype"):
        if other.config.get(name) != first.config.get(name):
            what = f"{name} {first.config.get(name)!r} against {other.config.get(name)!r}"
            break
    else:
        what = f"profile {first.profile!r} against {other.profile!r}"
        if first.profile == other.profile:
            what = _unnamed_difference(first, other)
    raise DataError(
        f"{_name(first)} of {first.created} and {_name(other)} of {other.created} cannot be compared: they differ in "
        f"{what}. Keep each experiment in a folder of its own (`study --out`), or delete the files of the older one."
    )


def _unnamed_difference(first: Result, other: Result) -> str:
    """What the answers show of a difference that no field of the records names."""
    ours, theirs = ({score.question.id: score.answer.prompt for score in each.scores} for each in (first, other))
    if first.question_set == other.question_set and len(ours) != len(theirs):
        return f"how many questions were asked ({len(ours)} against {len(theirs)})"
    if first.arm == other.arm and any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys()):
        return "the prompts"
    return "the prompts, the limit of an answer's length, the solved examples or the profile's sizes"


def _check_same_prompts(question_set: str, runs: Sequence[Result]) -> None:
    """Arms that see nothing beside the question read the same text, whatever their weights; others read another."""
    read: dict[str, dict[str, str]] = defaultdict(dict)
    for run in runs:
        arm = run.config.get("arm")
        if isinstance(arm, dict) and arm.get("sees") == "nothing":
            for score in run.scores:
                read[score.question.id][run.arm] = score.answer.prompt
    for question_id, prompts in read.items():
        if len(set(prompts.values())) > 1:
            names = " and ".join(prompts)
            raise DataError(
                f"on {question_set}, {names} should read the same prompt, but do not (question {question_id!r}): an "
                "arm that sees nothing was shown something. Run the study again."
            )


def _name(result: Result) -> str:
    return f"{result.arm}/{result.question_set}"
