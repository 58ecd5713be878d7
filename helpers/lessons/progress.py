"""What a learner has done so far: one JSON file beside their results, which they may delete to start afresh.

Items are named by notebook: "05/e3", "05/quiz1". Where the file cannot be read or written, exercises go on without it.
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
    """What is known of each item: `state`, `tries`, and `predicted` where it was a prediction."""
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {item: known for item, known in kept.items() if isinstance(known, dict)} if isinstance(kept, dict) else {}


def note(item: str, state: str = "", **known: Any) -> str:
    """Adds to what is known of an item; a `state` is counted as a try, and what was right once stays right.

    Returns:
        An empty string, or a sentence that says why it could not be kept.
    """
    try:
        with held(file()):  # another notebook may be open
            kept = read()
            if file().exists() and not kept:  # whoever edited it by hand may want to fix it
                file().replace(file().with_name("progress.damaged.json"))
            before = kept.get(item, {})
            if state:
                tries = before["tries"] if isinstance(before.get("tries"), int) else 0
                known |= {"state": "right" if before.get("state") == "right" else state, "tries": tries + 1}
            write_text(file(), json.dumps(kept | {item: before | known}, indent=1, ensure_ascii=False) + "\n")
    except (KitError, OSError) as error:
        return f"Your progress could not be kept: {error}"
    return ""
