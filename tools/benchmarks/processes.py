"""The same training by one process and by several that share each batch: throughput, and whether the loss is the same.

    python benchmarks/processes.py --json                  # two processes on this machine's cores against one
    python benchmarks/processes.py --quick                 # a few steps, uncompiled
    python benchmarks/processes.py --fsdp --whole          # beside them: all weights tuned, in shards (FSDP)

The cores are dealt out: one process has all of them as threads, each of two has half. So on one machine the ratio shows
what sharing costs; it pays on several machines or GPUs. Seconds count from the end of the second step, which leaves
loading and compiling out. `ratio` is the seconds of one process over those of several for the same steps; exit code 1
says that a loss differs by more than a hundredth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from measuring import DATASET, ROOT, clock_of, finish, options, ratio, repeats_of, take_turns

from helpers import data
from helpers.data.records import KitError
from helpers.models.foundation_model import load_model
from helpers.models.machine import is_first_process
from helpers.tuning import Lora, TrainingData, TrainSettings
from helpers.tuning.training import train
from helpers.tuning.training_data import training_rows

SETTINGS = TrainSettings(Lora(16, 16), learning_rate=1e-3, batch_size=4, checkpoint_steps=1_000_000)
STEPS, QUICK_STEPS, WARM_UP = 42, 4, 2
TOLERANCE = 0.01  # of the loss: the order of sums in bfloat16


def work(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains in this process, alone or with those that torchrun started, and tells how it went."""
    fm = load_model(arguments.model, dtype=arguments.dtype)
    material = TrainingData(texts=data.open_dataset(arguments.data).corpus("train"))
    settings = replace(SETTINGS, compile=False if arguments.quick else None)
    settings = replace(settings, lora=None, learning_rate=1e-4) if arguments.whole else settings
    once = len(training_rows(fm, material, replace(settings, epochs=1))[0])
    steps = QUICK_STEPS if arguments.quick else STEPS
    ends: list[float] = []
    tuned = train(
        fm, material, replace(settings, epochs=steps * settings.batch_size / once), arguments.worker,
        callback=clock_of(ends), fsdp=arguments.fsdp,
    )  # fmt: skip
    history = tuned.history
    return {
        "steps": len(history), "losses": [moment.loss for moment in history],
        "seconds": ends[-1] - ends[WARM_UP - 1] if ends else 0.0,
        "tokens": history[-1].tokens - history[WARM_UP - 1].tokens, "dtype": fm.dtype,
        "peak_memory_bytes": tuned.effort.peak_memory_bytes, "compiled": tuned.compiled,
    }  # fmt: skip


def start(arguments: list[str], processes: int) -> dict[str, Any]:
    """Runs this script as a worker, in so many processes, and reads what the first of them tells.

    Raises:
        KitError: It failed; the message ends with what it said.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    with tempfile.TemporaryDirectory() as folder:
        worker = [__file__, *arguments, "--worker", f"{folder}/run"]
        command = [sys.executable, *(torchrun if processes > 1 else []), *worker]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)), "PYTHONPATH": path}
        run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=os.environ | threads)
    if run.returncode:
        raise KitError(f"{' '.join(command)} failed with exit code {run.returncode}:\n{run.stderr[-3000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs every side in turn, and puts their figures side by side."""
    passed = ["--model", str(arguments.model), "--data", str(arguments.data)]
    passed += [f"--{name}" for name in ("quick", "whole") if getattr(arguments, name)]
    passed += ["--dtype", arguments.dtype] if arguments.dtype else []
    sides = {"one": lambda: start(passed, 1), "several": lambda: start(passed, arguments.processes)}
    if arguments.fsdp:
        sides["fsdp"] = lambda: start([*passed, "--fsdp"], arguments.processes)
    return {"processes": arguments.processes} | figures(take_turns(sides, repeats_of(arguments)))


def figures(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Throughput, memory of the first process, and how far losses lie apart, for each side's runs."""
    reference = runs["one"][0]["losses"]
    found: dict[str, Any] = {}
    for name, made in runs.items():
        seconds = median(run["seconds"] for run in made)
        apart = [abs(a / b - 1) for run in made for a, b in zip(run["losses"], reference, strict=True)]
        found[name] = {
            "seconds": seconds, "tokens_per_s": runs["one"][0]["tokens"] / seconds, "final_loss": made[0]["losses"][-1],
            "largest_loss_difference": max(apart), "peak_memory_bytes": max(run["peak_memory_bytes"] for run in made),
        }  # fmt: skip
    shown = ratio(*([run["seconds"] for run in runs[name]] for name in ("several", "one")))
    agree = all(side["largest_loss_difference"] <= TOLERANCE for side in found.values())
    return shown | {"agree": agree} | {name: runs["one"][0][name] for name in ("steps", "tokens", "compiled")} | found


def main() -> int:
    """Measures, or works for the measurement where it was started as a worker."""
    parser = options(__doc__)
    parser.add_argument("--processes", type=int, default=2, help="how many share a batch")
    parser.add_argument("--fsdp", action="store_true", help="also in shards")
    parser.add_argument("--whole", action="store_true", help="tune all weights instead of an adapter")
    parser.add_argument("--data", type=Path, default=DATASET, help="a data folder")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is None:
        return finish("processes", compare(arguments), arguments)
    told = work(arguments)
    if is_first_process():
        print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
