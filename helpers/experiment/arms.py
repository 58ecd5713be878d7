"""The arms of the comparison: each is weights (what it is) and a context (what it sees); arms.yaml lists them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from .. import data, rag
from ..data import TASKS, Dataset, Document, Example, KitError, Passage, Profile, Question
from ..models import FoundationModel, prompts
from ..tuning import recipes
from .results import adapter

FEW_SHOT = {"answers": 4, "triage": 3}  # how many solved examples of each task the few-shot prompt shows
RULES = "documents/triage-rules.md"  # of a data set: what `rules_in_prompt` shows
NEEDS = {"other_documents": "other_documents", "documents+notes": "corpus/train.jsonl", "rules": RULES}  # of a data set
ROOM = 512  # tokens of the model's context that are left for the chat template, the question and the answer
SHOWN = ("passages", "rules", "documents")  # what of `Arm.sees` an answer keeps as its passages


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Arm:
    """One way of giving the model knowledge: what it sees beside the question, and with which weights it answers.

    Attributes:
        name, plain, what: Its key in results and commands, its name for readers, and what it is, in words.
        sees: "nothing", or of "examples", "passages" (retrieved), "rules", "documents" (as many as fit) and "labels"
            (no model answers) those that it sees, joined by "+".
        given: What it was given in all, training included: of "documents", "notes", "pairs" and "rules".
        triage, answers: The recipes (`helpers.tuning.recipes`) whose weights answer that task; empty: none.
        k: The number of passages where it is not the default.
        sets: The question sets that it is asked; empty: all.
        source: What it retrieves from: "documents", "documents+notes" or "other_documents".
        order: In which order its passages stand in the prompt.
        steps: How many retrievals a question takes: before a second one, what the first passage names is put into it.
        may_decline: Whether the prompt permits to say that the passages do not hold the answer.
        appendix: Whether it belongs to an appendix of the comparison.
    """

    name: str
    plain: str
    sees: str
    what: str
    given: tuple[str, ...] = ()
    triage: str = ""
    answers: str = ""
    k: int | None = None
    sets: tuple[str, ...] = ()
    source: str = "documents"
    order: str = prompts.BEST_FIRST
    steps: int = 1
    may_decline: bool = False
    appendix: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """What a result keeps of it: what its answers depend on, where it is not the default."""
        aside = {"plain", "what", "given", "sets", "appendix"}
        return adapter(Arm).dump_python(self, exclude=aside, exclude_defaults=True)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes whose weights it answers with, each once."""
        return tuple(dict.fromkeys(name for name in (self.triage, self.answers) if name))

    def shows(self, what: str) -> bool:
        """Whether it sees this."""
        return what in self.sees.split("+")

    def asked(self, question_sets: Iterable[str]) -> list[str]:
        """Those of the question sets that it is asked."""
        return [name for name in question_sets if not self.sets or name in self.sets]

    def recipes_for(self, question_sets: Iterable[str]) -> list[str]:
        """Those that it needs for these question sets, each once and after the one that it starts from."""
        return recipes.with_starts(filter(None, map(self.recipe, self.asked(question_sets))))

    def recipe(self, question_set: str) -> str:
        """The recipe whose weights answer a question set; empty: none."""
        return self.triage if question_set == "triage" else self.answers


ARMS = {arm.name: arm for arm in adapter(list[Arm]).validate_python(data.table(__file__))}


def plain_name(key: str) -> str:
    """The name of an arm or a question set for readers; a key that the kit does not know as it is."""
    return data.SET_NAMES.get(key) or (ARMS[key].plain if key in ARMS else key)


def get_arms(names: Iterable[str]) -> list[Arm]:
    """The arms of these names; a `KitError` names one that is unknown."""
    try:
        return [ARMS[name] for name in names]
    except KeyError as error:
        raise KitError(f"unknown arm {error}: choose from {', '.join(ARMS)}") from None


