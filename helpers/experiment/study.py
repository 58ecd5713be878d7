"""The arms, how each is prepared, and the runs; what was made before, by an earlier call, is reused.

python -m helpers study --arms base,rag --profile quick --data datasets/tidewater --out results/own
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import CHOICE_SETS, TIMED_SET, Effort, Question, Result, get_profile, held, open_dataset, own_folder, sample
from ..models import (
    FOUNDATION_MODEL,
    RECORD,
    FoundationModel,
    hardware,
    is_first_process,
    load_embedder,
    load_model,
    perplexity,
)
from ..tuning import recipes
from . import fingerprint as identity
from . import results
from .arms import ARMS, Arm, get_arms, solved_examples
from .assistant import Assistant
from .evaluation import Evaluation, evaluate, summarise, text_losses, texts_beside

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from ..rag import Index, IndexReport, RagSettings
    from ..tuning import FineTuned, TrainSettings


class Study:
    """One data set, one model, one profile and one seed: the frame in which arms can be compared.

    What a grid of studies sets: `artefacts`, where indices and adapters lie (`out` unless told otherwise); `changes` to
    the settings of every training, by name; `timing`, whether questions are asked one at a time for their latency.
    """

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
    ):
        """Opens the data set; models are loaded when they are needed.

        Args:
            folder: A data set such as datasets/tidewater.
            profile: "quick", "workshop" or "full".
            seed: Seeds training and sampling; the questions are the same for every seed.
            out: Where results and artefacts go; None takes `own_folder()`.
            model: The foundation model, or its name.
            settings: How documents are cut and retrieved; None takes the measured defaults.
            progress: Whether to show progress.
            vector_store: The URL of a Chroma server for the indices; None keeps them in folders.
        """
        from ..rag import RagSettings

        self.dataset = open_dataset(folder)
        self.profile, self.seed, self.progress = get_profile(profile), seed, progress
        self.out = Path(out) if out is not None else own_folder()
        self.settings = settings or RagSettings()
        self.artefacts, self.changes, self.timing = self.out, dict[str, Any](), True
        self._model, self.vector_store = model, vector_store
        self._indices: dict[bool, tuple[Index, IndexReport, Effort]] = {}
        self._evaluations: dict[tuple, Evaluation] = {}
        self._losses: dict[tuple, list[tuple[float, int]]] = {}

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
        """The hash of what must agree between results that are compared."""
        return identity.of_experiment(self.dataset, self.model, self.profile)

    @property
    def question_sets(self) -> list[str]:
        """The question sets that the data has, in the kit's order."""
        return self.dataset.question_sets

    @property
    def arms(self) -> list[str]:
        """The arms of a whole comparison in this profile, in the kit's order."""
        return [arm for arm in ARMS if arm not in self.profile.left_out]

    def questions(self, question_set: str) -> list[Question]:
        """The questions of a set that this profile asks."""
        return sample(self.dataset.questions(question_set), self.profile.questions_per_set)

    def timed(self, question_set: str) -> int:
        """How many questions of a set are asked again alone, for their times: those of the one that costs tell of."""
        one = TIMED_SET if TIMED_SET in self.question_sets else self.question_sets[0]
        return self.profile.latency_questions if self.timing and question_set == one else 0

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

    def assistant(self, arm: str, question_set: str = "facts_heldout") -> Assistant:
        """The assistant of an arm, as it meets a question set; `updates` is asked after the update of the documents."""
        (wanted,) = get_arms([arm])
        name = wanted.training(question_set)
        adapter = self.train(name).folder if name else None
        if wanted.sees == "passages":
            index, _, _ = self.index(updated=question_set == "updates")
            return Assistant(self.model, adapter, index.retriever(wanted.k))
        return Assistant(
            self.model, adapter, examples=solved_examples(self.dataset) if wanted.sees == "examples" else None
        )

    def train_settings(self, name: str) -> TrainSettings:
        """The settings of a training in this study."""
        return recipes.settings(name, self.profile, self.seed, self.changes)

    def training_folder(self, name: str) -> Path:
        """Where the weights of a training lie: another folder for other data, prompts, settings, model or seed."""
        chain = [self.train_settings(each) for each in recipes.with_starts([name])[::-1]]  # itself, then its start
        key = identity.of_training(chain, self.dataset, self.model, self.settings if name == "passages" else None)
        return self.artefacts / "adapters" / f"{name}.{self.profile.name}.seed{self.seed}.{key}"

    def train(self, name: str, callback: TrainerCallback | None = None, fsdp: bool = False) -> FineTuned:
        """The tuned weights of a training: those made before, or made now; an interrupted training goes on.

        Args:
            name: A name in `helpers.tuning.recipes.SETTINGS`.
            callback: A callback of transformers' Trainer; None shows a progress bar.
            fsdp: Whether the processes that torchrun started share the weights as well.
        """
        from ..tuning import read_fine_tuned, train

        folder = self.training_folder(name)
        if (folder / RECORD).is_file():
            return read_fine_tuned(folder)
        retrieve = self.index()[0].retriever(k=recipes.PASSAGES).retrieve_all if name == "passages" else None
        chosen = self.train_settings(name)
        made_of = recipes.training_data(name, self.dataset, retrieve, self.seed, self.profile.validation_examples)
        if callback is None and self.progress:
            from ..tuning import Progress

            callback = Progress(name)
        before = self.train(recipes.STARTS_FROM[name], fsdp=fsdp).folder if name in recipes.STARTS_FROM else None
        with held(folder) if is_first_process() else nullcontext():  # another study may want the same weights
            return train(self.model, made_of, chosen, folder, before, callback, fsdp=fsdp)

    def effort(self, arm: str) -> Effort:
        """What it took to prepare an arm before its first answer; the peak of memory is that of its hungriest step."""
        (wanted,) = get_arms([arm])
        total = self._training_effort(wanted)
        if wanted.sees == "passages":
            total += self.index()[2]
        if wanted.sees == "examples":
            total += Effort(labelled_examples=sum(map(len, solved_examples(self.dataset).values())))
        return total

    def _training_effort(self, arm: Arm) -> Effort:
        """The effort of all trainings of an arm, those that others go on from included."""
        return sum(
            (self.train(name).effort for name in recipes.with_starts(arm.trainings_for(self.question_sets))), Effort()
        )

    def run(self, arms: Sequence[str], question_sets: Sequence[str] | None = None) -> list[Result]:
        """Runs arms on question sets; a result that is there already, made in the same way, is reused.

        Args:
            arms: Names in `ARMS`.
            question_sets: None takes every set of the data.

        Returns:
            One result for each arm and question set, each of them also a file in `out`.

        Raises:
            KitError: An arm is unknown, or a result cannot be written. What was finished before is kept.
        """
        get_arms(arms)
        sets = question_sets or self.question_sets
        return [self.run_one(arm, question_set) for arm in arms for question_set in sets]

    def run_one(self, arm: str, question_set: str) -> Result:
        """Runs one arm on one question set, or reuses its result."""
        config = self._config(arm)
        path = self.out / results.file_name(arm, question_set, self.seed, self.experiment)
        if path.exists():
            made = results.read_result(path)
            if made.status == "complete" and made.config == config:
                return made
        if self.progress:
            print(f"{arm} on {question_set}", file=sys.stderr)
        evaluation = Evaluation()
        result = Result(
            arm, question_set, self.seed, self.profile.name, self.experiment, "interrupted", evaluation.scores, {},
            self.effort(arm), config, results.versions(), hardware(), results.git_revision(), results.now(),
        )  # fmt: skip
        try:
            result.metrics = self._measure(arm, question_set, evaluation)
            result.status = "complete"
        finally:
            if result.scores:
                results.write_result(self.out, result)
        return result

    def _measure(self, arm: str, question_set: str, into: Evaluation) -> dict[str, Any]:
        assistant = self.assistant(arm, question_set)
        questions = self.questions(question_set)
        self._evaluate(ARMS[arm], assistant, question_set, into)
        found: dict[str, Any] = summarise(into.scores)
        if into.first_token_s:
            found |= {"first_token_s": into.first_token_s, "total_s": into.total_s}
        losses = self._text_losses(assistant, question_set)
        if losses:
            found |= {"perplexity": perplexity(losses), "text_losses": [list(of_text) for of_text in losses]}
        if assistant.retriever is not None and any(q.documents for q in questions):
            from ..rag import score_retrieval

            index = self.index(updated=question_set == "updates")[0]
            retrieval = score_retrieval(assistant.retriever, questions, index)
            found["retrieval"] = {name: retrieval[name] for name in ("hit_rate_1", "hit_rate_5", "mrr", "ndcg")}
        if question_set == "updates":
            found["update"] = self._update(ARMS[arm])
        if assistant.adapter is not None:
            found["weights"] = self.train(ARMS[arm].training(question_set)).hash
        return found

    def _evaluate(self, arm: Arm, assistant: Assistant, question_set: str, into: Evaluation) -> None:
        """Asks an arm a set. Arms with the same weights that see the same are one assistant there: it is asked once."""
        alone = arm.sees == "examples" and question_set in CHOICE_SETS  # a choice is scored without examples
        key = (question_set, assistant.adapter, "nothing" if alone else arm.sees, arm.k)
        if key in self._evaluations:
            made = self._evaluations[key]
            into.scores += made.scores
            into.first_token_s, into.total_s, into.complete = made.first_token_s, made.total_s, True
            return
        evaluate(
            assistant, self.questions(question_set), self.dataset.values_by_asset, self.profile.batch_size,
            self.timed(question_set), self.progress, into,
        )  # fmt: skip
        self._evaluations[key] = into

    def _text_losses(self, assistant: Assistant, question_set: str) -> list[tuple[float, int]]:
        """The losses of the texts that stand beside a set, once for the same weights; none where there is no text."""
        texts = texts_beside(question_set, self.dataset)[: self.profile.questions_per_set]
        key = question_set, assistant.adapter
        if texts and key not in self._losses:
            self._losses[key] = text_losses(assistant, texts)
        return self._losses.get(key, [])

    def _update(self, arm: Arm) -> dict[str, Any]:
        """What it takes an arm to absorb the changed documents.

        Where passages are retrieved it was measured on this very change. Weights are stale until they are trained
        again, and that takes what their first training took: `measured` is false there. An arm with neither takes
        nothing in: its effort is zero, and `measured` is false.
        """
        if arm.sees == "passages":
            _, report, effort = self.index(updated=True)
            return asdict(report) | {"effort": asdict(effort), "measured": True}
        effort = self._training_effort(arm)
        return {"effort": asdict(effort), "measured": False}

    def _config(self, arm: str) -> dict[str, Any]:
        config: dict[str, Any] = {
            "model": self.model.name, "model_hash": self.model.hash, "dtype": self.model.dtype,
            "device": self.model.device, "data_hash": self.dataset.hash, "arm": asdict(ARMS[arm]),
        }  # fmt: skip
        names = recipes.with_starts(ARMS[arm].trainings_for(self.question_sets))
        if names:
            config["adapter"] = {name: self.train_settings(name).key for name in names}
        if ARMS[arm].sees == "passages":
            config["rag"] = asdict(self.settings) | ({"k": ARMS[arm].k} if ARMS[arm].k else {})
        if ARMS[arm].sees == "examples":
            config["examples"] = {task: len(shown) for task, shown in solved_examples(self.dataset).items()}
        return config
