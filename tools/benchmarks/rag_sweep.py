"""The recorded sweep behind RagSettings' defaults: chunk size, search mode and k, on worlds of other seeds.

    python -m tools.benchmarks.rag_sweep --out results/reference/rag_sweep.json

Worlds of seeds 11 and 12 are made for it, and only questions about trained assets are asked, so that the held-out
questions of the committed world stay untouched by the choice. One setting is varied at a time around the default.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from tqdm.auto import tqdm

from helpers.analysis import accuracy
from helpers.data import Dataset, open_dataset, read_documents, sample, write_text
from helpers.experiment import Assistant, evaluate, results
from helpers.models import hardware, load_embedder, load_model
from helpers.rag import RagSettings, build_index, open_store, score_retrieval
from tools.world import generate

SEEDS = (11, 12)
GRID = {
    "chunk_size": (64, 96, 128, 192),
    "mode": ("vector", "bm25", "hybrid"),
    "k": (1, 2, 3, 5),
}


def settings_to_try() -> list[RagSettings]:
    """The default, and every setting that differs from it in one value of the grid."""
    default = RagSettings()
    return list(dict.fromkeys(replace(default, **{name: value}) for name, values in GRID.items() for value in values))


def measure_setting(settings: RagSettings, worlds: list[Dataset], fm, embedder, questions: int) -> dict:
    """Accuracy with its interval and hit rates of one setting, over all worlds together."""
    scores, rates = [], []
    for dataset in worlds:
        with tempfile.TemporaryDirectory() as folder:
            documents = read_documents(dataset.documents_folder)
            index, _ = build_index(documents, open_store(folder), embedder, settings, progress=False)
            asked = sample(dataset.questions("facts_trained"), questions)
            retriever = index.retriever()
            scores += evaluate(Assistant(fm, retriever=retriever), asked, dataset.values_by_asset).scores
            rates.append(score_retrieval(retriever, asked, index))
    mean = {name: sum(rate[name] for rate in rates) / len(rates) for name in ("hit_rate_1", "hit_rate_5", "mrr")}
    return asdict(settings) | accuracy(scores) | mean


def main() -> None:
    """Runs the sweep; what was measured before an interruption stands in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/reference/rag_sweep.json"))
    parser.add_argument("--questions", type=int, default=40, help="questions a world")
    arguments = parser.parse_args()
    fm, embedder = load_model(), load_embedder()
    with tempfile.TemporaryDirectory() as made:
        worlds = []
        for seed in SEEDS:
            generate(Path(made) / str(seed), seed=seed)
            worlds.append(open_dataset(Path(made) / str(seed)))
        record = {"created": results.now(), "hardware": hardware(), "seeds": SEEDS, "rows": []}
        for settings in tqdm(settings_to_try(), unit="setting"):
            record["rows"].append(measure_setting(settings, worlds, fm, embedder, arguments.questions))
            write_text(arguments.out, json.dumps(record, indent=1) + "\n")
    for row in record["rows"]:
        print({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main()
