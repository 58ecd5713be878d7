"""transformers' Trainer, taught the kit's rows, its optimizer, its checkpoints, and to say where it is."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback

from ..data import Effort, KitError
from ..models import trim_heap
from . import checkpoints
from .loss import MasterAdamW, Objective
from .packing import IGNORED, PADDING, Row

# What transformers' Trainer reads again when it goes on; without its intervals it would log nothing any more.
TRAINER_STATE = ("global_step", "max_steps", "train_batch_size", "logging_steps", "eval_steps", "save_steps")

GROWN = 128 << 20  # bytes by which a training may grow in scattered free memory before it is given back


@dataclass(frozen=True)
class LogEntry:
    """Where a training stands after a step; `loss` is the mean since the last moment, in nats a token.

    `tokens_per_s` counts real tokens (no padding) of this call; `seconds_left` is an estimate. `validation_loss` and
    `general_loss`, of general text, are taken now and then.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float = 0.0
    tokens: int = 0
    validation_loss: float | None = None
    general_loss: float | None = None
    tokens_per_s: float = 0.0
    seconds_left: float = 0.0


@dataclass
class Listener:
    """What a training reports to, and what it asks whether to go on; every field may be left out."""

    on_moment: Callable[[LogEntry], None] = lambda moment: None
    should_stop: Callable[[], bool] = lambda: False
    history: list[LogEntry] = field(default_factory=list)


