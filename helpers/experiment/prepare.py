"""From an arm and what was made for it to one that is ready for a question set: an Assistant, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import models, rag, tuning
from ..data import CHOICE_SETS, TEXT_SETS, Effort, Example
from .arms import Arm
from .assistant import Assistant
from .baselines import Baseline
from .whole_documents import SameText


@dataclass(frozen=True)
class PreparedArm:
    """An arm that is ready for one question set.

    Attributes:
        assistant: What is asked.
        effort: What preparing the arm took, for all question sets, its recipes' starting points included.
        measured: What a result says beside its scores: `weights` (their hash) and, with the set `updates`, `update`:
            what it takes the arm to absorb the changed documents; `measured` in it is false where weights would have to
            be trained again, and where the arm absorbs nothing and its effort is zero.
        alike: Equal for two arms whose answers to this set are the same: same weights, same context.
    """

    assistant: Assistant | Baseline
    effort: Effort
    measured: dict[str, Any]
    alike: tuple[Any, ...]


def prepare(
    arm: Arm, question_set: str, model: models.FoundationModel, tuned: Mapping[str, tuning.FineTuned],
    indices: Sequence[tuple[rag.Index, rag.IndexReport, Effort]], examples: Mapping[str, Sequence[Example]],
    text: SameText | None,
) -> PreparedArm:  # fmt: skip
    """Puts an arm together: from the weights of its recipes, its indices (it retrieves from the last), and examples.

    `text` is what it shows every question instead of passages. An arm that sees labels learns from the examples.

    The set `updates` is asked after the documents were updated, and takes two indices: before and after.
    """
    if arm.shows("labels"):
        with models.measure() as effort:
            baseline = Baseline(arm.name, examples["triage"])
        effort.labelled_examples = len(examples["triage"])
        return PreparedArm(baseline, effort, {}, (question_set, arm.name))
    training = sum((each.effort for each in tuned.values()), Effort())
    shown = Effort(labelled_examples=sum(map(len, examples.values())))
    shown.documents = len(text.document_ids) if text else 0
    index, report, updating = indices[-1] if indices else (None, None, training)
    effort = sum((made for _, _, made in indices[:1]), training + shown)
    measured: dict[str, Any] = {}
    if question_set == "updates":
        about = asdict(report) if report else {}
        measured["update"] = about | {"effort": asdict(updating), "measured": report is not None}
    if weights := tuned.get(arm.recipe(question_set)):
        measured["weights"] = weights.hash
    retriever = index.retriever(arm.k) if index else text
    rewrite = rag.TwoStep(index).rewrite if index and arm.steps > 1 else None
    folder = weights and weights.folder
    assistant = Assistant(model, folder, retriever, examples, rewrite, arm.order, arm.may_decline)
    written = question_set not in CHOICE_SETS + TEXT_SETS  # a choice is scored without examples, and not declined
    context = (arm.sees, arm.source, arm.k, arm.order, arm.steps, written and arm.may_decline) if retriever else ()
    alike = (question_set, folder, written and bool(examples), *context)
    return PreparedArm(assistant, effort, measured, alike)
