"""Both kinds of fine-tuning, by one call: labelled pairs (customization) or unlabelled text (continued pretraining).

    from helpers.tuning import Lora, TrainingData, TrainSettings, train
    tuned = train(fm, TrainingData(pairs=dataset.examples("triage")), TrainSettings(epochs=3), out="adapters/triage")
    Assistant(fm, adapter=tuned.folder)

What differs between the two kinds is the data: a pair goes through the chat template with the loss on its response
alone, a text is packed into full windows with the loss on every token.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import fast
from ..data import Effort, KitError
from ..models import RECORD, FoundationModel, is_first_process, measure, progress_bars
from .fine_tuned import CHECKPOINTS, FineTuned, clear, read_fine_tuned, read_log, write
from .packing import Collator, Row
from .settings import TrainSettings
from .training_data import TrainingData, general_rows, training_rows

if TYPE_CHECKING:
    from torch import nn
    from transformers import Trainer, TrainerCallback


LOGS, VALIDATIONS = 50, 10  # how often a training logs its loss, and at most its validation loss
APART = 10  # steps at least between two validations


class TrainingStopped(KitError):
    """A training that a callback stopped; calling it again resumes it."""


def train(
    fm: FoundationModel,
    training_data: TrainingData,
    settings: TrainSettings,
    out: str | Path,
    start: str | Path | None = None,
    callback: TrainerCallback | None = None,
    again: bool = False,
    fsdp: bool = False,
) -> FineTuned:
    """Trains a copy of the model and writes the weights into a folder; the model in memory stays as it is.

    An interrupted training resumes from its last checkpoint when it is called again in the same way; a finished one is
    not repeated. Started by `torchrun`, the processes share each batch.

    Args:
        fm: The foundation model; its weights are loaded anew from where they came.
        training_data: What to learn from.
        settings: How.
        out: A folder for this training alone.
        start: An earlier training's folder to go on from: its adapter, or its whole model, is trained further.
        callback: A callback of transformers; it may stop the training by `control.should_training_stop`.
        again: Whether a finished training is repeated.
        fsdp: Whether the processes share the weights as well, by transformers' own `fsdp`, on several GPUs.

    Raises:
        DataError: There is nothing to learn from.
        KitError: The training diverged or could not go on, the disk is full say, or `out` or `start` holds something
            else. The last complete checkpoint is kept.
        TrainingStopped: The callback stopped it.
    """
    out = Path(out)
    if fsdp and int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise KitError("`fsdp` shares a model between processes, and there is one: start it by `torchrun`")
    rows, held, report = training_rows(fm, training_data, settings)
    _report_too_long(report, settings.max_length)
    begun = read_fine_tuned(start) if start else None
    made = FineTuned(
        out, Effort(labelled_examples=training_data.labelled, documents=len(training_data.texts)), [], asdict(settings),
        report, whole=settings.lora is None, data_hash=_data_hash(rows), compiled=_compiles(fm, settings, report),
        base_hash=begun.hash if begun and begun.whole and settings.lora else fm.hash,
    )  # fmt: skip
    parts = [fm.hash, made.data_hash, settings.key, begun.hash if begun else ""]
    made.fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    if again and is_first_process():
        clear(out, start)
    if not again and (out / RECORD).is_file():
        return _finished(out, made.fingerprint)
    evaluation = {"validation": held, "general": general_rows(fm, training_data, settings)}
    with measure() as measured:
        trainer = _trained(fm, made, settings, start, rows, evaluation, callback, fsdp, measured)
        write(made, trainer, fm)
    return read_fine_tuned(out)


def _trained(
    fm: FoundationModel, made: FineTuned, settings: TrainSettings, start: Any, rows: list[Row],
    evaluation: dict[str, list[Row]], callback: TrainerCallback | None, fsdp: bool, measured: Effort,
) -> Trainer:  # fmt: skip
    """The trainer after its last step; what that took, and how it went, is written into `made`."""
    from .preparation import prepare_model
    from .progress import Checkpoints, last_checkpoint

    folder = made.folder / CHECKPOINTS
    last, before = last_checkpoint(folder, made.fingerprint)
    checkpoints = Checkpoints(made.fingerprint, measured, before)
    fm.free_memory()
    model = prepare_model(fm, settings, start)
    fast.enable_training(model, fm.dtype if fm.dtype != "float32" else None, made.compiled)
    evaluation = {name: kept for name, kept in evaluation.items() if kept}
    trainer = make_trainer(model, rows, evaluation, settings, fm, folder, made.compiled, fsdp)
    trainer.args.eval_on_start = "general" in evaluation and last is None
    for each in (callback, checkpoints):
        if each is not None:
            trainer.add_callback(each)
    made.effort.trainable_parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    _run(trainer, last)
    made.history, made.first = read_log(trainer.state, rows)
    made.effort.tokens_seen = made.history[-1].tokens
    for name, value in checkpoints.spent().items():
        setattr(made.effort, name, value)
    if made.whole and not fsdp:
        model.to(fm.model.dtype)
    return trainer


def make_trainer(
    model: nn.Module, rows: Sequence[Row], evaluation: dict[str, list[Row]], settings: TrainSettings,
    fm: FoundationModel, folder: Path, compiled: bool = False, fsdp: bool = False,
) -> Trainer:  # fmt: skip
    """transformers' Trainer over packed rows, in the order in which they are given."""
    from transformers import PrinterCallback, TrainingArguments

    from .progress import RowTrainer

    size = min(settings.batch_size, len(rows))
    steps, every = len(rows) // size, max(1, len(rows) // size // LOGS)
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, train_sampling_strategy="sequential", seed=settings.seed,
        per_device_train_batch_size=_share(size, settings), per_device_eval_batch_size=_share(size, settings),
        gradient_accumulation_steps=settings.accumulation, learning_rate=settings.learning_rate, adam_beta2=0.99,
        lr_scheduler_type=settings.schedule, warmup_steps=round(settings.warmup * steps), max_grad_norm=1.0,
        weight_decay=settings.weight_decay, bf16=fm.dtype == "bfloat16", fp16=fm.dtype == "float16",
        use_cpu=fm.device == "cpu", logging_steps=every, logging_nan_inf_filter=False,
        save_steps=-(-settings.checkpoint_steps // every) * every, save_total_limit=2,
        eval_strategy="steps" if evaluation else "no", eval_steps=-(-max(APART, steps // VALIDATIONS) // every) * every,
        prediction_loss_only=True, remove_unused_columns=False, dataloader_pin_memory=False, report_to=[],
        disable_tqdm=True, ddp_find_unused_parameters=False, fsdp="full_shard" if fsdp else None,
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs share a training by torchrun, not as replicas
    trainer = RowTrainer(
        model, arguments, Collator(full_length=compiled), train_dataset=rows, eval_dataset=evaluation or None
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _share(size: int, settings: TrainSettings) -> int:
    """How many rows of a batch go through the model of one process at once."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    share, rest = divmod(size, processes * settings.accumulation)
    if rest:
        raise KitError(
            f"a batch of {size} rows cannot be shared by {processes} processes in {settings.accumulation} parts each: "
            "choose `batch_size` as a multiple of both"
        )
    return share


def _run(trainer: Trainer, checkpoint: str | None) -> None:
    """Trains to the last step."""
    from .progress import diverged

    try:
        with progress_bars(False):
            trainer.train(resume_from_checkpoint=checkpoint)
    except KitError:
        raise
    except Exception as error:  # torch and safetensors have errors of their own for a full disk
        raise KitError(
            f"the training stopped ({type(error).__name__}: {error}). If the disk or the memory is full, free some "
            "and make the same call again: it resumes from the last complete checkpoint, or else delete "
            f"{trainer.args.output_dir}"
        ) from error
    state = trainer.state
    if state.global_step < state.max_steps:
        raise TrainingStopped(f"stopped after {state.global_step} of {state.max_steps} steps; the same call resumes it")
    if not all(weight.isfinite().all() for weight in trainer.model.parameters() if weight.requires_grad):
        shutil.rmtree(Path(trainer.args.output_dir) / f"checkpoint-{state.global_step}", ignore_errors=True)
        raise diverged(state.global_step, "weights", trainer.args.learning_rate)


def _report_too_long(report: dict[str, Any], limit: int) -> None:
    """Says on stderr which examples are left out: none is ever cut."""
    for what, ids in {"examples": report["too_long"], "examples of validation": report["held_too_long"]}.items():
        if ids and is_first_process():
            some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
            print(f"{len(ids)} {what} are longer than {limit} tokens and are left out: {some}", file=sys.stderr)


def _data_hash(rows: Sequence[Row]) -> str:
    """Of the tokens that are learned from, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.ids, row.labels, row.segments)).encode())
    return digest.hexdigest()


def _finished(out: Path, fingerprint: str) -> FineTuned:
    made = read_fine_tuned(out)
    if made.fingerprint != fingerprint:
        raise KitError(
            f"{out} holds another training (other data, settings or model). Give another folder, or again=True."
        )
    return made


def _compiles(fm: FoundationModel, settings: TrainSettings, report: dict[str, Any]) -> bool:
    """Whether decoder layers are compiled: where that is asked for, or the training is long enough to gain by it."""
    if not fast.enabled() or fm.device != "cpu":
        return False
    if settings.compile is not None:
        return settings.compile
    padded = report["rows"] * settings.max_length
    return fast.compiling_pays(settings.lora is None, report["tokens"], padded)
