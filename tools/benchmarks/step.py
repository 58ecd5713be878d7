"""A training step of the kit: as it is, with compiled layers, and what it cannot do without.

    python benchmarks/step.py --json
    python benchmarks/step.py --quick

A training needs its matrix products, attention, norms, activations, loss and the update of its weights, each timed by
itself (floor.py says what that is worth): `floor_s` is how long a step would take if everything else cost nothing,
`floor` its parts, and `of_floor` the share of a compiled step that they make up. `ratio` is the seconds of a plain step
over those of a compiled one; `compiling_s` is what the first step, loading included, took longer for it: the more, the
less of it torch had in its cache. By such figures helpers/fast/compiled.py decides how long a training must be to be
compiled. Exit code 1: the losses of the first step, when all weights are the same, or the mean losses of all steps
(`mean_loss_difference`), by which a wrong gradient would show, lie more than 1 % apart.

The trainings are `answers` (pairs), `domain` (text) and `domain+pairs` (all weights), on their own first batches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import mean, median
from typing import Any

from floor import floor
from measuring import DATASET, clock_of, finish, in_own_process, matrix_peak, options, ratio, repeats_of, take_turns

from helpers import data
from helpers.data import get_profile
from helpers.models import foundation_model as models
from helpers.models.machine import choose_dtype
from helpers.tuning import TrainingData, recipes
from helpers.tuning.prepare_model import prepare_model
from helpers.tuning.training import train
from helpers.tuning.training_data import training_rows

KINDS = {"pairs": "answers", "text": "domain", "all_weights": "domain+pairs"}
SEED = 7
STEPS, QUICK_STEPS, WARM_UP = 12, 3, 4  # timed steps, and those before them, in which memory is still taken
TOLERANCE = 0.01  # how far the losses of plain and compiled steps may lie apart


def work(kind: str, model: str, dtype: str, steps: int, compiled: bool) -> dict[str, Any]:
    """Makes the first steps of a training in this process, as the kit makes them.

    Returns:
        `seconds` of each timed step, `first_s` of the first one, `losses` of all, `rows` and `tokens` of a batch, and
        its `floor` where the layers are not compiled.
    """
    fm = models.load_model(model, device="cpu", dtype=dtype)
    told = material_of(kind)
    whole = recipes.settings(KINDS[kind], get_profile("workshop"), SEED)
    size = whole.batch_size
    part = (WARM_UP + steps) * size / len(training_rows(fm, told, whole)[0])
    profile = replace(get_profile("workshop"), training_share=part)
    settings = recipes.settings(KINDS[kind], profile, SEED, {"compile": compiled, "checkpoint_steps": 1_000_000})
    clock = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as folder:
        tuned = train(fm, told, settings, f"{folder}/run", callback=clock_of(clock))
    losses = [entry.loss for entry in tuned.history]
    seconds = [end - begin for begin, end in pairwise(clock)]
    made = {"seconds": seconds[WARM_UP:], "first_s": seconds[0], "losses": losses, "rows": size}
    made["tokens"] = size * settings.max_length
    if not compiled:
        made["floor"] = floor(prepare_model(fm, settings), [training_rows(fm, told, settings)[0][:size]])
    return made


def material_of(kind: str) -> TrainingData:
    """What the kit's own training of a kind learns from, with nothing to read along the way."""
    told = recipes.training_data(KINDS[kind], data.open_dataset(DATASET))
    return replace(told, validation_texts=(), validation_pairs=(), general_texts=())


def side(told: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """A run of `work` in a process of its own."""
    return lambda: in_own_process(__file__, "--worker", json.dumps(told))


def figures(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The figures of one kind, from the runs of both sides."""
    seconds = {name: [median(run["seconds"]) for run in made] for name, made in runs.items()}
    plain, compiled = runs["plain"][0], runs["compiled"][0]
    step = {name: median(each) for name, each in seconds.items()}
    least = {part: median(run["floor"][part] for run in runs["plain"]) for part in plain["floor"]}
    first = abs(compiled["losses"][0] / plain["losses"][0] - 1)
    apart = abs(mean(compiled["losses"]) / mean(plain["losses"]) - 1)
    return ratio(seconds["compiled"], seconds["plain"]) | {
        "plain_s": step["plain"], "compiled_s": step["compiled"], "floor_s": sum(least.values()), "floor": least,
        "of_floor": sum(least.values()) / step["compiled"], "tokens": plain["tokens"], "rows": plain["rows"],
        "compiling_s": [run["first_s"] - plain["first_s"] for run in runs["compiled"]],
        "first_loss_difference": first, "mean_loss_difference": apart, "agree": max(first, apart) <= TOLERANCE,
    }  # fmt: skip


def main() -> int:
    """Measures every kind, or makes the steps of one where it was started for that."""
    parser = options(__doc__)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(**json.loads(arguments.worker))))
        return 0
    dtype = arguments.dtype or choose_dtype("cpu")[0]
    steps = QUICK_STEPS if arguments.quick else STEPS
    record: dict[str, Any] = {"limit": {"what": f"{dtype} matrix product", "flop_per_s": matrix_peak(dtype)}}
    for kind in arguments.kinds:
        told = {"kind": kind, "model": str(arguments.model), "dtype": dtype, "steps": steps}
        sides = {"plain": side(told | {"compiled": False}), "compiled": side(told | {"compiled": True})}
        record[kind] = figures(take_turns(sides, repeats_of(arguments)))
    least = min((record[kind] for kind in arguments.kinds), key=lambda found: found["ratio"])
    shown = {name: least[name] for name in ("ratio", "ratio_low", "ratio_high")}
    agree = all(record[kind]["agree"] for kind in arguments.kinds)
    return finish("step", shown | {"agree": agree, "dtype": dtype} | record, arguments)


if __name__ == "__main__":
    sys.exit(main())
