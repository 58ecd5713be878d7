"""What a step costs: wall and CPU time, peak memory, and the counts that only the step itself knows.

with measure() as effort:
    effort.documents = len(documents)
    ...
print(effort.wall_s, effort.peak_memory_bytes)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ..data import Effort

INTERVAL_S = 0.05  # how often memory is read; a shorter peak than this can be missed


@contextmanager
def measure() -> Iterator[Effort]:
    """Fills in an `Effort` while the block runs.

    `wall_s` and `cpu_s` (all threads of this process) are set at the end, also when the block raises;
    `peak_memory_bytes` is the largest resident set seen, sampled every `INTERVAL_S` seconds.
    """
    effort = Effort()
    process = psutil.Process()
    stop = threading.Event()

    def watch() -> None:
        while True:
            effort.peak_memory_bytes = max(effort.peak_memory_bytes, process.memory_info().rss)
            if stop.wait(INTERVAL_S):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    wall, cpu = time.perf_counter(), time.process_time()
    watcher.start()
    try:
        yield effort
    finally:
        effort.wall_s = time.perf_counter() - wall
        effort.cpu_s = time.process_time() - cpu
        stop.set()
        watcher.join()


def folder_bytes(folder: Path) -> int:
    """The size of everything in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
