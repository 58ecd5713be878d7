"""The machine under the kit: which device, how its threads wait, and which dtype a short timing favours."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..data import KitError, held, write_text

MATRIX = (512, 576, 1536)  # rows, inner and outer size of the timed product: a feed-forward layer of the default FM
GAIN = 1.2  # how many times faster bfloat16 must be before its coarser rounding is accepted
DTYPES = ("float32", "bfloat16")
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin while they wait slow down everything else on the machine


def kit_home() -> Path:
    """The one folder of models that all notebooks share; the environment variable KIT_HOME moves it."""
    return Path(os.environ.get("KIT_HOME") or Path.home() / ".cache" / "rag-or-fine-tuning").expanduser()


def missing_thread_settings() -> dict[str, str]:
    """What must be in the environment before torch is loaded, so that its threads wait without taking a core."""
    return {name: value for name, value in PASSIVE.items() if os.environ.get(name, "").upper() != value}


def choose_device(device: str | None = None) -> str:
    """The device to compute on: the one named, else CUDA, else MPS, else the CPU.

    Raises:
        KitError: The named device is not on this machine.
    """
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is None:
        device = next(name for name in ("cuda", "mps", "cpu") if present[name])
        if device == "cuda" and "LOCAL_RANK" in os.environ:  # set by torchrun: each process takes a GPU of its own
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
    """GFLOP/s of a matrix product in each dtype: the best of three rounds of `seconds` each."""
    import torch
    from torch.utils.benchmark import Timer

    rows, inner, outer = MATRIX
    speeds = {}
    for name in DTYPES:
        shapes = {"a": (rows, inner), "b": (outer, inner)}
        given = {key: torch.randn(shape, device=device).to(getattr(torch, name)) for key, shape in shapes.items()}
        given["linear"] = torch.nn.functional.linear
        timer = Timer("linear(a, b)", globals=given, num_threads=torch.get_num_threads())
        best = min(timer.blocked_autorange(min_run_time=seconds).median for _ in range(3))
        speeds[name] = round(2 * rows * inner * outer / best / 1e9, 1)
    return speeds


@cache
def choose_dtype(device: str = "cpu") -> tuple[str, dict[str, float]]:
    """The dtype to compute in on this device, decided once by a short timing and remembered in KIT_HOME.

    Returns:
        The dtype's name, and the GFLOP/s of each dtype that decided it.
    """
    key, file = _timing_key(device), kit_home() / "dtype.json"
    speeds = _known_speeds(file).get(key)
    if speeds is None:
        try:
            with held(file):  # processes that share a training must decide alike: one times, the others read it
                known = _known_speeds(file)
                speeds = known.get(key) or time_dtypes(device)
                write_text(file, json.dumps(known | {key: speeds}, indent=1) + "\n")
        except (KitError, OSError):  # nobody may write to KIT_HOME, as `doctor` says: timed anew in each process
            speeds = speeds or time_dtypes(device)
    return ("bfloat16" if speeds["bfloat16"] >= GAIN * speeds["float32"] else "float32"), speeds


def _timing_key(device: str) -> str:
    import torch

    return f"{machine_name()}, {os.cpu_count()} cores, torch {torch.__version__}, {device}"


def _known_speeds(file: Path) -> dict[str, dict[str, float]]:
    """The timings of a file, without entries that are damaged; empty where it is not there or damaged."""
    try:
        known = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    return {
        key: speeds
        for key, speeds in known.items()
        if isinstance(speeds, dict) and all(isinstance(speeds.get(name), int | float) for name in DTYPES)
    }


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
    words = [machine["processor"], f"{machine['cores']} cores", memory, machine["accelerator"] or "no accelerator"]
    found = speed(machine)
    return ", ".join(words + ([f"{found:.0f} GFLOP/s"] if found else []))
