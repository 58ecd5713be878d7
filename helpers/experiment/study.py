"""The arms, asked and scored in the same way, one result file each; results that are there already are reused.

    study = Study("datasets/tidewater", "quick", out="results/own")
    study.run(["base", "rag"])

Indices and weights that an earlier call made are used again too: what would change them is in their folder's name.
From a terminal: python -m helpers study --arms base,rag --profile quick --out results/own
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from .. import data, models, rag, tuning
from ..data import CHOICE_SETS, TEXT_SETS, TIMED_SET, Effort, KitError, Question, Result, held, sample
from ..tuning import recipes
from . import results
from .arms import Arm, get_arms, same_text, solved_examples
from .assistant import MAX_NEW_TOKENS, SHORT_ANSWER, Assistant
from .baselines import Baseline
from .evaluation import Evaluation, PreparedArm, evaluate, perplexity_texts, retrieval_scores

if TYPE_CHECKING:
    from transformers import TrainerCallback

ANSWERS_DEPEND_ON = ("name", "questions_per_set", "batch_size", "training_share")  # of a profile
PROMPTS = [getattr(models.prompts, name) for name in ("SYSTEM", "DIRECT", "EXPANDED", "ABSTAIN", "MAY_DECLINE")]


class Study:
    """One data set, one model, one profile and one seed: the frame in which arms can be compared."""

    def __init__(
        self, folder: str | Path, profile: str = "workshop", seed: int = 7, out: str | Path | None = None,
        model: str | models.FoundationModel | None = None, settings: rag.RagSettings | None = None,
        progress: bool = True, vector_store: str | None = None, changes: Mapping[str, Any] | None = None,
        artefacts: str | Path | None = None,
    ):  # fmt: skip
        """Opens the data set; models are loaded when they are needed.

        Args:
            folder: A data set such as datasets/tidewater.
            profile: "quick", "workshop" or "full".
            seed: Seeds training and sampling; the questions are the same for every seed.
            out: Where results go; None takes `own_folder()`.
            model: The foundation model, or its name; None takes the default one.
            settings: How documents are cut and retrieved; None takes the measured defaults.
            progress: Whether to show progress.
            vector_store: The URL of a Chroma server for the indices; None keeps them in folders.
            changes: Settings of every training, by name, that differ from their recipe.
            artefacts: Where indices and adapters lie; None takes `out`.
        """
        self.dataset = data.open_dataset(folder)
        self.profile, self.seed, self.progress = data.get_profile(profile), seed, progress
        self.out = Path(out) if out is not None else data.own_folder()
        self.artefacts, self.vector_store = Path(artefacts or self.out), vector_store
        self.settings, self.changes = settings or rag.RagSettings(), dict(changes or {})
        if not 0 <= seed < 2**32:
            raise KitError(f"`seed` must be a whole number from 0 to {2**32 - 1:,}. Got {seed}")
        tuning.TrainSettings(**self.changes)  # says what is out of range before a model is loaded
        self._model = model or models.FOUNDATION_MODEL
        self._indices: dict[tuple[str, bool], tuple[rag.Index, rag.IndexReport, Effort]] = {}
        self._evaluations: dict[tuple, Evaluation] = {}  # by `PreparedArm.alike`: arms that answer alike are asked once

    @cached_property
    def model(self) -> models.FoundationModel:
        """The one model of all arms."""
        return self._model if isinstance(self._model, models.FoundationModel) else models.load_model(self._model)

    @cached_property
    def embedder(self):
        """The embedding model of every index."""
        return models.load_embedder()

    @cached_property
    def experiment(self) -> str:
        """SHA-256 in hexadecimal over what must agree between results that are compared."""
        return results.fingerprint({
            "data": self.dataset.hash, "model": self.model.hash, "dtype": self.model.dtype,
            "profile": {name: getattr(self.profile, name) for name in ANSWERS_DEPEND_ON},
            "prompts": PROMPTS, "limits": [SHORT_ANSWER, MAX_NEW_TOKENS],
            "examples": [example.id for shown in solved_examples(self.dataset).values() for example in shown],
        })  # fmt: skip

    def questions(self, question_set: str) -> list[Question]:
        """The questions of a set that this profile asks."""
        return sample(self.dataset.questions(question_set), self.profile.questions_per_set)

    def run(self, arms: Sequence[str], question_sets: Sequence[str] | None = None) -> list[Result]:
        """Runs arms on those of the question sets (None: all) that they are asked; see `runs` and `run_one`."""
        return [self.run_one(*each) for each in self.runs(arms, question_sets)]

    def runs(self, arms: Sequence[str], question_sets: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """Each of these arms with each of the question sets (None: all) that it is asked."""
        sets = question_sets or self.dataset.question_sets
        return [(arm.name, name) for arm in get_arms(arms) for name in arm.asked(sets)]

    def run_one(self, arm: str, question_set: str) -> Result:
        """Runs one arm on one question set and writes the result, or reuses the one that was made in the same way.

        An interruption leaves the answers that are there in a file whose status is `interrupted`; this study goes on
        from them, another one asks the set anew. A `KitError` says that the arm is unknown or the file not written.
        """
        (wanted,) = get_arms([arm])
        config = self.provenance(wanted)
        path = self.out / results.file_name(arm, question_set, self.seed, self.experiment)
        before = results.read_result(path) if path.exists() else None
        if before and before.status == "complete" and before.config == config:
            return before
        if self.progress:
            print(f"{arm} on {question_set}", file=sys.stderr)
        prepared = self._prepare(wanted, question_set, self.dataset.question_sets)
        evaluation = self._evaluations.setdefault(prepared.alike, Evaluation())
        questions, texts = self.questions(question_set), perplexity_texts(question_set, self.dataset)
        timed, values = self.profile.latency_questions * (question_set == TIMED_SET), self.dataset.values_by_asset
        result = Result(
            arm, question_set, self.seed, self.profile.name, self.experiment, "interrupted", [], {}, prepared.effort,
            config, results.versions(), models.hardware(), results.now(),
            results.claims_hash() if (self.dataset.folder / "world.json").is_file() else "",
        )  # fmt: skip
        retrieval = retrieval_scores(prepared.assistant, questions)
        try:
            if not evaluation.complete:
                batch, read = self.profile.batch_size, texts[: self.profile.questions_per_set]
                evaluate(prepared.assistant, questions, values, batch, timed, self.progress, evaluation, read)
            result.metrics = evaluation.measured | retrieval | prepared.measured
            result.status = "complete"
        finally:
            result.scores = evaluation.scores
            if result.scores:
                results.write_result(self.out, result, values, self.dataset.kinds)
        return results.read_result(path)

    def provenance(self, arm: Arm) -> dict[str, Any]:
        """What an arm's answers depend on: model, data and settings; a result keeps it as its `config`."""
        record: dict[str, Any] = {
            "model": self.model.name, "model_hash": self.model.hash, "dtype": self.model.dtype,
            "device": self.model.device, "data_hash": self.dataset.hash, "arm": arm.record,
        }  # fmt: skip
        if needed := arm.recipes_for(self.dataset.question_sets):
            record["adapter"] = {recipe: asdict(self._train_settings(recipe)) for recipe in needed}
        if arm.shows("passages"):
            record["rag"] = asdict(self.settings) | ({"k": arm.k} if arm.k else {})
        if arm.shows("examples"):
            record["examples"] = {task: len(shown) for task, shown in solved_examples(self.dataset).items()}
        return record

    def assistant(self, arm: str, question_set: str = "facts_heldout") -> Assistant:
        """The assistant of an arm, as it meets a question set; only the weights and the index that it uses are made."""
        return self._prepare(*get_arms([arm]), question_set, [question_set]).assistant

    def _prepare(self, arm: Arm, question_set: str, effort_for: Sequence[str]) -> PreparedArm:
        """An arm that is ready for a question set; its effort is that for the sets of `effort_for`."""
        if arm.shows("labels"):
            labelled = self.dataset.examples("triage")
            with models.measure() as effort:
                baseline = Baseline(arm.name, labelled)
            effort.labelled_examples = len(labelled)
            return PreparedArm(baseline, effort, {}, (question_set, arm.name))
        tuned = {recipe: self.train(recipe) for recipe in arm.recipes_for(effort_for)}
        after = question_set == "updates"  # it is asked after the documents were updated
        indices = [self.index(updated, arm.source) for updated in (False, True)[: 1 + after] if arm.shows("passages")]
        examples, text = {}, same_text(arm, self.dataset, self.model, after)
        if arm.shows("examples"):
            examples = solved_examples(self.dataset, self.index()[0].retriever() if indices else None)
        training = sum((each.effort for each in tuned.values()), Effort())
        shown = Effort(
            labelled_examples=sum(map(len, examples.values())), documents=len(text.document_ids) if text else 0
        )
        effort = sum((made for _, _, made in indices[:1]), training + shown)
        index, report, updating = indices[-1] if indices else (None, None, training)
        measured: dict[str, Any] = {}
        if after:
            measured["update"] = asdict(report) if report else {}
            measured["update"] |= {"effort": asdict(updating), "measured": report is not None}
        weights = tuned.get(arm.recipe(question_set))
        if weights:
            measured["weights"] = weights.hash
        folder, retriever = weights and weights.folder, index.retriever(arm.k) if index else text
        rewrite = rag.TwoStep(index).rewrite if index and arm.steps > 1 else None
        assistant = Assistant(self.model, folder, retriever, examples, rewrite, arm.order, arm.may_decline)
        written = question_set not in CHOICE_SETS + TEXT_SETS  # a choice is scored without examples, and not declined
        context = (arm.sees, arm.source, arm.k, arm.order, arm.steps, written and arm.may_decline) if retriever else ()
        return PreparedArm(assistant, effort, measured, (question_set, folder, written and bool(examples), *context))

    def index(self, updated: bool = False, source: str = "documents") -> tuple[rag.Index, rag.IndexReport, Effort]:
        """The index over the documents, or over the documents after `updates/`, with its report and its effort.

        The updated index is a second one, built over the old documents and then brought up to date; its report and
        effort are those of the update alone. `source` is that of an arm.
        """
        if (source, updated) not in self._indices:
            self._indices[source, updated] = rag.dataset_index(
                self.artefacts / "index", self.dataset, self.embedder, self.settings, updated, self.progress,
                self.vector_store, source,
            )  # fmt: skip
        return self._indices[source, updated]

    def training_folder(self, recipe: str) -> Path:
        """Where the weights of a recipe lie: another folder for other data, prompts, settings, model or seed."""
        own, *starts = [asdict(self._train_settings(each)) for each in reversed(recipes.with_starts([recipe]))]
        retrieval = asdict(self.settings) | {"order": recipes.PASSAGE_ORDER} if recipe == "passages" else {}
        made_of = [self.dataset.hash, self.model.hash, own, retrieval, *starts, *PROMPTS]
        key = results.fingerprint([*made_of, self.dataset.general_text("replay")])[:8]
        return self.artefacts / "adapters" / f"{recipe.replace(':', '~')}.{self.profile.name}.seed{self.seed}.{key}"

    def train(self, recipe: str, callback: TrainerCallback | None = None, fsdp: bool = False) -> tuning.FineTuned:
        """The tuned weights of a recipe: those made before, or made now; an interrupted training is resumed.

        `callback` is one of transformers' Trainer; None shows a progress bar. `fsdp` says that the processes which
        torchrun started share the weights as well.
        """
        folder, settings = self.training_folder(recipe), self._train_settings(recipe)
        if (folder / models.RECORD).is_file():
            return tuning.read_fine_tuned(folder)
        retrieve = self.index()[0].retriever(k=recipes.PASSAGES).retrieve_all if recipe == "passages" else None
        texts = recipes.training_data(recipe, self.dataset, retrieve, self.seed, self.profile.validation_examples)
        if callback is None and self.progress:
            callback = tuning.Progress(recipe)
        before = recipes.start(recipe)
        start = self.train(before, fsdp=fsdp).folder if before else None
        score = self._check if recipe in recipes.CHECKED and self.dataset.checks() else None
        with held(folder) if models.is_first_process() else nullcontext():  # another study may want the same weights
            return tuning.train(self.model, texts, settings, folder, start, callback, fsdp, score)

    def _check(self, model: models.FoundationModel) -> float:
        """The mean score of a model on the validation questions."""
        questions = sample(self.dataset.checks(), self.profile.validation_examples)
        values, batch = self.dataset.values_by_asset, self.profile.batch_size
        return fmean(score.value for score in evaluate(Assistant(model), questions, values, batch).scores)

    def _train_settings(self, recipe: str) -> tuning.TrainSettings:
        return recipes.settings(recipe, self.profile, self.seed, self.changes)
