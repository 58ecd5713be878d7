"""The Trainer of a training and its callbacks: progress on the screen, and which checkpoints are complete."""

import copy
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from ..data import Effort, KitError, folder_hash, write_text
from ..models import FoundationModel, merged, show_progress

COMPLETE = "complete.json"  # written last into a checkpoint
SCORE = "eval_validation_score"  # what transformers' Trainer calls the share of validation questions answered rightly
PATIENCE = 3  # past its half a training stops after so many evaluations without a better score


class RowTrainer(Trainer):
    """transformers' Trainer, which would take the kit's folder `datasets` for the library where it starts beside it."""

    def _get_dataloader(self, dataset: Any, description: str, batch_size: int, **_: Any) -> DataLoader:
        """Batches of rows in their order."""
        return self.accelerator.prepare(DataLoader(dataset, batch_size, collate_fn=self.data_collator))


class Progress(TrainerCallback):
    """Shows under a title how far a training is, and its loss."""

    def __init__(self, title: str):
        self.title = title

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        first = state.is_world_process_zero
        self.bar = show_progress(self.title, state.max_steps, "steps", first, done=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if "loss" in (logs or {}):
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()


class Checkpoints(TrainerCallback):
    """Marks complete checkpoints, and lets no training go on with numbers that are none.

    The marker is written when all files are there, and says which training they belong to (its `fingerprint`) and what
    it took until then: `before` it was resumed, and since, as a running `models.measure` has it in `measured`.
    """

    def __init__(self, fingerprint: str, measured: Effort, before: Effort):
        self.fingerprint, self.measured, self.before = fingerprint, measured, before

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Logs the last step, and writes a checkpoint where another callback stops the training."""
        control.should_log = control.should_log or state.global_step == state.max_steps
        control.should_save = control.should_save or control.should_training_stop

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Stops a training whose loss or gradient is not a number by a KitError; the last checkpoint stays."""
        for name in ("loss", "grad_norm"):
            if not math.isfinite((logs or {}).get(name, 0.0)):
                raise diverged(state.global_step, name, args.learning_rate)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Marks the checkpoint as complete."""
        if state.is_world_process_zero:
            marker = Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE
            spent = asdict(self.before + self.measured)
            files = folder_hash(marker.parent, [COMPLETE]) if args.world_size == 1 else ""  # others may write yet
            write_text(marker, json.dumps({"fingerprint": self.fingerprint, "effort": spent, "files": files}))


class ValidationScore(TrainerCallback):
    """Has the model in training answer validation questions at each evaluation, and stops where it gets no better.

    What is wanted is right answers. The score stands beside the losses; Trainer keeps the best checkpoint by it.
    """

    def __init__(self, fm: FoundationModel, score: Callable[[FoundationModel], float]):
        self.fm, self.score = fm, score

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], model: nn.Module, **_: Any
    ) -> None:
        """Adds the score to the losses of the validation part, which is evaluated first."""
        if "eval_validation_loss" in metrics:
            metrics[SCORE] = state.log_history[-1][SCORE] = self.score(snapshot(self.fm, model))
            control.should_training_stop = control.should_training_stop or no_longer_better(state)


def no_longer_better(state: Any) -> bool:
    """Whether a training is past its half, and its best score lies `PATIENCE` evaluations back."""
    scores = [entry[SCORE] for entry in state.log_history if SCORE in entry]
    late = 2 * state.global_step > state.max_steps
    return bool(scores) and late and len(scores) - 1 - scores.index(max(scores)) >= PATIENCE


def snapshot(fm: FoundationModel, model: nn.Module) -> FoundationModel:
    """The model in training as one that answers: a copy of the base with its present weights."""
    if hasattr(model, "peft_config"):
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            weights = merged(fm.model, Path(folder))
    else:
        weights = copy.deepcopy(fm.model)
        weights.load_state_dict(model.state_dict())
    return replace(fm, model=weights.eval())


def diverged(step: int, what: str, learning_rate: float) -> KitError:
    """The error of a training whose numbers are none any more."""
    return KitError(
        f"the {what} of step {step} is not a number: the training has diverged. Lower the learning rate (now "
        f"{learning_rate:g}) and train again."
    )


def last_checkpoint(folder: Path, fingerprint: str) -> tuple[str | None, Effort]:
    """The last complete checkpoint of a training, and what it took until then; incomplete ones are deleted.

    Raises:
        KitError: The checkpoints belong to another training.
    """
    while folder.is_dir() and (found := get_last_checkpoint(str(folder))):
        made = {"files": None}
        with suppress(OSError, ValueError):  # incomplete, or damaged
            made |= json.loads((Path(found) / COMPLETE).read_text(encoding="utf-8"))
        if made["files"] not in ("", folder_hash(Path(found), [COMPLETE])):
            shutil.rmtree(found)
            continue
        if made["fingerprint"] != fingerprint:
            raise KitError(
                f"{folder.parent} holds an unfinished training of other data, settings or model: delete {folder} to "
                "begin anew, or give another folder"
            )
        return found, Effort(**made["effort"])
    return None, Effort()
