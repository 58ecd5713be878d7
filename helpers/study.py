"""The arms, how each is prepared, and the runs; what was made before, by an earlier call, is reused.

python -m helpers study --arms base,rag --profile quick --data datasets/tidewater --out results/own
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import data, prompts, results
from .assistant import SHORT_ANSWER, Assistant
from .devices import hardware
from .effort import folder_bytes, measure
from .evaluate import Evaluation, evaluate, sample, summarise, text_perplexity
from .models import FOUNDATION_MODEL, FoundationModel, load_embedder, load_model
from .profiles import get_profile
from .records import QUESTION_SETS, Effort, Example, KitError, Question, Result

if TYPE_CHECKING:
    from .rag import Index, IndexReport, RagSettings

FEW_SHOT = {"answers": 4, "triage": 3}  # how many solved examples of each task the few-shot prompt shows


@dataclass(frozen=True)
class Arm:
    """One way of giving the model knowledge: what it sees beside the question ("nothing", "examples", "passages")."""

    name: str
    sees: str
    what: str


ARMS = {
    arm.name: arm
    for arm in (
        Arm("base", "nothing", "the foundation model as shipped, asked directly"),
        Arm("base:few_shot", "examples", "the same, with a few solved examples in the prompt"),
        Arm("rag", "passages", "the same, with retrieved passages in an expanded prompt"),
    )
}


def get_arms(names: Iterable[str]) -> list[Arm]:
    """The arms of these names.

    Raises:
        KitError: One of them is unknown.
    """
    names = list(names)
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise KitError(f"unknown arm {unknown[0]!r}: choose from {', '.join(ARMS)}")
    return [ARMS[name] for name in names]


class Study:
    """One data set, one model, one profile and one seed: the frame in which arms can be compared."""

    def __init__(
        self,
        folder: str | Path,
        profile: str = "workshop",
        seed: int = 7,
        out: str | Path | None = None,
        model: str | FoundationModel = FOUNDATION_MODEL,
        settings: RagSettings | None = None,
        progress: bool = True,
    ):
        """Opens the data set; models are loaded when they are needed.

        Args:
            folder: A data set such as datasets/tidewater.
            profile: "quick", "workshop" or "full".
            seed: Seeds training and sampling; the questions are the same for every seed.
            out: Where results and artefacts go; None takes `results.own_folder()`.
            model: The foundation model, or its name.
            settings: How documents are cut and retrieved; None takes the measured defaults.
            progress: Whether to show progress.
        """
        from .rag import RagSettings

        self.dataset = data.open_dataset(folder)
        self.profile, self.seed, self.progress = get_profile(profile), seed, progress
        self.out = Path(out) if out is not None else results.own_folder()
        self.settings = settings or RagSettings()
        self._model = model
        self._indices: dict[str, tuple[Index, IndexReport, Effort]] = {}

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
        same = {
            "data": self.dataset.hash,
            "model": self.model.hash,
            "dtype": self.model.dtype,
            "profile": asdict(self.profile),
            "prompts": [prompts.SYSTEM, prompts.DIRECT, prompts.EXPANDED, SHORT_ANSWER],
        }
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    @property
    def question_sets(self) -> list[str]:
        """The question sets that the data has, in the kit's order."""
        return [name for name in QUESTION_SETS if (self.dataset.folder / "questions" / f"{name}.jsonl").is_file()]

    def questions(self, question_set: str) -> list[Question]:
        """The questions of a set that this profile asks."""
        return sample(self.dataset.questions(question_set), self.profile.questions_per_set)

    def examples(self) -> dict[str, list[Example]]:
        """The few solved examples that a few-shot prompt shows, spread evenly over each task's training pairs."""
        shown = {}
        for task, count in FEW_SHOT.items():
            pairs = self.dataset.examples(task, "train")
            shown[task] = [pairs[(2 * i + 1) * len(pairs) // (2 * count)] for i in range(count)]
        return shown

    def index(self, updated: bool = False) -> tuple[Index, IndexReport, Effort]:
        """The index over the documents, or over the documents after `updates/`, with its report and its effort.

        The updated index is a second one, built over the old documents and then brought up to date; its report and
        effort are those of the update alone.
        """
        name = "updated" if updated else "documents"
        if name not in self._indices:
            self._indices[name] = self._make_index(name, updated)
        return self._indices[name]

    def _make_index(self, name: str, updated: bool) -> tuple[Index, IndexReport, Effort]:
        from .rag import IndexReport, build_index, open_store
        from .readers import apply_updates, read_documents

        cut = f"{self.settings.chunk_size}x{self.settings.chunk_overlap}"
        folder = self.out / "index" / f"{self.dataset.hash[:8]}-{cut}-{name}"
        store = open_store(folder / "store")
        before = read_documents(self.dataset.documents_folder)
        documents = apply_updates(before, self.dataset.folder / "updates") if updated else before
        record = folder / "made.json"
        if updated and not record.exists():
            build_index(before, store, self.embedder, self.settings, self.progress)
        with measure() as effort:
            index, report = build_index(documents, store, self.embedder, self.settings, self.progress)
        effort.documents, effort.artefact_bytes = report.reembedded, folder_bytes(folder)
        if report.reembedded == 0 and record.exists():
            made = json.loads(record.read_text(encoding="utf-8"))
            return index, IndexReport(**made["report"]), Effort(**made["effort"])
        results.write_text(record, json.dumps({"report": asdict(report), "effort": asdict(effort)}, indent=1))
        return index, report, effort

    def assistant(self, arm: str, question_set: str = "facts_heldout") -> Assistant:
        """The assistant of an arm, as it meets a question set; `updates` is asked after the update of the documents."""
        (wanted,) = get_arms([arm])
        if wanted.sees == "passages":
            index, _, _ = self.index(updated=question_set == "updates")
            return Assistant(self.model, retriever=index.retriever())
        return Assistant(self.model, examples=self.examples() if wanted.sees == "examples" else None)

    def effort(self, arm: str) -> Effort:
        """What it took to prepare an arm before its first answer."""
        (wanted,) = get_arms([arm])
        if wanted.sees == "passages":
            return self.index()[2]
        if wanted.sees == "examples":
            return Effort(labelled_examples=sum(FEW_SHOT.values()))
        return Effort()

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
        evaluate(
            assistant,
            questions,
            self.dataset.values_by_asset,
            self.profile.batch_size,
            self.profile.latency_questions,
            self.progress,
            into,
        )
        found: dict[str, Any] = summarise(into.scores)
        if into.first_token_s:
            found |= {"first_token_s": into.first_token_s, "total_s": into.total_s}
        texts = self._texts(question_set)
        if texts:
            found["perplexity"] = text_perplexity(assistant, texts)
        if assistant.retriever is not None and any(q.documents for q in questions):
            from .retrieval import score_retrieval

            index = self.index(updated=question_set == "updates")[0]
            retrieval = score_retrieval(assistant.retriever, questions, index)
            found["retrieval"] = {name: retrieval[name] for name in ("hit_rate_1", "hit_rate_5", "mrr", "ndcg")}
        if arm == "rag" and question_set == "updates":
            _, report, effort = self.index(updated=True)
            found["update"] = asdict(report) | {"effort": asdict(effort)}
        return found

    def _texts(self, question_set: str) -> list[str]:
        """The texts whose perplexity stands beside a set: general text with `general`, domain text with `terms`."""
        if question_set == "general":
            return self.dataset.general_text("evaluation")[: self.profile.questions_per_set]
        if question_set == "terms":
            return self.dataset.corpus("validation")[: self.profile.questions_per_set]
        return []

    def _config(self, arm: str) -> dict[str, Any]:
        config: dict[str, Any] = {
            "model": self.model.name, "model_hash": self.model.hash, "dtype": self.model.dtype,
            "device": self.model.device, "data_hash": self.dataset.hash, "arm": asdict(ARMS[arm]),
        }  # fmt: skip
        if ARMS[arm].sees == "passages":
            config["rag"] = asdict(self.settings)
        if ARMS[arm].sees == "examples":
            config["examples"] = FEW_SHOT
        return config
