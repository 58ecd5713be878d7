"""Hand work, counted: the cells that a learner must write to build an arm are tagged in the notebooks.

The tag `step` counts for every arm that its notebook builds, `step:ARM` for that arm alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..data import ROOT, KitError

NOTEBOOKS = ROOT / "notebooks"
TAG = "step"
BUILT_IN = {  # the notebook whose steps build an arm
    "rag": "02",
    "customization": "04",
    "domain_adaptation": "05",
    "domain_adaptation+customization": "05",
}


def count_steps(folder: Path = NOTEBOOKS) -> dict[str, dict[str, int]]:
    """For each arm the cells and the lines of code that build it.

    Args:
        folder: Where the notebooks lie.

    Returns:
        `cells` and `lines` by arm; an arm is left out where its notebook is missing or has no tagged cell,
        since nothing counted is not the same as nothing to do.

    Raises:
        KitError: A notebook cannot be read.
    """
    tagged = {arm: _tagged(folder, number, {TAG, f"{TAG}:{arm}"}) for arm, number in BUILT_IN.items()}
    return {
        arm: {"cells": len(sources), "lines": sum(map(_lines, sources))} for arm, sources in tagged.items() if sources
    }


def _tagged(folder: Path, number: str, tags: set[str]) -> list[str]:
    """The sources of a notebook's code cells that carry one of these tags."""
    sources = []
    for path in sorted(Path(folder).glob(f"{number}_*.ipynb")):
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError) as error:
            raise KitError(f"{path} is not a notebook that can be read ({error}); restore it with git") from error
        sources += [
            "".join(cell["source"])
            for cell in cells
            if cell["cell_type"] == "code" and tags & set(cell["metadata"].get("tags", []))
        ]
    return sources


def _lines(source: str) -> int:
    """Lines of code: neither empty ones nor comments."""
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in source.splitlines())
