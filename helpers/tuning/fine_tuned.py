"""The folder of a finished training: its weights, and the record that says how they were made and what they took."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import DataError, Effort, KitError, write_text
from ..models import RECORD, FoundationModel, folder_bytes, progress_bars, weights_hash

if TYPE_CHECKING:
    from torch import nn

    from .trainer import LogEntry
    from .training_data import TrainSettings


@dataclass
class FineTuned:
    """A finished training: the folder of its weights, what it cost, and how it went.

    `whole` says that the folder holds a whole tuned model instead of an adapter. `base_hash` is that of the base
    weights, `data_hash` that of the rows that were learned from, `identity` that of both with settings and start.
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
    identity: str = ""
    decisions: dict[str, Any] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)


def read_fine_tuned(folder: str | Path) -> FineTuned:
    """A finished training, read from its folder.

    Raises:
        DataError: There is none, or its record is damaged.
    """
    from .trainer import LogEntry

    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        history = [LogEntry(**moment) for moment in record.pop("history")]
        effort = Effort(**record.pop("effort"))
        return FineTuned(Path(folder), effort, history, **record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no record of a finished training ({error}). Train it again.") from error


def write_tuned(
    out: Path, fm: FoundationModel, model: nn.Module, made: FineTuned, state: dict[str, Any] | None
) -> None:
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
            f"could not write the tuned weights into {out} ({error}). Free some space and call it again: it goes on "
            f"from the last checkpoint in {out / 'checkpoints'}."
        ) from error
    (out / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    made.hash = weights_hash(out)
    made.effort.artefact_bytes = folder_bytes(out) - folder_bytes(out / "checkpoints")
    record = asdict(made)
    del record["folder"]
    write_text(out / RECORD, json.dumps(record, indent=1) + "\n")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def clear(out: Path, start: str | Path | None) -> None:
    """Deletes an earlier training.

    Raises:
        KitError: The folder holds something else, or what this training goes on from.
    """
    if start and Path(start).resolve().is_relative_to(out.resolve()):
        raise KitError(f"{out} holds the weights that this training goes on from: give another folder")
    if out.exists() and any(out.iterdir()) and not ((out / RECORD).is_file() or (out / "checkpoints").is_dir()):
        raise KitError(f"{out} holds no training, so `again` does not delete it: give another folder")
    shutil.rmtree(out, ignore_errors=True)


def check_lora(begun: FineTuned, settings: TrainSettings) -> None:
    """Refuses to go on from an adapter with settings that it cannot take on.

    Raises:
        KitError: All weights are to be trained, or an adapter of another rank or scale.
    """
    wanted = {"rank": settings.lora.rank, "alpha": settings.lora.alpha} if settings.lora else None
    made = {name: begun.settings["lora"][name] for name in ("rank", "alpha")} if begun.settings.get("lora") else None
    if made and made != wanted:
        raise KitError(
            f"{begun.folder} is an adapter with {made}, and the settings ask for {wanted or 'all weights'}: ask for "
            "the same, or merge it into a model first (`tuning.merge`) and train that"
        )
