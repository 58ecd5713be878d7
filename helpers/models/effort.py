"""What a step costs, and how far it is: wall and CPU time, peak memory, counts, and a progress bar."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from ..data import Effort

INTERVAL_S = 0.05  # how often memory is read; a shorter peak than this can be missed
MINUTE = 60  # seconds between two lines about progress, where the output is no terminal


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
        effort.peak_memory_bytes = process.memory_info().rss
        while not stop.wait(INTERVAL_S):
            effort.peak_memory_bytes = max(effort.peak_memory_bytes, process.memory_info().rss)

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
