"""The folder of a finished training: its weights, and the record that says how they were made and what they cost."""

import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerState

from ..data import DataError, Effort, KitError, folder_hash, readable, write_text
from ..models import (
    BESIDE,
    CHECKPOINTS,
    RECORD,
    FoundationModel,
    folder_bytes,
    is_first_process,
    progress_bars,
    weights_hash,
)  # fmt: skip
from .packing import Row


@dataclass(frozen=True)
class LogEntry:
    """What a training logged after a step: `loss` is the mean since the entry before, in nats a token.

    `tokens` counts those read since the first step, without padding; the other losses are taken now and then, and so is
    the share of validation questions answered rightly, where a training is stopped by it.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float = 0.0
    tokens: int = 0
    validation_loss: float | None = None
    general_loss: float | None = None
    validation_score: float | None = None


@dataclass
class FineTuned:
    """A finished training: the folder of its weights, what it cost, and how it went.

    `whole` says that the folder holds a whole tuned model instead of an adapter. `base_hash` is that of the base
    weights, `data_hash` that of the rows that were learned from, `fingerprint` that of both with settings and start,
    `files` that of all files beside the record.
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
    files: str = ""
    first: dict[str, float] = field(default_factory=dict)


def read_fine_tuned(folder: str | Path) -> FineTuned:
    """A finished training, read from its folder; a `DataError` says that there is none, or its record is damaged."""
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        history = [LogEntry(**entry) for entry in record.pop("history")]
        effort = Effort(**record.pop("effort"))
        return FineTuned(Path(folder), effort, history, **record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no record of a finished training ({error}). Delete its folder and train again."
        ) from error


def read_finished(folder: Path) -> FineTuned | None:
    """The finished training of a folder; None where there is none, or one with damaged files: it is to be made anew."""
    if not (folder / RECORD).is_file():
        return None
    with suppress(DataError):
        finished = read_fine_tuned(folder)
        if finished.files in ("", folder_hash(folder, BESIDE)):
            return finished
    print(f"the files in {folder} are damaged: they are made anew", file=sys.stderr)
    (folder / RECORD).unlink(missing_ok=True)
    return None


def read_log(state: TrainerState, rows: Sequence[Row] = ()) -> tuple[list[LogEntry], dict[str, float]]:
    """What a Trainer has logged, and the losses before its first step; tokens are counted where `rows` are given."""
    size = len(rows) // state.max_steps
    read = [sum(row.tokens for row in rows[step * size : (step + 1) * size]) for step in range(state.max_steps)]
    tokens = [0, *accumulate(read)]
    logged: dict[int, dict[str, float]] = {}
    for entry in state.log_history:
        logged.setdefault(entry["step"], {}).update(entry)
    before = logged.pop(0, {})
    history = [
        LogEntry(
            step, state.max_steps, entry["loss"], entry["learning_rate"], tokens[step],
            entry.get("eval_validation_loss"), entry.get("eval_general_loss"), entry.get("eval_validation_score"),
        )
        for step, entry in sorted(logged.items()) if "loss" in entry
    ]  # fmt: skip
    names = {"eval_validation_loss": "eval_loss", "eval_general_loss": "general_loss"}
    return history, {short: before[name] for name, short in names.items() if name in before}


def write(made: FineTuned, trainer: Trainer, fm: FoundationModel) -> None:
    """Writes the weights, and last the record, which says that they are complete.

    Of several processes the first one writes, and the others wait. A `KitError` says why they cannot be written; the
    last checkpoint stays.
    """
    try:
        with progress_bars(False):
            trainer.save_model(str(made.folder))
        if is_first_process():
            if made.whole:
                fm.tokenizer.save_pretrained(made.folder)
            for name in ("README.md", "training_args.bin"):  # PEFT's empty card, and a pickle
                (made.folder / name).unlink(missing_ok=True)
            readable(made.folder)
            made.hash, made.files = weights_hash(made.folder), folder_hash(made.folder, BESIDE)
            made.effort.artefact_bytes = folder_bytes(made.folder) - folder_bytes(made.folder / CHECKPOINTS)
            record = {name: value for name, value in asdict(made).items() if name != "folder"}
            write_text(made.folder / RECORD, json.dumps(record, indent=1) + "\n")
            shutil.rmtree(made.folder / CHECKPOINTS, ignore_errors=True)
    except Exception as error:  # safetensors has an error of its own for a full disk
        raise KitError(
            f"could not write the tuned weights into {made.folder} ({error}). Free some space and make the same call "
            "again: no step is repeated."
        ) from error
    trainer.accelerator.wait_for_everyone()
