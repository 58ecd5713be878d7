"""The recorded sweep behind the settings in helpers/tuning/recipes.yaml, on a world of another seed.

    python -m tools.benchmarks.training_sweep                     # every trial that is not recorded yet
    python -m tools.benchmarks.training_sweep --only domain       # trials whose name begins so

A trial is a training and what differs from its settings. Each is recorded as soon as it is measured; an interrupted
trial goes on from its last checkpoint. The questions are those of a world made for this, never of the committed one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import data, models
from helpers.analysis import accuracy
from helpers.data import get_profile, read_documents, sample, write_text
from helpers.experiment import Assistant, evaluate, results
from helpers.models import generation, hardware
from helpers.rag import RagSettings, build_index, open_store
from helpers.tuning import Lora, Progress, recipes, train
from tools.world import generate

WORLD_SEED = 13  # no result is reported on it
SETS = {
    "triage": ("triage", "general"),
    "answers": ("facts_trained", "facts_heldout", "terms", "terms_free", "general"),
    "domain": ("terms_completion", "terms_unread", "terms", "facts_heldout", "general"),
    "domain,triage": ("triage", "general"),
    "domain,answers": ("terms", "terms_free", "facts_trained", "facts_heldout", "general"),
    "domain+pairs": ("terms", "terms_free", "facts_trained", "facts_heldout", "general"),
    "passages": ("facts_heldout", "twins", "general"),
}
TRIALS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("training_trials.json").read_text())


class Bench:
    """One world, one model, and what the trials share."""

    def __init__(self, work: Path, questions: int, seed: int = WORLD_SEED):
        """Makes the world where it is not there yet."""
        self.work, self.questions = work, questions
        folder = work / f"world-{seed}"
        if not (folder / "README.md").exists():
            generate(folder, seed=seed)
        self.dataset, self.fm = data.open_dataset(folder), models.load_model()

    def retriever(self):
        """Three passages a question, as the arm `rag+customization` gets them."""
        documents = read_documents(self.dataset.documents_folder)
        index, _ = build_index(documents, open_store(self.work / "store"), models.load_embedder(), RagSettings(), False)
        return index.retriever(k=recipes.PASSAGES)

    def start(self, training: str) -> Path | None:
        """The weights that a training goes on from, made with its settings; None: those of the model."""
        if training not in recipes.STARTS_FROM:
            return None
        first = recipes.STARTS_FROM[training]
        settings = recipes.settings(first, get_profile("workshop"), seed=7)
        material = recipes.training_data(first, self.dataset)
        return train(self.fm, material, settings, self.work / first, self.start(first), Progress(first)).folder

    def run(self, name: str, training: str, change: dict[str, Any]) -> dict[str, Any]:
        """Trains one trial and measures it."""
        retriever = self.retriever() if training == "passages" else None
        settings = recipes.settings(training, get_profile("workshop"), seed=7)
        settings = replace(settings, **{k: v for k, v in change.items() if k not in ("rank", "alpha", "tasks")})
        if "rank" in change:
            rank = change["rank"]
            settings = replace(settings, lora=Lora(rank, change.get("alpha", rank)) if rank else None)
        material = recipes.training_data(training, self.dataset, retriever and retriever.retrieve_all)
        if "tasks" in change:
            material = replace(material, pairs=[p for task in change["tasks"] for p in self.dataset.examples(task)])
        tuned = train(self.fm, material, settings, self.work / name, self.start(training), Progress(name))
        row = {
            "training": name, "rank": settings.lora.rank if settings.lora else "all weights",
            "alpha": settings.lora.alpha if settings.lora else None, "batch": settings.batch_size,
            "learning rate": settings.learning_rate, "epochs": settings.epochs, "minutes": tuned.effort.wall_s / 60,
            "peak GiB": tuned.effort.peak_memory_bytes / 2**30, "MB": tuned.effort.artefact_bytes / 1e6,
            "loss": tuned.history[-1].loss, "day": results.now()[:10],
        }  # fmt: skip
        assistant = Assistant(self.fm, tuned.folder, retriever)
        for question_set in SETS[training]:
            asked = sample(self.dataset.questions(question_set), self.questions)
            scores = evaluate(assistant, asked, self.dataset.values_by_asset).scores
            row[question_set] = accuracy(scores)["value"]
        plain = Assistant(self.fm, tuned.folder)
        row["perplexity, domain"] = text_perplexity(plain, self.dataset.corpus("validation")[:20])
        row["perplexity, general"] = text_perplexity(plain, self.dataset.general_text("evaluation")[:20])
        return row


def text_perplexity(assistant: Assistant, texts: Sequence[str]) -> float:
    """Perplexity of plain texts under the assistant's weights; what it retrieves plays no part."""
    return generation.perplexity(generation.text_losses(assistant.model, texts))


def options(about: str, out: str, questions: int) -> argparse.ArgumentParser:
    """What every script that trains for a record can be told."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--work", type=Path, default=Path("results/own/sweep"), help="worlds and weights")
    parser.add_argument("--questions", type=int, default=questions, help="questions a point, at most")
    return parser


def where_and_when() -> dict[str, Any]:
    """Machine, date, seed and profile, as they stand beside a record."""
    machine = hardware()
    place = f"{machine['processor']}, {machine['cores']} cores"
    return {"machine": place, "date": results.now()[:10], "seed": WORLD_SEED, "profile": "workshop"}


def main() -> None:
    """Runs the trials that are not recorded yet."""
    parser = options(__doc__, "results/reference/training_sweep.json", 80)
    parser.add_argument("--only", default="", help="the beginning of the names to run")
    arguments = parser.parse_args()
    record = {"rows": []}
    if arguments.out.is_file():
        record = json.loads(arguments.out.read_text(encoding="utf-8"))
    done = {row["training"] for row in record["rows"]}
    bench = Bench(arguments.work, arguments.questions)
    for name, trial in TRIALS.items():
        if name.startswith(arguments.only) and name not in done:
            change = {key: value for key, value in trial.items() if key != "training"}
            record["rows"].append(bench.run(name, trial["training"], change))
            record |= where_and_when() | {"questions": arguments.questions}
            write_text(arguments.out, json.dumps(record, indent=1) + "\n")
            print(json.dumps(record["rows"][-1]), flush=True)


if __name__ == "__main__":
    main()
