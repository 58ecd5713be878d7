"""What an arm needs before its first answer: an index, tuned weights, and the record of what they are and took.

    prepared = preparation.prepare("rag+customization", "facts_heldout")
    prepared.assistant, prepared.effort, prepared.provenance

Indices and weights that an earlier call made are used again: what would change them is part of their folder's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import CHOICE_SETS, Effort, get_profile, held, open_dataset, own_folder
from ..models import FOUNDATION_MODEL, RECORD, FoundationModel, is_first_process, load_embedder, load_model, prompts
from ..tuning import recipes
from .arms import get_arms, solved_examples
from .assistant import MAX_NEW_TOKENS, SHORT_ANSWER, Assistant

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from ..rag import Index, IndexReport, RagSettings
    from ..tuning import FineTuned, TrainSettings

ANSWERS_DEPEND_ON = ("name", "questions_per_set", "batch_size", "training_share")  # of a profile
PROMPTS = [prompts.SYSTEM, prompts.DIRECT, prompts.EXPANDED, prompts.ABSTAIN]


@dataclass(frozen=True)
class PreparedArm:
    """An arm that is ready for one question set.

    Attributes:
        assistant: What is asked.
        effort: What preparing the arm took, for all question sets, its recipes' starting points included.
        provenance: What its answers depend on: model, data and settings; a result keeps it as its `config`.
        measured: What a result says beside its scores: `weights` (their hash) and, with the set `updates`, `update`:
            what it takes the arm to absorb the changed documents; `measured` in it is false where weights would have to
            be trained again, and where the arm absorbs nothing and its effort is zero.
        alike: Equal for two arms whose answers to this set are the same: same weights, same context.
        index: What it retrieves from; None where it sees no passages.
    """

    assistant: Assistant
    effort: Effort
    provenance: dict[str, Any]
    measured: dict[str, Any]
    alike: tuple[Any, ...]
    index: Index | None = None


class Preparation:
    """One data set, one model, one profile and one seed, and the index and weights that arms need of them."""

    def __init__(
        self,
        folder: str | Path,
        profile: str = "workshop",
        seed: int = 7,
        out: str | Path | None = None,
        model: str | FoundationModel = FOUNDATION_MODEL,
        settings: RagSettings | None = None,
        progress: bool = True,
        vector_store: str | None = None,
        changes: Mapping[str, Any] | None = None,
        artefacts: str | Path | None = None,
    ):
        """Opens the data set; models are loaded when they are needed.

        Args:
            folder: A data set such as datasets/tidewater.
            profile: "quick", "workshop" or "full".
            seed: Seeds training and sampling; the questions are the same for every seed.
            out: Where results go; None takes `own_folder()`.
            model: The foundation model, or its name.
            settings: How documents are cut and retrieved; None takes the measured defaults.
            progress: Whether to show progress.
            vector_store: The URL of a Chroma server for the indices; None keeps them in folders.
            changes: Settings of every training, by name, that differ from their recipe.
            artefacts: Where indices and adapters lie; None takes `out`.
        """
        from ..rag import RagSettings

        self.dataset = open_dataset(folder)
        self.profile, self.seed, self.progress = get_profile(profile), seed, progress
        self.out = Path(out) if out is not None else own_folder()
        self.artefacts, self.vector_store = Path(artefacts or self.out), vector_store
        self.settings, self.changes = settings or RagSettings(), dict(changes or {})
        self._model = model
        self._indices: dict[bool, tuple[Index, IndexReport, Effort]] = {}

    @cached_property
    def model(self) -> FoundationModel:
        """The one model of all arms."""
        return self._model if isinstance(self._model, FoundationModel) else load_model(self._model)

    @cached_property
    def embedder(self):
        """The embedding model of every index."""
        return load_embedder()

    @cached_property
    def experiment(self) -> str:
        """SHA-256 in hexadecimal over what must agree between results that are compared."""
        shown = solved_examples(self.dataset)
        record = {
            "data": self.dataset.hash, "model": self.model.hash, "dtype": self.model.dtype,
            "profile": {name: getattr(self.profile, name) for name in ANSWERS_DEPEND_ON},
            "prompts": PROMPTS, "limits": [SHORT_ANSWER, MAX_NEW_TOKENS],
            "examples": [example.id for examples in shown.values() for example in examples],
        }  # fmt: skip
        return _hash(record)

    @property
    def question_sets(self) -> list[str]:
        """The question sets that the data has, in the kit's order."""
        return self.dataset.question_sets

    def prepare(self, arm: str, question_set: str = "facts_heldout") -> PreparedArm:
        """Makes what an arm needs to answer a question set, and what it needs for the others: that is its effort.

        Raises:
            KitError: The arm is unknown, or its weights or its index cannot be made.
        """
        (wanted,) = get_arms([arm])
        recipe, updates, index = wanted.recipe(question_set), question_set == "updates", None
        shown = solved_examples(self.dataset) if wanted.sees == "examples" else {}
        needed = recipes.with_starts(wanted.recipes_for(self.question_sets))
        training = sum((self.train(each).effort for each in needed), Effort())
        effort = training + Effort(labelled_examples=sum(map(len, shown.values())))
        measured: dict[str, Any] = {"update": {"effort": asdict(training), "measured": False}} if updates else {}
        if wanted.sees == "passages":
            effort += self.index()[2]
            index, report, updating = self.index(updates)
            measured = {"update": asdict(report) | {"effort": asdict(updating), "measured": True}} if updates else {}
        if recipe:
            measured["weights"] = self.train(recipe).hash
        assistant = self.assistant(arm, question_set)
        alike = (question_set, assistant.adapter, bool(assistant.examples), index and (wanted.k or self.settings.k))
        return PreparedArm(assistant, effort, self.provenance(arm), measured, alike, index)

    def assistant(self, arm: str, question_set: str = "facts_heldout") -> Assistant:
        """The assistant of an arm, as it meets a question set; `updates` is asked after the documents were updated."""
        (wanted,) = get_arms([arm])
        recipe, retriever, examples = wanted.recipe(question_set), None, None
        if wanted.sees == "passages":
            retriever = self.index(updated=question_set == "updates")[0].retriever(wanted.k)
        if wanted.sees == "examples" and question_set not in CHOICE_SETS:  # a choice is scored without examples
            examples = solved_examples(self.dataset)
        assistant = Assistant(self.model, self.train(recipe).folder if recipe else None, retriever, examples)
        self._latest = assistant.model  # a tuned copy lives as long as it is held: the arm's next question set needs it
        return assistant

    def index(self, updated: bool = False) -> tuple[Index, IndexReport, Effort]:
        """The index over the documents, or over the documents after `updates/`, with its report and its effort.

        The updated index is a second one, built over the old documents and then brought up to date; its report and
        effort are those of the update alone.
        """
        from ..rag import dataset_index

        if updated not in self._indices:
            self._indices[updated] = dataset_index(
                self.artefacts / "index", self.dataset, self.embedder, self.settings, updated, self.progress,
                self.vector_store,
            )  # fmt: skip
        return self._indices[updated]

    def train_settings(self, recipe: str) -> TrainSettings:
        """The settings of a recipe's training in this study."""
        return recipes.settings(recipe, self.profile, self.seed, self.changes)

    def training_folder(self, recipe: str) -> Path:
        """Where the weights of a recipe lie: another folder for other data, prompts, settings, model or seed."""
        chain = [self.train_settings(each).key for each in recipes.with_starts([recipe])[::-1]]  # itself, its start
        retrieval = asdict(self.settings) if recipe == "passages" else {}
        made_of = [self.dataset.hash, self.model.hash, chain[0], retrieval, *chain[1:], *PROMPTS]
        key = _hash([*made_of, self.dataset.general_text("replay")])[:8]
        return self.artefacts / "adapters" / f"{recipe}.{self.profile.name}.seed{self.seed}.{key}"

    def train(self, recipe: str, callback: TrainerCallback | None = None, fsdp: bool = False) -> FineTuned:
        """The tuned weights of a recipe: those made before, or made now; an interrupted training is resumed.

        Args:
            recipe: A name in `helpers.tuning.recipes.SETTINGS`.
            callback: A callback of transformers' Trainer; None shows a progress bar.
            fsdp: Whether the processes that torchrun started share the weights as well.
        """
        from ..tuning import Progress, read_fine_tuned, train

        folder = self.training_folder(recipe)
        if (folder / RECORD).is_file():
            return read_fine_tuned(folder)
        retrieve = self.index()[0].retriever(k=recipes.PASSAGES).retrieve_all if recipe == "passages" else None
        training_data = recipes.training_data(
            recipe, self.dataset, retrieve, self.seed, self.profile.validation_examples
        )
        if callback is None and self.progress:
            callback = Progress(recipe)
        start = self.train(recipes.STARTS_FROM[recipe], fsdp=fsdp).folder if recipe in recipes.STARTS_FROM else None
        with held(folder) if is_first_process() else nullcontext():  # another study may want the same weights
            return train(self.model, training_data, self.train_settings(recipe), folder, start, callback, fsdp=fsdp)

    def provenance(self, arm: str) -> dict[str, Any]:
        """What the answers of an arm depend on, as plain JSON types; nothing is made for it."""
        (wanted,) = get_arms([arm])
        record: dict[str, Any] = {
            "model": self.model.name, "model_hash": self.model.hash, "dtype": self.model.dtype,
            "device": self.model.device, "data_hash": self.dataset.hash, "arm": asdict(wanted),
        }  # fmt: skip
        needed = recipes.with_starts(wanted.recipes_for(self.question_sets))
        if needed:
            record["adapter"] = {recipe: self.train_settings(recipe).key for recipe in needed}
        if wanted.sees == "passages":
            record["rag"] = asdict(self.settings) | ({"k": wanted.k} if wanted.k else {})
        if wanted.sees == "examples":
            record["examples"] = {task: len(shown) for task, shown in solved_examples(self.dataset).items()}
        return record


def _hash(record: Any) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
