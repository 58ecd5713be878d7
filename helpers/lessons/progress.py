"""What a learner has done so far: one JSON file beside their results, which they may delete to start afresh.

Where the file cannot be read or written, exercises go on without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..data import KitError, held, own_folder, write_text


def file() -> Path:
    """Where the progress is kept: `progress.json` in `own_folder()`."""
    return own_folder() / "progress.json"


def read() -> dict[str, dict[str, Any]]:
    """Everything kept so far: notebook number, then exercise or quiz question, then what is known of it.

    Returns:
        An empty mapping where there is no file, or none that can be read.
    """
    return _read() or {}


def entry(lesson: str, item: str) -> dict[str, Any]:
    """What is known of one exercise or quiz question: `state`, `tries`, and `predicted` where it was a prediction."""
    return read().get(lesson, {}).get(item, {})


def note(lesson: str, item: str, **known: Any) -> str:
    """Adds to what is known of an item and writes the file.

    Returns:
        An empty string, or a sentence that says why it could not be written.
    """
    try:
        with held(file()):  # another notebook may be open
            kept = _read()
            if kept is None:  # whoever edited it by hand may want to fix it
                kept = {}
                file().replace(file().with_name("progress.damaged.json"))
            kept.setdefault(lesson, {}).setdefault(item, {}).update(known)
            write_text(file(), json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    except (KitError, OSError) as error:
        return f"Your progress could not be kept: {error}"
    return ""


def note_try(lesson: str, item: str, state: str) -> str:
    """Counts a try at an item; what was right once stays right. Returns what `note` does."""
    before = entry(lesson, item)
    tries = before["tries"] if isinstance(before.get("tries"), int) else 0
    return note(lesson, item, state="right" if before.get("state") == "right" else state, tries=tries + 1)


def _read() -> dict[str, dict[str, Any]] | None:
    """As `read`; None where there is a file that cannot be read."""
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict):
        return None
    lessons = {lesson: items for lesson, items in kept.items() if isinstance(items, dict)}
    return {
        lesson: {name: known for name, known in items.items() if isinstance(known, dict)}
        for lesson, items in lessons.items()
    }
