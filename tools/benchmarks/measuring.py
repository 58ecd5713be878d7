"""What the benchmarks share: options, turns of kit and peer, the machine's limits, and the JSON printed last.

A benchmark measures the kit beside what its users would pick instead. `ratio` is peer seconds over kit seconds for the
same work, the median over the repeats; `ratio_low` and `ratio_high` are the smallest and the largest of the repeats.
`agree` says whether both did the same work. Exit code 1: they did not. Exit code 2: a peer is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from helpers.data import KitError
from helpers.experiment import results
from helpers.models import FOUNDATION_MODEL, hardware

ROOT = Path(__file__).resolve().parent.parent.parent
DATASET = ROOT / "datasets" / "tidewater"
WARM_UP = 2  # tokens or questions before times are taken
INSTALL = "python -m pip install -c constraints.txt -e '.[bench]'"
PEERS = ("trl", "datasets", "llama-index-llms-huggingface")
REPEATS = 3
SHAPES = ((512, 576, 1536), (1024, 1024, 1024), (2048, 2048, 2048))  # of the timed products: rows, inner, outer
SECONDS, ROUNDS = 0.3, 3  # how long each round of a limit's measurement lasts, and how many there are
BUFFER = 2**28  # bytes that are read to measure the memory: far more than a cache holds

Made = TypeVar("Made")


def options(about: str) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON document on the last line")
    parser.add_argument("--quick", action="store_true", help="small sizes: minutes, and a coarse figure")
    parser.add_argument("--repeats", type=int, help=f"timed rounds of kit and peer ({REPEATS}, quick 1)")
    parser.add_argument("--model", default=FOUNDATION_MODEL, help="the default model, or a folder with another one")
    parser.add_argument("--dtype", help="float32 or bfloat16, for kit and peer; a short timing decides otherwise")
    return parser


def repeats_of(arguments: argparse.Namespace) -> int:
    """How many timed rounds there are."""
    return arguments.repeats or (1 if arguments.quick else REPEATS)


def need(*modules: str) -> None:
    """Ends the script with exit code 2, and the command that helps, where a peer is not installed."""
    missing = [module for module in modules if not _is_there(module)]
    if missing:
        print(f"{', '.join(missing)}: not installed. The peers come with\n    {INSTALL}", file=sys.stderr)
        raise SystemExit(2)


def _is_there(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a package above it is missing
        return False
    return spec is not None and spec.origin is not None  # a folder that only has the same name has no origin


def take_turns(sides: Mapping[str, Callable[[], Made]], rounds: int) -> dict[str, list[Made]]:
    """Runs every side in every round; each second round goes backwards, so that the machine's drift hits all alike."""
    made: dict[str, list[Made]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            print(f"round {number + 1} of {rounds}: {name} ...", flush=True)
            made[name].append(sides[name]())
    return made


def timed(work: Callable[[], Made]) -> tuple[float, Made]:
    """Seconds that a piece of work took, and what it made."""
    begun = time.perf_counter()
    made = work()
    return time.perf_counter() - begun, made


def ratio(kit: Sequence[float], peer: Sequence[float]) -> dict[str, float]:
    """Peer seconds over kit seconds, round by round: `ratio` (median), `ratio_low`, `ratio_high`."""
    each = [slow / quick for quick, slow in zip(kit, peer, strict=True)]
    return {"ratio": statistics.median(each), "ratio_low": min(each), "ratio_high": max(each)}


def in_own_process(module: str, *arguments: str) -> dict[str, Any]:
    """Runs `python -m module` in a fresh process and reads the JSON of its last line.

    Memory, allocator settings and compiled code of one side cannot touch the other that way. The process stays off
    the network: a peer that asks the Hub about its model finds it closed.

    Raises:
        KitError: It failed; the message ends with what it said.
    """
    command = [sys.executable, "-m", module, *arguments]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    if run.returncode:
        raise KitError(f"{' '.join(command)} failed with exit code {run.returncode}:\n{run.stderr[-3000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def matrix_peak(dtype: str, device: str = "cpu") -> float:
    """The fastest matrix product of this machine in FLOP/s, over a few shapes; the best round counts."""
    import torch

    best = 0.0
    for rows, inner, outer in SHAPES:
        a, b = torch.randn(rows, inner, device=device), torch.randn(outer, inner, device=device)
        a, b = a.to(getattr(torch, dtype)), b.to(getattr(torch, dtype))

        def product(a: Any = a, b: Any = b) -> None:
            torch.nn.functional.linear(a, b)
            if device != "cpu":
                torch.accelerator.synchronize()

        best = max(best, _most_a_second(product) * 2 * rows * inner * outer)
    return best


def memory_bandwidth() -> float:
    """How many bytes a second this machine reads from memory: the sum of a large buffer, the best round counts."""
    import torch

    buffer = torch.ones(BUFFER // 4)
    return _most_a_second(buffer.sum) * BUFFER


def _most_a_second(work: Callable[[], Any]) -> float:
    work()
    best = 0.0
    for _ in range(ROUNDS):
        count, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < SECONDS or not count:
            work()
            count += 1
        best = max(best, count / max(spent, 1e-9))
    return best


def finish(name: str, record: Mapping[str, Any], arguments: argparse.Namespace) -> int:
    """Prints the figures, and as the last line the JSON document where it was asked for; returns the exit code.

    Args:
        name: The benchmark's.
        record: `ratio`, `ratio_low`, `ratio_high`, `agree`, and every other figure by name.
        arguments: From `options`.
    """
    machine = hardware()
    about = {
        "created": results.now(), "machine": machine["processor"], "cores": machine["cores"],
        "memory_bytes": machine["memory_bytes"], "gflops": machine["gflops"], "quick": arguments.quick,
        "repeats": repeats_of(arguments), "versions": results.versions() | _peer_versions(),
    }  # fmt: skip
    whole = {"benchmark": name} | dict(record) | about
    print()
    for line in _lines(whole):
        print(line)
    if not record["agree"]:
        print("Kit and peer did not do the same work: see what differs above.", file=sys.stderr)
    if arguments.json:
        print(json.dumps(whole))
    return 0 if record["agree"] else 1


def _peer_versions() -> dict[str, str]:
    installed = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in metadata.distributions()}
    return {name: installed[name] for name in PEERS if name in installed}


def _lines(value: Any, path: str = "") -> list[str]:
    """Every figure on a line of its own, under its full name."""
    if isinstance(value, Mapping):
        return [line for key, each in value.items() for line in _lines(each, f"{path}.{key}" if path else str(key))]
    if isinstance(value, float):
        return [f"{path}: {value:.4g}"]
    return [f"{path}: {value}"]


def clock_of(ticks: list[float]) -> Any:
    """A callback of a training that notes when each step ended, in seconds of `perf_counter`."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ticks.append(time.perf_counter())

    return Clock()
