"""The recorded sweep behind RAG's defaults: chunk size, search mode, k, order of the passages, solved examples.

    python -m tools.benchmarks.rag_sweep --out results/reference/rag_sweep.json

A world of a seed that no result is reported of is made for it, and all its `facts_heldout` are asked. One setting is
varied at a time around the default, but for the order, which needs several passages.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tqdm.auto import tqdm

from helpers.analysis import accuracy
from helpers.data import TIMED_SET, Dataset, open_dataset, read_documents, sample, write_text
from helpers.experiment import Assistant, evaluate, results, solved_examples
from helpers.models import hardware, load_embedder, load_model, prompts
from helpers.rag import RagSettings, build_index, open_store, score_retrieval
from tools.world import generate

SEED = 13


@dataclass(frozen=True)
class Setup:
    """One way to answer with passages: how they are found, in which order they stand, after how many examples."""

    rag: RagSettings = field(default_factory=RagSettings)
    order: str = prompts.BEST_FIRST
    examples: int = 0


def setups() -> list[Setup]:
    """Every setup that is tried."""
    default = RagSettings()
    tried = [Setup(replace(default, chunk_size=size)) for size in (64, 96, 128, 192)]
    tried += [Setup(replace(default, mode=mode)) for mode in ("vector", "bm25", "hybrid")]
    tried += [
        Setup(replace(default, k=k), order) for k in (1, 2, 3, 5) for order in (prompts.BEST_FIRST, prompts.BEST_LAST)
    ]
    tried += [Setup(default, examples=count) for count in (1, 2, 4, 6)]
    tried += [Setup(replace(default, k=3), prompts.BEST_LAST, 4)]
    return [each for each in dict.fromkeys(tried) if each.rag.k > 1 or each.order == prompts.BEST_FIRST]


def measure_setup(setup: Setup, dataset: Dataset, fm, embedder, questions: int | None) -> dict:
    """Accuracy with its interval and hit rates of one setup."""
    with tempfile.TemporaryDirectory() as folder:
        documents = read_documents(dataset.documents_folder)
        index, _ = build_index(documents, open_store(folder), embedder, setup.rag, progress=False)
        asked = sample(dataset.questions(TIMED_SET), questions)
        retriever = index.retriever()
        counts = {"answers": setup.examples} if setup.examples else {}
        examples = solved_examples(dataset, index.retriever(1), counts)
        assistant = Assistant(fm, retriever=retriever, examples=examples, order=setup.order)
        scores = evaluate(assistant, asked, dataset.values_by_asset).scores
        rates = score_retrieval(retriever, asked)
    found = {name: rates[name] for name in ("hit_rate_1", "hit_rate_5", "mrr")}
    return asdict(setup.rag) | {"order": setup.order, "examples": setup.examples} | accuracy(scores) | found


def main() -> None:
    """Runs the sweep; what was measured before an interruption stands in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/reference/rag_sweep.json"))
    parser.add_argument("--questions", type=int, help="how many are asked; all when left out")
    arguments = parser.parse_args()
    fm, embedder = load_model(), load_embedder()
    with tempfile.TemporaryDirectory() as made:
        generate(Path(made) / "world", seed=SEED)
        dataset = open_dataset(Path(made) / "world")
        record = {"created": results.now(), "hardware": hardware(), "seed": SEED, "set": TIMED_SET, "rows": []}
        for setup in tqdm(setups(), unit="setup"):
            record["rows"].append(measure_setup(setup, dataset, fm, embedder, arguments.questions))
            write_text(arguments.out, json.dumps(record, indent=1) + "\n")
    for row in record["rows"]:
        print({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main()
