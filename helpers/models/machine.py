"""The machine under the kit: its device, the dtype that a short timing favours, and what a step takes on it."""

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from ..data import Effort, KitError, held, write_text

MATRIX = (512, 576, 1536)  # rows, inner and outer size of the timed product: a feed-forward layer of the default FM
GAIN = 1.2  # how many times faster bfloat16 must be before its coarser rounding is accepted
DTYPES = ("float32", "bfloat16")
TIMINGS = "dtype.json"
INTERVAL_S = 0.05  # how often clocks and memory are read; a shorter peak than this can be missed
MINUTE = 60  # seconds between two lines about progress, where the output is no terminal


def kit_home() -> Path:
    """The one folder of models that all notebooks share; the environment variable KIT_HOME moves it."""
    return Path(os.environ.get("KIT_HOME") or Path.home() / ".cache" / "rag-or-fine-tuning").expanduser()


def choose_device(device: str | None = None) -> str:
    """The device to compute on: the one named, or a `KitError`; else the accelerator ("cuda", "mps"), else the CPU."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    present = ["cpu", accelerator.type] if accelerator else ["cpu"]
    if device is None:
        if present[-1] == "cuda" and "LOCAL_RANK" in os.environ:  # torchrun: each process takes a GPU of its own
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return present[-1]
    if device.split(":")[0] not in present:
        raise KitError(f"device {device!r} is not on this machine: choose one of {', '.join(present)}, or name none")
    return device


def is_first_process() -> bool:
    """Whether this is the only process of a run, or the first of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0


def machine_name() -> str:
    """The processor's name, for records and for the key of remembered timings."""
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def time_dtypes(device: str) -> dict[str, float]:
    """GFLOP/s of a matrix product in each dtype: the best of three rounds of 0.15 s."""
    import torch
    from torch.utils.benchmark import Timer

    rows, inner, outer = MATRIX
    speeds = {}
    for name in DTYPES:
        a, b = (torch.randn(size, inner, device=device).to(getattr(torch, name)) for size in (rows, outer))
        given = {"linear": torch.nn.functional.linear, "a": a, "b": b}
        timer = Timer("linear(a, b)", globals=given, num_threads=torch.get_num_threads())
        best = min(timer.blocked_autorange(min_run_time=0.15).median for _ in range(3))
        speeds[name] = round(2 * rows * inner * outer / best / 1e9, 1)
    return speeds


@cache
def choose_dtype(device: str = "cpu") -> tuple[str, dict[str, float]]:
    """The dtype to compute in, and the GFLOP/s of each that decided it: timed once, and remembered in KIT_HOME."""
    key, file, kept = _timing_key(device), kit_home() / TIMINGS, _kept_speeds()
    if key not in kept:
        with suppress(KitError), held(file):  # processes that share a training must decide alike: one times for all
            kept = _kept_speeds()
            if key not in kept:
                kept[key] = time_dtypes(device)
                write_text(file, json.dumps(kept, indent=1) + "\n")
    speeds = kept.get(key) or time_dtypes(device)  # anew in each process where nobody may write to KIT_HOME
    return ("bfloat16" if speeds["bfloat16"] >= GAIN * speeds["float32"] else "float32"), speeds


def _timing_key(device: str) -> str:
    import torch

    return f"{machine_name()}, {os.cpu_count()} cores, torch {torch.__version__}, {device}"


def _kept_speeds() -> dict[str, dict[str, float]]:
    """The remembered timings by machine; empty where there are none, or their file is damaged."""
    try:
        kept = json.loads((kit_home() / TIMINGS).read_text(encoding="utf-8"))
        return {key: {name: float(speeds[name]) for name in DTYPES} for key, speeds in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def hardware() -> dict[str, Any]:
    """What a result records of the machine: processor, cores, memory in bytes, accelerator, GFLOP/s of each dtype."""
    import torch

    device = choose_device()
    choose_dtype(device)  # a timing that could not be kept differs each time, and would make one machine look like many
    accelerator = torch.cuda.get_device_name() if device == "cuda" else device
    return {
        "processor": machine_name(), "cores": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total,
        "accelerator": "" if device == "cpu" else accelerator, "system": f"{platform.system()} {platform.machine()}",
        "gflops": _kept_speeds().get(_timing_key(device), {}),
    }  # fmt: skip


def speed(machine: Mapping[str, Any]) -> float | None:
    """The GFLOP/s of a machine's faster dtype, from `hardware`; None in a record from before it was kept."""
    return max(machine.get("gflops", {}).values(), default=None)


def describe(machine: Mapping[str, Any]) -> str:
    """A machine in words, from `hardware`: processors of one name can differ several times in speed."""
    memory, measured = f"{machine['memory_bytes'] / 2**30:.0f} GiB of memory", speed(machine)
    words = [machine["processor"], f"{machine['cores']} cores", memory, machine["accelerator"] or "no accelerator"]
    return ", ".join([*words, f"{measured:.0f} GFLOP/s"] if measured else words)


@contextmanager
def measure() -> Iterator[Effort]:
    """Fills in an `Effort` while the block runs.

    `wall_s`, `cpu_s` (all threads of this process) and `peak_memory_bytes` (the largest resident set seen) are those
    until now, at most `INTERVAL_S` ago; and those of the whole block at its end, also when it raises.
    """
    effort, process, stop = Effort(), psutil.Process(), threading.Event()
    wall, cpu = time.perf_counter(), time.process_time()

    def look() -> None:
        effort.wall_s, effort.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        effort.peak_memory_bytes = max(effort.peak_memory_bytes, process.memory_info().rss)

    def watch() -> None:
        while not stop.wait(INTERVAL_S):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield effort
    finally:
        stop.set()
        watcher.join()
        look()


def folder_bytes(folder: Path) -> int:
    """The size of everything in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def show_progress(what: str, total: int, unit: str, shown: bool = True, done: int = 0) -> tqdm:
    """A progress bar of tqdm: in a terminal or a notebook a bar, elsewhere (a log, a pipe) a line a minute.

    `what` begins the line, `unit` is what is counted, in the plural, and `done` how many there were before.
    """
    disable = not shown or done >= total
    options: dict[str, Any] = {"desc": what, "total": total, "unit": f" {unit}", "initial": done, "disable": disable}
    if "ipykernel" in sys.modules or sys.stderr.isatty():
        from tqdm.auto import tqdm as bar

        return bar(**options)
    return _Lines(**options, mininterval=MINUTE, miniters=1, delay=MINUTE)


class _Lines(tqdm):
    """Writes a new line where a bar would be drawn anew."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        times = self.format_dict
        note = f", {self.postfix}" if self.postfix else ""
        text = f"{self.desc}: {self.n} of {self.total}{self.unit} in {times['elapsed']:.0f} s{note}"
        self.fp.write(text + ("" if self.disable else "\n"))  # the last line is ended by `close`
        self.fp.flush()
