"""From what is planned and what was made for it to an arm that is ready for one question set.

plan = study.plan("rag+customization", "facts_heldout")    looked up once: arm, recipes, examples, provenance
prepared = prepare(plan, fm, tuned, indices)               put together: an Assistant, and what it took
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import CHOICE_SETS, Effort, Example
from ..models import FoundationModel
from .arms import Arm
from .assistant import Assistant

if TYPE_CHECKING:
    from ..rag import Index, IndexReport
    from ..tuning import FineTuned


@dataclass(frozen=True)
class Plan:
    """What an arm needs for one question set; nothing is made yet.

    Attributes:
        arm: The arm.
        question_set: The question set; `updates` is asked after the documents were updated.
        recipe: The recipe whose weights answer this set; empty: the weights as shipped.
        recipes: All that the arm needs for the question sets of the study, each after the one that it starts from.
        examples: The solved examples that it is shown, by task.
        provenance: What its answers depend on: model, data and settings; a result keeps it as its `config`.
    """

    arm: Arm
    question_set: str
    recipe: str
    recipes: list[str]
    examples: dict[str, list[Example]]
    provenance: dict[str, Any]

    @property
    def indices(self) -> list[bool]:
        """Which indices it needs, the last of them to retrieve from: over the documents (False), updated (True)."""
        if self.arm.sees != "passages":
            return []
        return [False, True] if self.question_set == "updates" else [False]

    def assistant(self, model: FoundationModel, adapter: Path | None, index: Index | None) -> Assistant:
        """The assistant of the arm, with the weights and the index that were made for it."""
        examples = None if self.question_set in CHOICE_SETS else self.examples  # a choice is scored without examples
        return Assistant(model, adapter, index and index.retriever(self.arm.k), examples)


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
        index: What it retrieves from; None where it sees no passages.
    """

    assistant: Assistant
    effort: Effort
    measured: dict[str, Any]
    alike: tuple[Any, ...]
    index: Index | None = None


def prepare(
    plan: Plan,
    model: FoundationModel,
    tuned: Mapping[str, FineTuned],
    indices: Sequence[tuple[Index, IndexReport, Effort]],
) -> PreparedArm:
    """Puts an arm together.

    Args:
        plan: What it needs.
        model: The foundation model.
        tuned: The weights of each of `plan.recipes`.
        indices: Those of `plan.indices`, each with its report and its effort.
    """
    training = sum((each.effort for each in tuned.values()), Effort())
    effort = training + Effort(labelled_examples=sum(map(len, plan.examples.values())))
    index, report, updating = indices[-1] if indices else (None, None, training)
    if indices:
        effort += indices[0][2]
    measured: dict[str, Any] = {}
    if plan.question_set == "updates":
        about = asdict(report) if report else {}
        measured["update"] = about | {"effort": asdict(updating), "measured": report is not None}
    if plan.recipe:
        measured["weights"] = tuned[plan.recipe].hash
    assistant = plan.assistant(model, tuned[plan.recipe].folder if plan.recipe else None, index)
    passages = assistant.retriever.k if assistant.retriever else 0
    alike = (plan.question_set, assistant.adapter, bool(assistant.examples), passages)
    return PreparedArm(assistant, effort, measured, alike, index)
