"""Records what documents before every question give: accuracy, time and cover against how many documents there are.

    python -m tools.benchmarks.long_context --data datasets/tidewater --out results/reference

Writes long_context.curve.json (accuracy), long_context_time.curve.json (first token, everything read anew) and
long_context_cover.curve.json (questions of which a gold document is among the documents).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers.analysis import accuracy
from helpers.data import Question, sample
from helpers.experiment import Assistant, Curve, Study, evaluate, fitting_documents, write_curve

from .measuring import DATASET, WARM_UP
from .training_sweep import where_and_when

COUNTS = (1, 2, 4, 8, 16, 32)
ARM, X = "long_context", "documents in the prompt"


def against_documents(
    study: Study, questions: Sequence[Question], counts: Sequence[int] = COUNTS, timed: int = 3
) -> dict[str, list[dict[str, float]]]:
    """By kind of figure the points of a curve; the last is the number of documents that fill the model's context.

    The documents are read once for all questions, as they are by the arm. `timed` questions are asked again, each with
    nothing read before, for the time to the first token (median, fastest and slowest, in seconds).
    """
    full = fitting_documents(study.dataset, study.model)
    points: dict[str, list[dict[str, float]]] = {"accuracy": [], "first_token_s": [], "cover": []}
    for count in sorted({count for count in counts if count < len(full.document_ids)} | {len(full.document_ids)}):
        text = fitting_documents(study.dataset, study.model, count)
        assistant = Assistant(study.model, retriever=text)
        done = evaluate(assistant, questions, study.dataset.values_by_asset, study.profile.batch_size)
        seconds = []
        for question in questions[:timed]:
            study.model.free_memory()  # what was read before is forgotten
            Assistant(study.model).ask(question, WARM_UP)
            seconds.append(assistant.ask(question, 1).first_token_s)
        share, n = text.gold_share(questions), len(questions)
        points["accuracy"].append({"x": count} | accuracy(done.scores))
        points["first_token_s"].append(
            {"x": count, "value": float(np.median(seconds)), "low": min(seconds), "high": max(seconds), "n": timed}
        )
        points["cover"].append({"x": count, "value": share, "low": share, "high": share, "n": n})
    return points


def main() -> None:
    """Measures the three curves and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATASET)
    parser.add_argument("--out", type=Path, default=Path("results/reference"))
    parser.add_argument("--questions", type=int, default=40, help="questions of facts_heldout a point")
    arguments = parser.parse_args()
    study = Study(arguments.data, out=arguments.out)
    questions = sample(study.dataset.questions("facts_heldout"), arguments.questions)
    points = against_documents(study, questions)
    for name, kind, title in (
        ("long_context", "accuracy", "accuracy on facts_heldout"),
        ("long_context_time", "first_token_s", "time to the first token, nothing read before (s)"),
        ("long_context_cover", "cover", "questions whose document is in the prompt (share)"),
    ):
        print(write_curve(arguments.out, Curve(name, X, title, ARM, points[kind], where_and_when())))


if __name__ == "__main__":
    main()
