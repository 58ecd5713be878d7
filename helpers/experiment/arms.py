"""The arms of the comparison: each is weights (what it is) and a context (what it sees)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..data import TASKS, Dataset, Example, KitError
from ..tuning import recipes

FEW_SHOT = {"answers": 4, "triage": 3}  # how many solved examples of each task the few-shot prompt shows


@dataclass(frozen=True)
class Arm:
    """One way of giving the model knowledge: what it sees beside the question, and with which weights it answers.

    `sees` is "nothing", "examples" or "passages"; `k` is the number of passages where it is not the default.
    `triage` and `answers` name the recipes (`helpers.tuning.recipes`) whose weights answer that task; empty: none.
    """

    name: str
    sees: str
    what: str
    triage: str = ""
    answers: str = ""
    k: int | None = None

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes whose weights it answers with, each once."""
        return tuple(dict.fromkeys(name for name in (self.triage, self.answers) if name))

    def recipes_for(self, question_sets: Iterable[str]) -> list[str]:
        """Those that it needs for these question sets, each once and after the one that it starts from."""
        return recipes.with_starts(filter(None, map(self.recipe, question_sets)))

    def recipe(self, question_set: str) -> str:
        """The recipe whose weights answer a question set; empty: none."""
        return self.triage if question_set == "triage" else self.answers

    def indices(self, question_set: str) -> list[bool]:
        """The indices that it needs for a question set: over the documents (False), over the updated ones (True)."""
        return [False, *[True] * (question_set == "updates")] if self.sees == "passages" else []


ARMS = {
    arm.name: arm
    for arm in (
        Arm("base", "nothing", "the foundation model as shipped, asked directly"),
        Arm("base:few_shot", "examples", "the same, with a few solved examples in the prompt"),
        Arm("rag", "passages", "the same, with retrieved passages in an expanded prompt"),
        Arm("rag:3_passages", "passages", "the same with three passages: the right one among distractors", k=3),
        Arm("customization", "nothing", "tuned on labelled pairs, one adapter a task", "triage", "answers"),
        Arm("domain_adaptation", "nothing", "pretrained further on unlabelled domain text", "domain", "domain"),
        Arm("domain_adaptation+customization", "nothing", "domain text and labelled pairs, mixed or in turn",
            "domain,triage", "domain+pairs"),
        Arm("rag+customization", "passages", "tuned to answer from three passages, and given them",
            "triage", "passages", k=3),
        Arm("customization:triage", "nothing", "the adapter of triage, asked everything", "triage", "triage"),
        Arm("customization:answers", "nothing", "the adapter of answers, asked everything", "answers", "answers"),
    )
}  # fmt: skip


def get_arms(names: Iterable[str]) -> list[Arm]:
    """The arms of these names; a `KitError` names one that is unknown."""
    try:
        return [ARMS[name] for name in names]
    except KeyError as error:
        raise KitError(f"unknown arm {error}: choose from {', '.join(ARMS)}") from None


def solved_examples(dataset: Dataset) -> dict[str, list[Example]]:
    """The solved examples that a few-shot prompt shows, by task: spread evenly over the training pairs, if any."""
    shown = {}
    for task, count in FEW_SHOT.items():
        if not recipes.missing_files(task, dataset):
            pairs = dataset.examples(task, "train")
            shown[task] = [pairs[(2 * i + 1) * len(pairs) // (2 * count)] for i in range(count)]
    return shown


def left_out(names: Iterable[str], dataset: Dataset) -> dict[str, str]:
    """The arms among these that a data set has nothing to prepare with, each with what it lacks."""
    reasons = {}
    for arm in get_arms(names):
        needed = arm.recipes_for(dataset.question_sets)
        files = [file for name in needed for file in recipes.missing_files(name, dataset)]
        if arm.sees == "examples" and all(recipes.missing_files(task, dataset) for task in TASKS):
            files = recipes.missing_files("answers", dataset)
        if files:
            reasons[arm.name] = f"the data has no {' and no '.join(dict.fromkeys(files))}"
    return reasons
