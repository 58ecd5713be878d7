"""The recorded latency curves: time to the first token against the prompt's length, and of a search against the index.

    python benchmarks/latency_curves.py --out results/reference

Writes latency_context.curve.json and latency_index.curve.json, and prints one JSON document with both.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from helpers import data
from helpers.experiment import results
from helpers.experiment.curves import Curve, write_curve
from helpers.experiment.latency_curves import CONTEXT_LENGTHS, INDEX_SIZES, against_context, against_index_size
from helpers.models import foundation_model as models
from helpers.models.machine import hardware

DATASET = Path(__file__).resolve().parent.parent.parent / "datasets" / "tidewater"


def main() -> None:
    """Measures both curves and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/reference"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=INDEX_SIZES, help="numbers of chunks in the index")
    parser.add_argument("--lengths", type=int, nargs="+", default=CONTEXT_LENGTHS, help="prompt lengths in tokens")
    arguments = parser.parse_args()
    about = {"hardware": hardware(), "created": results.now(), "versions": results.versions()}
    questions = data.open_dataset(DATASET).questions("facts_heldout")[: 4 * arguments.repeats]
    contexts = against_context(models.load_model(), arguments.lengths, arguments.repeats)
    sizes = against_index_size(models.load_embedder(), [question.prompt for question in questions], arguments.sizes)
    curves = (
        Curve("latency_context", "prompt length (tokens)", "time to the first token (s)", "base", contexts, about),
        Curve("latency_index", "chunks in the index", "time to embed and search (s)", "rag", sizes, about),
    )
    for curve in curves:
        write_curve(arguments.out, curve)
    print(json.dumps({curve.name: asdict(curve) for curve in curves}))


if __name__ == "__main__":
    main()