class KitTrainer(Trainer):
    """A Trainer over packed rows, read in the order in which they are given."""

    def __init__(
        self,
        objective: Objective,
        listener: Listener,
        decisions: dict[str, Any],
        effort: Effort,
        watched: Sequence[Row] = (),
        **options: Any,
    ):
        """Prepares a training.

        Args:
            objective: The model and its loss.
            listener: Is told of each logged step.
            decisions: What a resumed run must take over (dtype, threads, compilation); kept in every checkpoint.
            effort: Of `effort.measure`, which is running; its peak of memory is read from it.
            watched: Rows of general text, whose loss is taken beside that of the validation rows.
            options: As for `transformers.Trainer`.
        """
        super().__init__(objective, **options)
        self.accelerator.device_placement = not self.args.use_cpu  # see `_move_model_to_device`
        self.listener, self.decisions, self.effort, self.watched = listener, decisions, effort, watched
        self.first: dict[str, float] = {}
        self.remove_callback(PrinterCallback)
        self.add_callback(_Follow(self))
        self.add_callback(Trim())
        self.began, self.cpu_began = time.perf_counter(), time.process_time()
        self.before = {"wall_s": 0.0, "cpu_s": 0.0, "tokens": 0, "peak_memory_bytes": 0}
        self.tokens = 0

    def spent(self) -> dict[str, float]:
        """Wall and CPU seconds, real tokens and the peak of memory of this training, earlier calls included."""
        return {
            "wall_s": self.before["wall_s"] + time.perf_counter() - self.began,
            "cpu_s": self.before["cpu_s"] + time.process_time() - self.cpu_began,
            "tokens": self.before["tokens"] + self.tokens,
            "peak_memory_bytes": max(self.before["peak_memory_bytes"], self.effort.peak_memory_bytes),
        }

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with float32 copies of the trainable weights."""
        if self.optimizer is None:
            trainable = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
            self.masters = self.optimizer = MasterAdamW(
                trainable,
                lr=self.args.learning_rate,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                weight_decay=self.args.weight_decay,
            )
            self.model.zero_grad = self.masters.zero_grad  # one process: no search of all modules for weights
        return self.optimizer

    def _move_model_to_device(self, model: torch.nn.Module, device: torch.device) -> None:
        """On CPUs it stays: several processes have devices of other names, and copies there would not be joined."""
        if not self.args.use_cpu:
            super()._move_model_to_device(model, device)

    def get_train_dataloader(self) -> DataLoader:
        """Batches in the order of the rows; several processes take turns."""
        size = self.args.per_device_train_batch_size
        return self.accelerator.prepare(DataLoader(self.train_dataset, size, collate_fn=self.data_collator))

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """The loss of a batch.

        Raises:
            KitError: It is not a number; the last checkpoint stays.
        """
        found = super().compute_loss(model, inputs, *args, **options)
        loss = found[0] if isinstance(found, tuple) else found
        if not math.isfinite(loss.item()):
            raise KitError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()}: the training has come apart. "
                f"Lower the learning rate (now {self.args.learning_rate:g}) and train again."
            )
        return found

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> torch.Tensor:
        """Labelled tokens of a whole batch, over its parts and all processes; the Trainer itself looks for `labels`."""
        labelled = sum(int((batch["shift_labels"] != IGNORED).sum()) for batch in batch_samples)
        real = sum(int((batch["segments"] != PADDING).sum()) for batch in batch_samples)
        counts = torch.tensor([[labelled, real]], device=device)
        labelled, real = self.accelerator.gather(counts).sum(0) if self.args.world_size > 1 else counts[0]
        self.tokens += int(real)
        return labelled

    def _clip_grad_norm(self, model: Any) -> torch.Tensor:
        if self.args.world_size > 1:  # gradients may lie in shards
            return super()._clip_grad_norm(model)
        return self.masters.clip(self.args.max_grad_norm)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Takes and logs the validation loss, and that of general text where some is watched."""
        found = self.losses()
        self.log(found)
        return found

    def losses(self) -> dict[str, float]:
        """`eval_loss`, of the validation rows, and `general_loss`: the mean over all labelled tokens, in nats."""
        parts = {"eval_loss": self.eval_dataset, "general_loss": self.watched}
        return {name: self._loss(rows) for name, rows in parts.items() if rows}

    def _loss(self, held: Sequence[Row]) -> float:
        self.model.train()  # the mode that layers are compiled in
        total, count, size = 0.0, 0, self.args.per_device_train_batch_size
        for start in range(0, len(held), size):
            rows = list(held[start : start + size])
            rows += [rows[-1].blank()] * (size - len(rows))  # one shape for all batches: compiled layers stay valid
            batch = self._prepare_inputs(self.data_collator(rows))
            with torch.set_grad_enabled(self.decisions["compile"]):  # as compiled layers are made: for steps
                total += self.model(**batch, num_items_in_batch=1)["loss"].item()
            count += int((batch["shift_labels"] != IGNORED).sum())
        if hasattr(self.model, "reshard"):  # FSDP leaves what no backward pass followed whole
            self.model.reshard()
        return total / max(1, count)

    def check_weights(self) -> None:
        """Looks at what the last step made of the weights, before anything is kept of it.

        Raises:
            KitError: One of them is not a number; the last checkpoint stays.
        """
        tuned = self.masters.named.items()
        bad = [name for name, weight in tuned if not torch.isfinite(weight).all()]
        if bad:
            raise KitError(
                f"step {self.state.global_step} left weights that are not numbers ({bad[0]}): the training has come "
                f"apart. Lower the learning rate (now {self.args.learning_rate:g}) and train again."
            )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """After the last step the tuned weights themselves are written; several processes wait for their first one."""
        if self.state.global_step < self.state.max_steps or self.args.world_size > 1:
            self.save()

    def save(self) -> None:
        """Writes a checkpoint of the training as it is now."""
        self.check_weights()
        state = {
            "decisions": self.decisions,
            "spent": self.spent(),
            "first": self.first,
            "history": [dataclasses.asdict(moment) for moment in self.listener.history],
            "trainer": {name: getattr(self.state, name) for name in TRAINER_STATE},
        }
        checkpoints.write(Path(self.args.output_dir), self.state.global_step, self.masters, state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights come with the optimizer's, see `_load_optimizer_and_scheduler`."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing in a training is drawn at random after its rows are packed."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        state = checkpoints.read(Path(checkpoint).parent, self.masters)
        self.before = state["spent"]
        self.listener.history[:] = [LogEntry(**moment) for moment in state["history"]]
        scheduler = self.lr_scheduler
        rates = [
            base * rate(state["step"]) for base, rate in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        ]
        scheduler.load_state_dict(scheduler.state_dict() | {"last_epoch": state["step"], "_last_lr": rates})
        for group, rate in zip(self.masters.param_groups, rates, strict=True):
            group["lr"] = rate


class _Follow(TrainerCallback):
    """Turns the Trainer's logs into moments, and stops it when the listener says so."""

    def __init__(self, trainer: KitTrainer):
        self.trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stops the training, with a checkpoint, when the listener says so; the last step is always told of."""
        control.should_log = control.should_log or state.global_step == state.max_steps
        if self.trainer.listener.should_stop():
            control.should_training_stop = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Makes a moment of a logged loss, and adds a logged validation loss to the last one."""
        logs = logs or {}
        history = self.trainer.listener.history
        if "eval_loss" in logs and history:
            history[-1] = dataclasses.replace(
                history[-1], validation_loss=logs["eval_loss"], general_loss=logs.get("general_loss")
            )
            self._tell(history[-1], state)
        if "loss" not in logs:
            return
        spent = self.trainer.spent()
        begun = self.trainer._initial_global_step
        seconds = time.perf_counter() - self.trainer.began
        left = seconds / max(1, state.global_step - begun) * (state.max_steps - state.global_step)
        moment = LogEntry(
            state.global_step, state.max_steps, logs["loss"], logs["learning_rate"], int(spent["tokens"]),
            tokens_per_s=self.trainer.tokens / seconds, seconds_left=left,
        )  # fmt: skip
        history.append(moment)
        self._tell(moment, state)

    def _tell(self, moment: LogEntry, state: Any) -> None:
        if state.is_world_process_zero:
            self.trainer.listener.on_moment(moment)


class Trim(TrainerCallback):
    """Gives freed memory back when it has grown: rows of many lengths leave holes that the next ones do not fit into.

    Doing so after each step costs 8 % of the time, since the pages must be filled with zeros again.
    """

    def __init__(self):
        """Begins with no size seen."""
        self.process, self.least = psutil.Process(), 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Compares the process's size with the least since memory was last given back."""
        now = self.process.memory_info().rss
        if not self.least or now < self.least:
            self.least = now
        if now > self.least + GROWN:
            trim_heap()
            self.least = 0  # taken anew after the next step
