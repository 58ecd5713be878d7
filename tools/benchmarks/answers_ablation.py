"""What each part of fast answering earns: seconds with all parts, and without one after the other.

    python -m tools.benchmarks.answers_ablation
    python -m tools.benchmarks.answers_ablation --questions 16

Asked are held-out questions, with the passages that the recorded RAG arm saw and without: 32 at a time, and one by
one. Variants take turns. `earned` is the share of the time that a part saves: 1 - all / without it. Seconds are those
of the processor, so that other work on the machine hardly matters.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from helpers.experiment import read_results
from helpers.fast import FastAnswers, SharedPrefix, packed_weights
from helpers.models import FoundationModel, generation, load_model

RECORDED = Path(__file__).resolve().parent.parent.parent / "results" / "reference"


class WithoutPrefix(FastAnswers):
    """Reads what prompts share with each of them."""

    def shared_prefix(self, rows: Any, system: Any = ()) -> SharedPrefix:
        """Nothing."""
        return SharedPrefix()


def variants(fm: FoundationModel) -> dict[str, FoundationModel]:
    """The model with all parts, without one of them, and on the plain path."""
    made = {name: replace(fm) for name in ("all", "without shared prefix", "without packed weights", "plain")}
    assert made["all"].fast, "the fast path does not know this model"
    made["without shared prefix"].fast = WithoutPrefix(fm.model)
    with mock.patch.object(packed_weights, "LARGEST", 0.0):
        made["without packed weights"].fast = FastAnswers(fm.model)
    made["plain"].fast = None
    return made


def main() -> int:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sides = variants(load_model(device="cpu"))
    kinds = {"with passages": "rag", "without context": "base"}
    recorded = {(each.arm, each.question_set): each.scores for each in read_results(RECORDED)}
    for kind, arm in kinds.items():
        prompts = [score.answer.prompt for score in recorded[arm, "facts_heldout"]][: arguments.questions]
        for size, asked in ((32, [prompts]), (1, [[prompt] for prompt in prompts[:8]])):
            seconds: dict[str, list[float]] = {name: [] for name in sides}
            for turn in range(arguments.repeats + 1):
                for name in list(sides)[:: -1 if turn % 2 else 1]:
                    begun = time.process_time()
                    for each in asked:
                        generation.generate(sides[name], each, 20, size)
                    seconds[name] += [time.process_time() - begun] if turn else []
            for name, spent in seconds.items():
                earned = 1 - median(seconds["all"]) / median(spent)
                print(
                    f"{kind}, {size:2} at a time  {name:24} {median(spent):6.2f} s   earned {earned:5.0%}", flush=True
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
