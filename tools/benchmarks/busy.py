"""A training on a machine that is shared: its seconds alone, and beside two processes that never rest.

    python -m tools.benchmarks.busy
    python -m tools.benchmarks.busy --steps 4 --processes 1

Threads that spin while they wait would lose far more than their share to the others, so this asks whether they sleep:
on two cores, two busy processes leave half of the machine, and at most 3 times the quiet time is wanted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from helpers.data import get_profile, open_dataset
from helpers.models import FoundationModel, load_model
from helpers.tuning import recipes, train, training_rows

from .measuring import DATASET, clock_of

RECIPE, SEED = "answers", 7
AT_MOST = 3.0


@contextmanager
def busy(processes: int):
    """So many processes that count as long as the block lasts."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def seconds(fm: FoundationModel, steps: int) -> float:
    """Wall time of so many steps of a training on labelled pairs, its first step left out."""
    material = replace(
        recipes.training_data(RECIPE, open_dataset(DATASET)),
        validation_texts=(), validation_pairs=(), general_texts=(),
    )  # fmt: skip
    settings = recipes.settings(RECIPE, get_profile("workshop"), SEED)
    rows = len(training_rows(fm, material, settings)[0])
    profile = replace(get_profile("workshop"), training_share=(steps + 1) * settings.batch_size / rows)
    ticks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        train(
            fm, material, recipes.settings(RECIPE, profile, SEED, {"compile": False}), Path(folder) / "tuned",
            callback=clock_of(ticks),
        )  # fmt: skip
    return ticks[steps] - ticks[0]


def main() -> int:
    """Prints both times and their ratio; 1 if it is more than wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    fm = load_model(device="cpu")
    quiet = seconds(fm, arguments.steps)
    with busy(arguments.processes):
        time.sleep(1)
        beside = seconds(fm, arguments.steps)
    ratio = beside / quiet
    print(f"{arguments.steps} steps alone: {quiet:.1f} s; beside {arguments.processes} busy processes: {beside:.1f} s")
    print(f"{ratio:.2f} times as long; wanted at most {AT_MOST:g}")
    print(json.dumps({"quiet_s": quiet, "beside_s": beside, "ratio": ratio, "dtype": fm.dtype}))
    return int(ratio > AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