def solved_examples(
    dataset: Dataset, retriever: rag.Retriever | None = None, counts: Mapping[str, int] = FEW_SHOT
) -> dict[str, list[Example]]:
    """The solved examples that a few-shot prompt shows, by task: spread evenly over the training pairs, if any.

    Where they come with passages, one whose passage holds its answer is preferred: others teach to invent answers.
    """

    def readable(pair: Example) -> bool:
        found = retriever.retrieve(pair.prompt) if retriever and pair.task == "answers" else None
        return found is None or data.contains(found[0].text, [pair.response]) is not None

    shown = {}
    for task, count in counts.items():
        pairs = [] if recipes.missing_files(task, dataset) else dataset.examples(task, "train")
        for place in [(2 * i + 1) * len(pairs) // (2 * count) for i in range(count if pairs else 0)]:
            own = shown.setdefault(task, [])
            following = (pair for pair in pairs[place:] + pairs[:place] if pair not in own and readable(pair))
            own.append(next(following, pairs[place]))
    return shown


class SameText:
    """Takes a retriever's place, and gives every question the same text of these documents."""

    def __init__(self, documents: Sequence[Document], kind: str) -> None:
        self.document_ids = [document.id for document in documents]
        text = "\n\n".join(document.text for document in documents)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.passages = [Passage(kind, f"{kind}-{digest}", text, 1.0, f"{len(documents)} documents")]

    def retrieve_all(self, questions: Sequence[str]) -> list[list[Passage]]:
        """The text, for each question."""
        return [self.passages for _ in questions]

    def gold_share(self, questions: Sequence[Question]) -> float:
        """The share of the questions that name their documents of which one is in the text, in 0..1."""
        named = [question.documents for question in questions if question.documents]
        return fmean(not set(self.document_ids).isdisjoint(each) for each in named) if named else 0.0


def same_text(arm: Arm, dataset: Dataset, fm: FoundationModel, updated: bool = False) -> SameText | None:
    """What an arm shows every question: the rules, or the documents that fit; None where it shows neither."""
    if arm.shows("rules"):
        documents = data.read_documents(dataset.documents_folder)
        return SameText([each for each in documents if Path(each.source).name == Path(RULES).name], "rules")
    return fitting_documents(dataset, fm, updated=updated) if arm.shows("documents") else None


def fitting_documents(
    dataset: Dataset, fm: FoundationModel, most: int | None = None, updated: bool = False
) -> SameText:
    """The text of the documents that the model's context has room for, at most `most`, in one fixed order.

    The order is that of the hashes of their ids, so that each kind of document has its share; a smaller number of
    documents is the beginning of a larger one.
    """
    documents = data.read_documents(dataset.documents_folder)
    documents = data.apply_updates(documents, dataset.folder / "updates") if updated else documents
    ordered = sorted(documents, key=lambda document: hashlib.sha256(document.id.encode()).digest())[:most]
    lengths = accumulate(fm.count_tokens(f"{document.text}\n\n") for document in ordered)
    fitting = takewhile(lambda each: each[1] <= fm.context_length - ROOM, zip(ordered, lengths, strict=False))
    return SameText([document for document, _ in fitting], "documents")


def left_out(names: Iterable[str], dataset: Dataset, profile: Profile | None = None) -> dict[str, str]:
    """The arms among these that are not asked, and why: the data lacks something, or the profile leaves them out."""
    reasons = {}
    for arm in get_arms(names):
        if missing := _missing(arm, dataset):
            reasons[arm.name] = f"the data has no {' and no '.join(dict.fromkeys(missing))}"
        elif not arm.asked(dataset.question_sets):
            reasons[arm.name] = f"{dataset.folder / 'questions'} holds no set that it is asked"
        elif profile and arm.name in profile.left_out:
            reasons[arm.name] = f"the profile {profile.name} is for a first look"
    return reasons


def _missing(arm: Arm, dataset: Dataset) -> list[str]:
    """The files that an arm needs and a data set lacks."""
    learned = arm.recipes_for(dataset.question_sets) + ["triage"] * arm.shows("labels")
    if arm.shows("examples") and all(recipes.missing_files(task, dataset) for task in TASKS):
        learned.append("answers")
    shown = [NEEDS[each] for each in (arm.source, *arm.sees.split("+")) if each in NEEDS]
    missing = [file for name in learned for file in recipes.missing_files(name, dataset)]
    return missing + [file for file in shown if not (dataset.folder / file).exists()]
