"""Takes the outputs of an executed run into the notebooks themselves, as they are committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helpers.data import KitError, write_text

if TYPE_CHECKING:
    from .notebooks import NotebookRun

INJECTED = "injected-parameters"  # papermill's tag of the cell that it puts in; the committed notebook has none
PASSING = ("execution", "papermill")  # metadata of one execution: times and statuses that would change every time
LIVE = "application/vnd.jupyter.widget-view+json"  # a widget or a progress bar: nothing without the kernel that made it


def publish(runs: Sequence[NotebookRun]) -> None:
    """Copies the outputs of executed copies into the notebooks that they were made from, counts from 1.

    Outputs that only a running kernel can show are left out; see `lasting`.

    Raises:
        KitError: A run failed, or a notebook's cells were changed since it was executed; nothing is written then.
    """
    import nbformat

    failed = [run.notebook.stem for run in runs if run.error]
    if failed:
        raise KitError(f"{failed[0]} failed: its outputs are not taken over. Mend it and run again.")
    pairs = []
    for run in runs:
        original, executed = (nbformat.read(path, as_version=4) for path in (run.notebook, run.executed))
        cells = [cell for cell in executed.cells if INJECTED not in cell.metadata.get("tags", [])]
        if [cell.source for cell in cells] != [cell.source for cell in original.cells]:
            raise KitError(f"{run.notebook.name} was changed since it was executed: run it again")
        count = 0
        for cell, made in zip(original.cells, cells, strict=True):
            if cell.cell_type == "code":
                count += 1
                cell.outputs, cell.execution_count = lasting(made.outputs), count
                for output in cell.outputs:
                    if output.output_type == "execute_result":
                        output.execution_count = count
            for name in PASSING:
                cell.metadata.pop(name, None)
        pairs.append((run.notebook, original))
    for path, notebook in pairs:
        write_text(path, nbformat.writes(notebook) + "\n")  # whole or not at all


def lasting(outputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs of a cell without its widgets, which a page shows as their source; their static parts stay."""
    return [output for output in outputs if LIVE not in output.get("data", {})]
