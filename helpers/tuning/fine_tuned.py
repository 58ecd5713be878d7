"""The folder of a finished training: its weights, and the record that says how they were made and what they cost."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..data import DataError, Effort, KitError, write_text
from ..models import RECORD, FoundationModel, folder_bytes, load_model, weights_hash

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class LogEntry:
    """What a training logged after a step; `loss` is the mean since the entry before, in nats a token.

    `tokens` counts real tokens (no padding) since the first step. `validation_loss`, and `general_loss` of general
    text, are taken now and then.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float = 0.0
    tokens: int = 0
    validation_loss: float | None = None
    general_loss: float | None = None


@dataclass
class FineTuned:
    """A finished training: the folder of its weights, what it cost, and how it went.

    `whole` says that the folder holds a whole tuned model instead of an adapter. `base_hash` is that of the base
    weights, `data_hash` that of the rows that were learned from, `fingerprint` that of both with settings and start.
    `first` holds `eval_loss` and `general_loss` before the first step, where general text was watched.
    """

    folder: Path
    effort: Effort
    history: list[LogEntry]
    settings: dict[str, Any]
    report: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    hash: str = ""
    base_hash: str = ""
    data_hash: str = ""
    fingerprint: str = ""
    compiled: bool = False
    first: dict[str, float] = field(default_factory=dict)


def read_fine_tuned(folder: str | Path) -> FineTuned:
    """A finished training, read from its folder.

    Raises:
        DataError: There is none, or its record is damaged.
    """
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        history = [LogEntry(**entry) for entry in record.pop("history")]
        effort = Effort(**record.pop("effort"))
        return FineTuned(Path(folder), effort, history, **record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no record of a finished training ({error}). Train it again.") from error


def finish(made: FineTuned, weights: Path) -> None:
    """Moves written weights into their place, then writes the record that says they are complete."""
    for name in ("README.md", "training_args.bin"):  # PEFT's empty card, and a pickle
        (weights / name).unlink(missing_ok=True)
    for path in weights.iterdir():
        path.replace(made.folder / path.name)
    weights.rmdir()
    made.hash = weights_hash(made.folder)
    made.effort.artefact_bytes = folder_bytes(made.folder) - folder_bytes(made.folder / CHECKPOINTS)
    record = asdict(made)
    del record["folder"]
    write_text(made.folder / RECORD, json.dumps(record, indent=1) + "\n")
    shutil.rmtree(made.folder / CHECKPOINTS, ignore_errors=True)


def clear(out: Path, start: str | Path | None) -> None:
    """Deletes an earlier training.

    Raises:
        KitError: The folder holds something else, or what this training goes on from.
    """
    if start and Path(start).resolve().is_relative_to(out.resolve()):
        raise KitError(f"{out} holds the weights that this training goes on from: give another folder")
    if out.exists() and any(out.iterdir()) and not ((out / RECORD).is_file() or (out / CHECKPOINTS).is_dir()):
        raise KitError(f"{out} holds no training, so `again` does not delete it: give another folder")
    shutil.rmtree(out, ignore_errors=True)


def merge(fm: FoundationModel, adapter: str | Path, out: str | Path) -> Path:
    """Adds an adapter into the weights and writes a whole model, which `load_model(out)` reads.

    Raises:
        KitError: The adapter was made for another model, or there is none.
    """
    tuned = load_model(fm.name, fm.device, "float32").tuned(adapter)
    tuned.model.save_pretrained(out)
    tuned.tokenizer.save_pretrained(out)
    return Path(out)
