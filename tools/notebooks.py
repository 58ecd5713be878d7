"""Runs the notebooks without a browser, in order, each in a kernel of its own.

    python -m helpers run --profile quick      # or: make run PROFILE=quick

The kernels are processes of this very Python, whatever kernels are registered on the machine, and start in the
notebooks' folder as they do in JupyterLab. The originals are only read; the executed copies lie in `out`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.data import ROOT, KitError, get_profile
from helpers.lessons import NOTEBOOKS, notebook_paths

if TYPE_CHECKING:
    import nbformat

POLL_S = 0.2


@dataclass(frozen=True)
class NotebookRun:
    """How one notebook fared: `peak_memory_bytes` is its largest process's, `error` is empty when all went well."""

    notebook: Path
    executed: Path
    seconds: float
    peak_memory_bytes: int
    error: str = ""


def run_notebooks(
    profile: str,
    out: Path | None = None,
    notebooks: Sequence[str] | None = None,
    *,
    folder: Path = NOTEBOOKS,
    environment: Mapping[str, str] | None = None,
) -> list[NotebookRun]:
    """Executes notebooks one after the other and prints a line for each; a failing one does not stop the rest.

    Args:
        profile: goes into each notebook as its parameter PROFILE.
        out: folder of the executed copies; results/own/run-<profile> when None.
        notebooks: see `notebook_paths`.
        folder: where the notebooks lie; also the folder that their kernels start in.
        environment: variables added to the kernels' environment.

    Returns:
        One record a notebook, in the order in which they ran.

    Raises:
        KitError: unknown profile, no such notebook, or a file that is no notebook.
    """
    get_profile(profile)
    paths = notebook_paths(notebooks, folder)
    documents = [_read(path) for path in paths]
    out = (out or ROOT / "results" / "own" / f"run-{profile}").resolve()
    if out == folder.resolve():
        raise KitError(f"{out} holds the notebooks themselves, which are only read: give another folder")
    out.mkdir(parents=True, exist_ok=True)
    runs = []
    for number, (path, document) in enumerate(zip(paths, documents, strict=True), start=1):
        print(f"[{number}/{len(paths)}] {path.stem} ...", end=" ", flush=True)
        runs.append(_run(path, document, out / path.name, {"PROFILE": profile}, dict(environment or {})))
        print(_line(runs[-1]), flush=True)
    return runs


def summary(runs: Sequence[NotebookRun]) -> str:
    """One sentence on the whole run: how many notebooks, seconds, and the largest process's peak memory in GiB."""
    failed = [run.notebook.stem for run in runs if run.error]
    seconds = sum(run.seconds for run in runs)
    peak = max((run.peak_memory_bytes for run in runs), default=0)
    verdict = f"failed: {', '.join(failed)}" if failed else "all went well"
    return f"{len(runs)} notebooks in {seconds:.0f} s, peak memory of a process {peak / 2**30:.2f} GiB; {verdict}"


def _read(path: Path) -> nbformat.NotebookNode:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise KitError(f"{path} is not a notebook that can be read ({error}); restore it with git") from error


def _run(path: Path, document: nbformat.NotebookNode, executed: Path, parameters: dict, extra: dict) -> NotebookRun:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    pids: list[int] = []
    error, started = "", time.perf_counter()
    with _PeakMemory(pids) as peak:
        try:
            papermill.execute_notebook(
                document, str(executed), parameters, cwd=str(path.parent), kernel_name="python3", language="python",
                progress_bar=sys.stderr.isatty(), kernel_manager_class=kernel_manager(pids, extra),
            )  # fmt: skip
        except PapermillExecutionError as failure:
            error = f"cell In [{failure.exec_count}] ({_first_line(failure.source)}) of the copy: {_reason(failure)}"
        except (RuntimeError, TimeoutError) as failure:  # the kernel died or never answered
            error = f"{type(failure).__name__}: {failure} (perhaps the machine ran out of memory)"
    return NotebookRun(path, executed, time.perf_counter() - started, peak.bytes, error)


def kernel_manager(pids: list[int], extra: dict[str, str]) -> type:
    """A kernel manager class whose kernels run on this interpreter; each kernel's process id is added to `pids`."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec
    from traitlets import default

    class ThisPython(AsyncKernelManager):
        @default("transport")
        def _private_transport(self) -> str:
            return "tcp" if os.name == "nt" else "ipc"  # a file of this user's: no port that others could reach

        @default("ip")
        def _private_place(self) -> str:
            if self.transport != "ipc":
                return "127.0.0.1"
            self.sockets = tempfile.TemporaryDirectory(prefix="kit-", ignore_cleanup_errors=True)
            return os.path.join(self.sockets.name, "kernel")

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())  # ipykernel's own description of a kernel on sys.executable

        async def start_kernel(self, **options: Any) -> None:
            options["env"] = {**os.environ, **extra}
            await super().start_kernel(**options)
            pids.append(self.provisioner.pid)

    return ThisPython


class _PeakMemory:
    """Watches processes and their children; `bytes` is the peak resident memory of the largest of them."""

    def __init__(self, pids: list[int]) -> None:
        self.pids, self.bytes = pids, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        while not self._done.wait(POLL_S):
            for pid in list(self.pids):
                try:
                    kernel = psutil.Process(pid)
                    for process in [kernel, *kernel.children(recursive=True)]:
                        self.bytes = max(self.bytes, _peak_bytes(process))
                except psutil.Error:
                    continue  # it ended between two looks


def _peak_bytes(process: Any) -> int:
    """A process's own record of its peak where the system keeps one (Linux, Windows), else what it holds now."""
    memory = process.memory_info()
    status = Path(f"/proc/{process.pid}/status")
    try:
        kilobytes = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        kilobytes = None
    return int(kilobytes[1]) * 1024 if kilobytes else getattr(memory, "peak_wset", memory.rss)


def _line(run: NotebookRun) -> str:
    if run.error:
        return f"FAILED after {run.seconds:.1f} s\n    {run.error}\n    executed copy: {run.executed}"
    return f"{run.seconds:.1f} s, {run.peak_memory_bytes / 2**30:.2f} GiB"


def _first_line(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip()]
    return lines[0].strip() if lines else "empty"


def _reason(failure: Any) -> str:
    """The error's last lines (three at most) on one line, without the colours of the notebook's traceback."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", failure.evalue or "").strip().splitlines()
    return f"{failure.ename}: {' '.join(line.strip() for line in lines[-3:]) or 'no message'}"
