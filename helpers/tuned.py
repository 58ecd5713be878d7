"""The folder of a finished training: its weights, and the record that says how they were made and what they took."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .adapters import RECORD
from .effort import folder_bytes
from .fetch import progress_bars, weights_hash
from .models import FoundationModel
from .records import DataError, Effort, KitError
from .results import write_text

if TYPE_CHECKING:
    from torch import nn

    from .trainer import Moment


@dataclass
class Tuned:
    """A finished training: the folder of its weights, what it cost, and how it went.

    `whole` says that the folder holds a whole tuned model instead of an adapter.
    """

    folder: Path
    effort: Effort
    history: list[Moment]
    settings: dict[str, Any]
    report: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    hash: str = ""
    base_hash: str = ""
    identity: str = ""
    decisions: dict[str, Any] = field(default_factory=dict)


def read_tuned(folder: str | Path) -> Tuned:
    """A finished training, read from its folder.

    Raises:
        DataError: There is none, or its record is damaged.
    """
    from .trainer import Moment

    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        history = [Moment(**moment) for moment in record.pop("history")]
        effort = Effort(**record.pop("effort"))
        return Tuned(Path(folder), effort, history, **record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no record of a finished training ({error}). Train it again.") from error


def write_tuned(out: Path, fm: FoundationModel, model: nn.Module, made: Tuned, state: dict[str, Any] | None) -> None:
    """Writes the weights beside their place, then moves them, then writes the record that says they are whole.

    `state` holds them by name where the model has only a shard of them.
    """
    beside = out / ".weights"
    try:
        shutil.rmtree(beside, ignore_errors=True)
        with progress_bars(False):
            model.save_pretrained(beside, state_dict=state)
        if made.whole:
            fm.tokenizer.save_pretrained(beside)
        for path in beside.iterdir():
            path.replace(out / path.name)
        beside.rmdir()
    except Exception as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(beside, ignore_errors=True)
        raise KitError(
            f"could not write the tuned weights into {out} ({error}). Free some space and call it again: the training "
            f"is kept in {out / 'checkpoints'} and only the writing is done anew."
        ) from error
    (out / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    made.hash = weights_hash(out)
    made.effort.artefact_bytes = folder_bytes(out) - folder_bytes(out / "checkpoints")
    record = asdict(made)
    del record["folder"]
    write_text(out / RECORD, json.dumps(record, indent=1) + "\n")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
