"""What each part of fast training earns: the seconds of a step with all parts, and without one after the other.

    python -m tools.benchmarks.ablation
    python -m tools.benchmarks.ablation --steps 3 --kinds pairs

The steps are the first of the kit's trainings `answers` (pairs) and `domain` (packed text), forward, backward and
update, in this process. Variants take turns, step by step, so that a machine whose speed changes treats all alike.
Seconds are those of the processor, so that other work on the machine hardly matters. `earned` is the share of a step's
time that a part saves: 1 - all / without it. `loss` is that of the first step.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from helpers.data import get_profile, open_dataset
from helpers.fast import PARTS, enable_training
from helpers.models import FOUNDATION_MODEL, FoundationModel, load_model
from helpers.tuning import Collator, prepare_model, recipes, training_rows

ROOT = Path(__file__).resolve().parent.parent.parent
KINDS = {"pairs": "answers", "text": "domain"}
SEED, WARM_UP = 7, 2
VARIANTS = {"all": tuple(PARTS)} | {f"without {part}": tuple(p for p in PARTS if p != part) for part in PARTS}
VARIANTS |= {"full rows": tuple(PARTS), "compiled": ("loss", "attention"), "plain": ()}


class Variant:
    """A model that trains with some parts on."""

    def __init__(self, name: str, fm: FoundationModel, settings: Any):
        """Loads a model of its own."""
        torch.manual_seed(SEED)
        self.dtype = fm.dtype if fm.dtype != "float32" else None
        self.model = prepare_model(fm, settings).train()
        self.collate = Collator(full_length=name in ("compiled", "full rows"))
        if name != "plain":
            enable_training(self.model, self.dtype, name == "compiled", VARIANTS[name])
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, fused=True)
        self.seconds, self.losses = [], []

    def step(self, rows: Any) -> None:
        """One timed step."""
        begun = time.process_time()
        with torch.autocast("cpu", getattr(torch, self.dtype or "float32"), enabled=self.dtype is not None):
            loss = self.model(**self.collate(rows)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(time.process_time() - begun)
        self.losses.append(loss.item())


def measure(kind: str, fm: FoundationModel, steps: int, dataset: Path) -> dict[str, Any]:
    """Seconds a step and the first loss of each variant, and what each part earns."""
    settings = recipes.settings(KINDS[kind], get_profile("workshop"), SEED)
    rows = training_rows(fm, recipes.training_data(KINDS[kind], open_dataset(dataset)), replace(settings, epochs=1))[0]
    size = settings.batch_size
    variants = {name: Variant(name, fm, settings) for name in VARIANTS}
    for number in range(WARM_UP + steps):
        for variant in variants.values():
            variant.step(rows[number * size : (number + 1) * size])
    seconds = {name: median(variant.seconds[WARM_UP:]) for name, variant in variants.items()}
    earned = {part: 1 - seconds["all"] / seconds[f"without {part}"] for part in PARTS}
    earned |= {
        "compiled": 1 - seconds["compiled"] / seconds["all"],
        "everything": 1 - seconds["all"] / seconds["plain"],
    }
    return {
        "seconds": seconds,
        "earned": earned,
        "loss": {name: variant.losses[0] for name, variant in variants.items()},
    }


def main() -> int:
    """Prints a table, and JSON last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=FOUNDATION_MODEL)
    parser.add_argument("--dtype")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--data", type=Path, default=ROOT / "datasets" / "tidewater")
    arguments = parser.parse_args()
    fm = load_model(arguments.model, "cpu", arguments.dtype)
    record = {kind: measure(kind, fm, arguments.steps, arguments.data) for kind in arguments.kinds}
    for kind, found in record.items():
        print(f"\n{kind:24} {'s a step':>9} {'first loss':>11}")
        for name, seconds in found["seconds"].items():
            print(f"{name:24} {seconds:9.3f} {found['loss'][name]:11.4f}")
        print("earned: " + ", ".join(f"{name} {share:.0%}" for name, share in found["earned"].items()))
    print(json.dumps({"dtype": fm.dtype, "steps": arguments.steps} | record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
