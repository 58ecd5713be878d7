"""Asks the demonstrations of notebooks 00 and 01 in other worlds, whose machines, values and words are others.

    python -m tools.worlds --seed 11 12          # or: make worlds

The demonstrations were chosen on the committed world. Each notebook is run with the names of another world in the
places of its own, machine by machine, value by value, word by word; the exit status is 1 where less than `LEAST` of the
answers of RAG are right.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from helpers.data import ROOT, KitError, own_folder

from .lessons import EXERCISE
from .notebooks import run_notebooks
from .world import generate

SHOWN = ("00_five_minutes", "01_rag")
HOME = ROOT / "datasets" / "tidewater"
MARK = re.compile(r"<b>[✓✗] (right|wrong)</b> · RAG(.*?)</p>", re.DOTALL)
LEAST = 0.7  # `rag` answers about 0.8 of all questions; those of the committed world were chosen


def counterparts(world: Path, text: str) -> dict[str, str]:
    """What stands in another world for the names, values and words that a text takes from the committed one."""
    facts, others = (_rows(folder / "facts.csv") for folder in (HOME, world))
    found: dict[str, str] = {}
    for fact, other in zip(facts, others, strict=True):
        if fact["asset"] in text and fact["field"] == other["field"]:
            found |= {fact["asset"]: other["asset"], fact["asset"].lower(): other["asset"].lower()}
            found.setdefault(fact["value"], other["value"])
    for word, other in zip(*(_rows(folder / "glossary.csv") for folder in (HOME, world)), strict=True):
        if word["term"] in text:
            found |= {word["term"]: other["term"], word["term"].capitalize(): other["term"].capitalize()}
            meant = max(other["meaning"].split(), key=len)
            found |= {f'"{part}"': json.dumps(meant) for part in word["meaning"].split() if f'"{part}"' in text}
    return found | {"../datasets/tidewater": str(world), "../results": str(ROOT / "results")}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moved(notebook: nbformat.NotebookNode, world: Path) -> nbformat.NotebookNode:
    """A notebook without its exercises, told in another world."""
    notebook.cells = [cell for cell in notebook.cells if EXERCISE not in cell.metadata.get("tags", [])]
    instead = counterparts(world, "\n".join(cell.source for cell in notebook.cells))
    names = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(instead, key=len, reverse=True)))
    for cell in [cell for cell in notebook.cells if cell.cell_type == "code"]:
        cell.outputs = []
        cell.source = names.sub(lambda match: instead[match[0]], cell.source)
    return notebook


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstrations in each world and prints the replies of RAG; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.worlds", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[11, 12], help="the worlds")
    status = 0
    for seed in parser.parse_args(arguments).seed:
        folder = own_folder() / "worlds" / str(seed)
        try:
            if not (folder / "world" / "world.json").is_file():
                generate(folder / "world", seed)
            told = folder / "notebooks"
            told.mkdir(exist_ok=True)
            for name in SHOWN:
                nbformat.write(moved(nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4), folder / "world"),
                               told / f"{name}.ipynb")  # fmt: skip
            runs = run_notebooks("quick", folder / "run", folder=told)
        except KitError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        pages = "".join(run.executed.read_text(encoding="utf-8") for run in runs)
        marks = MARK.findall(pages)
        right = sum(mark == "right" for mark, _ in marks)
        print(f"world {seed}: {right} of {len(marks)} answers of RAG are right")
        print(*(f"  {mark}{reply}" for mark, reply in marks), sep="\n")
        status |= any(run.error for run in runs) or right < LEAST * len(marks)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
