"""What a learner has done so far: one JSON file beside their results, which they may delete to start afresh.

The file is a help and never a hindrance: where it cannot be read or written, exercises go on without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .records import KitError
from .results import own_folder, write_text


def file() -> Path:
    """Where the progress is kept: `progress.json` in `results.own_folder()`."""
    return own_folder() / "progress.json"


def read() -> dict[str, dict[str, Any]]:
    """Everything kept so far: notebook number, then exercise or quiz question, then what is known of it.

    Returns:
        An empty mapping where there is no file, or none that can be read.
    """
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {
        lesson: {name: entry for name, entry in items.items() if isinstance(entry, dict)}
        for lesson, items in kept.items()
        if isinstance(items, dict)
    }


def entry(lesson: str, item: str) -> dict[str, Any]:
    """What is known of one exercise or quiz question: `state`, `tries`, and `predicted` where it was a prediction."""
    return read().get(lesson, {}).get(item, {})


def note(lesson: str, item: str, **known: Any) -> str:
    """Adds to what is known of an item and writes the file.

    Returns:
        An empty string, or a sentence that says why it could not be written.
    """
    kept = read()
    kept.setdefault(lesson, {}).setdefault(item, {}).update(known)
    try:
        write_text(file(), json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    except KitError as error:
        return f"Your progress could not be kept: {error}"
    return ""


def note_try(lesson: str, item: str, state: str) -> str:
    """Counts a try at an item; what was right once stays right.

    Returns:
        An empty string, or a sentence that says why it could not be written.
    """
    before = entry(lesson, item)
    tries = before.get("tries", 0)
    return note(
        lesson,
        item,
        state="right" if before.get("state") == "right" else state,
        tries=(tries if isinstance(tries, int) else 0) + 1,
    )
