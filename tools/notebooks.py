"""Runs the notebooks without a browser, one after the other, and takes their outputs over.

    python -m tools.notebooks --profile quick             # or: make run
    python -m tools.notebooks 02 03 --profile workshop
    python -m tools.notebooks --before 04 --profile workshop --start-from STICK   # for a latecomer
    python -m tools.notebooks --profile workshop --publish --record     # for maintainers

The originals are only read, unless `--publish` is given; the executed copies lie in results/own/run-PROFILE.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helpers.data import ROOT, KitError, get_profile, own_folder, write_text

from .lessons import NOTEBOOKS, notebook_paths, number
from .pages import bring_up_to_date
from .times import record_times

if TYPE_CHECKING:
    import nbformat

INJECTED = "injected-parameters"  # papermill's tag of the cell that it puts in; a committed notebook has none
PASSING = ("execution", "papermill")  # metadata of one execution: times and statuses that would change every time
LIVE = "application/vnd.jupyter.widget-view+json"  # a widget or a progress bar: nothing without its kernel


@dataclass(frozen=True)
class NotebookRun:
    """How one notebook fared; `error` is empty when all went well."""

    notebook: Path
    executed: Path
    seconds: float
    error: str = ""


def run_notebooks(
    profile: str,
    out: Path | None = None,
    notebooks: Sequence[str] | None = None,
    *,
    folder: Path = NOTEBOOKS,
    environment: Mapping[str, str] | None = None,
) -> list[NotebookRun]:
    """Executes notebooks in order and prints a line for each; a failing one does not stop the rest.

    Args:
        profile: Goes into each notebook as its parameter PROFILE.
        out: Folder of the executed copies; results/own/run-<profile> when None.
        notebooks: File names, names without ending, or numbers ("02", "b"); all notebooks when None.
        folder: Where the notebooks lie, the appendices in its folder `appendix`; kernels start beside their notebook.
        environment: Variables added to the kernels' environment.

    Raises:
        KitError: Unknown profile, no such notebook, or a file that is no notebook.
    """
    get_profile(profile)
    paths = _chosen(notebooks, folder)
    documents = [_read(path) for path in paths]
    out = (out or ROOT / "results" / "own" / f"run-{profile}").resolve()
    if out == folder.resolve():
        raise KitError(f"{out} holds the notebooks themselves, which are only read: give another folder")
    out.mkdir(parents=True, exist_ok=True)
    runs = []
    with _environment(environment or {}):
        for place, (path, document) in enumerate(zip(paths, documents, strict=True), start=1):
            print(f"[{place}/{len(paths)}] {path.stem} ...", end=" ", flush=True)
            run = _run(path, document, out / path.name, {"PROFILE": profile})
            print(f"FAILED: {run.error}\n    executed copy: {run.executed}" if run.error else f"{run.seconds:.0f} s")
            runs.append(run)
    return runs


def _chosen(notebooks: Sequence[str] | None, folder: Path) -> list[Path]:
    names = {path: {path.name, path.stem, number(path)} for path in notebook_paths(folder)}
    for name in set(notebooks or ()).difference(*names.values()):
        raise KitError(f"no notebook {name!r} in {folder}; there are: {', '.join(path.stem for path in names)}")
    return [path for path, known in names.items() if notebooks is None or known & set(notebooks)]


def _read(path: Path) -> nbformat.NotebookNode:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise KitError(f"{path} is not a notebook that can be read ({error}); restore it with git") from error


@contextmanager
def _environment(extra: Mapping[str, str]):
    before = dict(os.environ)
    os.environ.update(extra)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(path: Path, document: nbformat.NotebookNode, executed: Path, parameters: dict[str, Any]) -> NotebookRun:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    error, started = "", time.perf_counter()
    try:
        papermill.execute_notebook(
            document, str(executed), parameters, cwd=str(path.parent), kernel_name="python3", language="python",
            progress_bar=sys.stderr.isatty(),
        )  # fmt: skip
    except PapermillExecutionError as failure:
        reason = re.sub(r"\x1b\[[0-9;]*m", "", failure.evalue or "").strip().splitlines()[-3:]
        error = f"cell In [{failure.exec_count}] of the copy: {failure.ename}: {' '.join(map(str.strip, reason))}"
    except (RuntimeError, TimeoutError) as failure:  # the kernel died or never answered
        error = f"{type(failure).__name__}: {failure} (perhaps the machine ran out of memory)"
    return NotebookRun(path, executed, time.perf_counter() - started, error)


def publish(runs: Sequence[NotebookRun]) -> None:
    """Copies the outputs of executed copies into the notebooks that they were made from, counts from 1.

    Raises:
        KitError: A run failed, or a notebook was changed since it was executed; nothing is written then.
    """
    import nbformat

    failed = [run.notebook.stem for run in runs if run.error]
    if failed:
        raise KitError(f"{failed[0]} failed: its outputs are not taken over. Fix it and run again.")
    new = []
    for run in runs:
        original, executed = (nbformat.read(path, as_version=4) for path in (run.notebook, run.executed))
        cells = [cell for cell in executed.cells if INJECTED not in cell.metadata.get("tags", [])]
        if [cell.source for cell in cells] != [cell.source for cell in original.cells]:
            raise KitError(f"{run.notebook.name} was changed since it was executed: run it again")
        _take_over(original, cells)
        new.append((run.notebook, original))
    for path, notebook in new:
        write_text(path, nbformat.writes(notebook) + "\n")


def _take_over(original: nbformat.NotebookNode, made: Sequence[nbformat.NotebookNode]) -> None:
    """Puts the outputs of executed cells into a notebook, without those that only a running kernel can show."""
    count = 0
    for cell, executed in zip(original.cells, made, strict=True):
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [output for output in executed.outputs if LIVE not in output.get("data", {})]
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
        for name in PASSING:
            cell.metadata.pop(name, None)


def earlier(name: str, folder: Path = NOTEBOOKS) -> list[str]:
    """The notebooks before one of the main line, which a latecomer has missed."""
    (wanted,) = _chosen([name], folder)
    return [path.name for path in notebook_paths(folder) if path.parent == folder and path < wanted]


def take_missing(source: Path, own: Path) -> None:
    """Copies from somebody's `results/own` what is not here yet: weights, indices; never answers or bets.

    Raises:
        KitError: There is no such folder.
    """
    if not source.is_dir():
        raise KitError(f"{source} is not a folder: give the folder `results/own` of somebody who has run the notebooks")

    def unless_here(origin: str, copy: str) -> None:
        if not Path(copy).exists():
            shutil.copy2(origin, copy)

    personal = shutil.ignore_patterns("progress.json*", "bets.json", "run-*")
    shutil.copytree(source, own, ignore=personal, dirs_exist_ok=True, copy_function=unless_here)


def summary(runs: Sequence[NotebookRun]) -> str:
    """One sentence on the whole run."""
    failed = [run.notebook.stem for run in runs if run.error]
    verdict = f"failed: {', '.join(failed)}" if failed else "all went well"
    return f"{len(runs)} notebooks in {sum(run.seconds for run in runs):.0f} s; {verdict}"


def main(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Names or numbers; all when left out.")] = None,
    profile: Annotated[str, typer.Option(help="quick, workshop or full.")] = "quick",
    out: Annotated[Path | None, typer.Option(help="Folder of the executed copies.")] = None,
    before: Annotated[str, typer.Option(help="Instead of names: run all that a latecomer to this one missed.")] = "",
    start_from: Annotated[Path | None, typer.Option(help="Copy what is missing from this `results/own` first.")] = None,
    publish_outputs: Annotated[bool, typer.Option("--publish", help="Take the outputs into the notebooks.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep the times as the expected ones.")] = False,
) -> None:
    """Executes notebooks without a browser, then prints the comparison of what they measured."""
    try:
        if start_from:
            take_missing(start_from, own_folder())
        runs = run_notebooks(profile, out, earlier(before) if before else notebooks)
        print(summary(runs))
        if any(run.error for run in runs):
            raise typer.Exit(1)
        if publish_outputs:
            publish(runs)
        if record:
            print(f"times: {record_times(profile, runs)}")
            bring_up_to_date()  # the pages that tell these times
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    results = own_folder() / profile
    if any(results.glob("*.seed*.json")):
        report = ["--report", str(results / "comparison.html")]
        subprocess.run([sys.executable, "-m", "helpers", "compare", str(results), *report], check=True)


if __name__ == "__main__":
    typer.run(main)
