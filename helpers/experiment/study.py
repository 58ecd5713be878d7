"""The arms, asked and scored in the same way, one result file each; results that are there already are reused.

    study = Study("datasets/tidewater", "quick", out="results/own")
    study.run(["base", "rag"])

From a terminal: python -m helpers study --arms base,rag --profile quick --out results/own
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..data import TIMED_SET, Question, Result, sample
from . import results
from .arms import ARMS, get_arms
from .evaluation import Evaluation, evaluate, perplexity_texts
from .prepare import Preparation, PreparedArm

RETRIEVAL = ("hit_rate_1", "hit_rate_5", "mrr", "ndcg")  # what a result keeps of the scores of retrieval


class Study(Preparation):
    """One data set, one model, one profile and one seed: the frame in which arms can be compared."""

    @cached_property
    def _evaluations(self) -> dict[tuple, Evaluation]:
        """Finished evaluations by `PreparedArm.alike`: arms that answer alike are asked once."""
        return {}

    @property
    def arms(self) -> list[str]:
        """The arms of a whole comparison in this profile, in the kit's order."""
        return [arm for arm in ARMS if arm not in self.profile.left_out]

    def questions(self, question_set: str) -> list[Question]:
        """The questions of a set that this profile asks."""
        return sample(self.dataset.questions(question_set), self.profile.questions_per_set)

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
        """Runs one arm on one question set, or reuses its result.

        An interruption keeps the answers that are there, in a file whose status is `interrupted`.
        """
        path = self.out / results.file_name(arm, question_set, self.seed, self.experiment)
        finished = results.finished(path, self.provenance(arm))
        if finished is not None:
            return finished
        if self.progress:
            print(f"{arm} on {question_set}", file=sys.stderr)
        prepared = self.prepare(arm, question_set)
        evaluation = self._evaluations.get(prepared.alike) or Evaluation()
        result = Result(
            arm, question_set, self.seed, self.profile.name, self.experiment, "interrupted", [], {},
            prepared.effort, prepared.provenance, **results.made_with(),
        )  # fmt: skip
        questions = self.questions(question_set)
        try:
            if not evaluation.complete:
                evaluate(
                    prepared.assistant, questions, self.dataset.values_by_asset, self.profile.batch_size,
                    self._timed(question_set), self.progress, evaluation,
                    perplexity_texts(question_set, self.dataset)[: self.profile.questions_per_set],
                )  # fmt: skip
                self._evaluations[prepared.alike] = evaluation
            result.metrics = evaluation.summary() | _retrieval(prepared, questions) | prepared.measured
            result.status = "complete"
        finally:
            result.scores = evaluation.scores
            if result.scores:
                results.write_result(self.out, result)
        return result

    def _timed(self, question_set: str) -> int:
        """How many questions of a set are asked again alone, for their times: those of the one that costs tell of."""
        timed_set = TIMED_SET if TIMED_SET in self.question_sets else self.question_sets[0]
        return self.profile.latency_questions if question_set == timed_set else 0


def _retrieval(prepared: PreparedArm, questions: Sequence[Question]) -> dict[str, Any]:
    """The scores of retrieval alone, where passages are retrieved and the questions name the right documents."""
    if prepared.index is None or not any(question.documents for question in questions):
        return {}
    from ..rag import score_retrieval

    found = score_retrieval(prepared.assistant.retriever, questions, prepared.index)
    return {"retrieval": {name: found[name] for name in RETRIEVAL}}
