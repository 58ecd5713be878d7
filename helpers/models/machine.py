"""The machine under the kit: which device, how many threads, and which dtype a short timing favours."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..data import KitError, held

MATRIX = (512, 576, 1536)  # rows, inner and outer size of the timed product: a feed-forward layer of the default FM
GAIN = 1.2  # how many times faster bfloat16 must be before its coarser rounding is accepted


def kit_home() -> Path:
    """The one folder of models that all notebooks share; the environment variable KIT_HOME moves it."""
    return Path(os.environ.get("KIT_HOME") or Path.home() / ".cache" / "rag-or-fine-tuning").expanduser()


def choose_device(device: str | None = None) -> str:
    """The device to compute on: the one named, else CUDA, else MPS, else the CPU.

    Raises:
        KitError: The named device is not on this machine.
    """
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is None:
        device = next(name for name in ("cuda", "mps", "cpu") if present[name])
        if device == "cuda" and "LOCAL_RANK" in os.environ:  # of torchrun: each process takes a GPU of its own
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return device
    if not present.get(device.split(":")[0], False):
        raise KitError(
            f"device {device!r} is not on this machine; present: {[name for name in present if present[name]]}"
        )
    return device


def synchronise(device: str) -> None:
    """Waits until the device has done its work, so that a clock read afterwards is right."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


@cache
def leave_libraries_alone() -> None:
    """Takes what is loaded by the first call out of later searches for garbage.

    Each took a third of a second, and the one at the end of the process a whole one. It is called before there is a
    model, so that one that is no longer wanted can be found.
    """
    import gc

    gc.freeze()


def keep_freed_memory() -> None:
    """Lets the process keep large blocks of memory that it frees, until `release_freed_memory`, where glibc is used.

    A training step frees and asks for the same gradients again and again. Without this each of them is made of fresh
    pages, which the system must fill with zeros first: 12 to 20 % of a step on two cores.
    """
    _tune_malloc(mmap_threshold=1 << 30, trim_threshold=(1 << 31) - 1)


def release_freed_memory() -> None:
    """Gives freed memory back to the system: what cycles of objects held, and what `keep_freed_memory` kept.

    From now on large blocks are given back as soon as they are freed, as glibc does by itself once it has met some.
    """
    import gc

    gc.collect()
    _tune_malloc(mmap_threshold=32 << 20, trim_threshold=64 << 20)
    trim_heap()


def trim_heap() -> None:
    """Gives the pages of freed memory back to the system, where glibc is used; what is kept stays kept."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        return


def _tune_malloc(mmap_threshold: int, trim_threshold: int) -> None:
    """Sets from how many bytes on a block is mapped by itself, and how many may lie free at the heap's end."""
    import ctypes

    try:
        tune = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library, or Windows
        return
    for option, size in ((-3, mmap_threshold), (-1, trim_threshold)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
        tune(option, size)


def is_first_process() -> bool:
    """Whether this is the only process of a run, or the first of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_processes() -> None:
    """Lets the processes that torchrun started wait for each other."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def machine_name() -> str:
    """The processor's name, for records and for the key of remembered timings."""
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def time_dtypes(device: str, seconds: float = 0.15) -> dict[str, float]:
    """Times a matrix product in float32 and bfloat16.

    Args:
        device: Where to compute.
        seconds: How long each of three rounds lasts; the best round counts.

    Returns:
        Billions of multiply-adds times two (GFLOP/s) for each dtype name.
    """
    import torch

    rows, inner, outer = MATRIX
    speeds = {}
    for name in ("float32", "bfloat16"):
        a = torch.randn(rows, inner, device=device).to(getattr(torch, name))
        b = torch.randn(outer, inner, device=device).to(getattr(torch, name))
        rounds = []
        for _ in range(3):
            count, start = 0, time.perf_counter()
            while time.perf_counter() - start < seconds:
                torch.nn.functional.linear(a, b)
                synchronise(device)
                count += 1
            rounds.append(count / (time.perf_counter() - start))
        speeds[name] = round(max(rounds) * 2 * rows * inner * outer / 1e9, 1)
    return speeds


@cache
def choose_dtype(device: str = "cpu") -> tuple[str, dict[str, float]]:
    """The dtype to compute in on this device, decided once by a short timing and remembered in KIT_HOME.

    Returns:
        The dtype's name, and the GFLOP/s of each dtype that decided it.
    """
    key, file = _timing_key(device), kit_home() / "dtype.json"
    speeds = _known_speeds(file).get(key)
    if not _are_speeds(speeds):
        try:
            with held(file):  # processes that share a training must decide alike: one times, the others read it
                known = _known_speeds(file)
                speeds = known.get(key)
                if not _are_speeds(speeds):
                    speeds = time_dtypes(device)
                    beside = file.with_name(f".{file.name}.{os.getpid()}")
                    beside.write_text(json.dumps(known | {key: speeds}, indent=1) + "\n", encoding="utf-8")
                    beside.replace(file)
        except (KitError, OSError):  # nobody may write to KIT_HOME, which `doctor` tells: timed anew in each process
            speeds = speeds if _are_speeds(speeds) else time_dtypes(device)
    return ("bfloat16" if speeds["bfloat16"] >= GAIN * speeds["float32"] else "float32"), speeds


def _timing_key(device: str) -> str:
    import torch

    return f"{machine_name()}, {os.cpu_count()} cores, torch {torch.__version__}, {device}"


def _known_speeds(file: Path) -> dict[str, Any]:
    """The timings of a file; empty where it is not there or damaged."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _are_speeds(value: Any) -> bool:
    """Whether a remembered value is what `time_dtypes` gives."""
    if not isinstance(value, dict) or set(value) != {"float32", "bfloat16"}:
        return False
    return all(isinstance(speed, int | float) for speed in value.values())


def hardware() -> dict[str, Any]:
    """What a result records of the machine: processor, cores, memory in bytes, accelerator, GFLOP/s of each dtype."""
    import psutil
    import torch

    accelerator = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    accelerator = accelerator or ("mps" if torch.backends.mps.is_available() else "")
    device = choose_device()
    choose_dtype(device)  # a timing that could not be kept differs each time, and would make one machine look like many
    speeds = _known_speeds(kit_home() / "dtype.json").get(_timing_key(device), {})
    return {
        "processor": machine_name(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "accelerator": accelerator,
        "system": f"{platform.system()} {platform.machine()}",
        "gflops": dict(speeds),
    }


def speed(machine: Mapping[str, Any]) -> float | None:
    """The GFLOP/s of a machine's faster dtype, from `hardware`; None in a record from before it was kept."""
    return max(machine.get("gflops", {}).values(), default=None)


def describe(machine: Mapping[str, Any]) -> str:
    """A machine in words, from `hardware`: processors of one name can differ several times in speed."""
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB of memory"
    parts = [machine["processor"], f"{machine['cores']} cores", memory, machine["accelerator"] or "no accelerator"]
    found = speed(machine)
    return ", ".join(parts + ([f"{found:.0f} GFLOP/s"] if found else []))
