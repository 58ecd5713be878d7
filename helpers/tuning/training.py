"""Both kinds of fine-tuning, by one call: labelled pairs (customization) or unlabelled text (continued pretraining).

What differs between the two kinds is the data: a pair goes through the chat template with the loss on its response
alone, a text is packed into full windows with the loss on every token.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from .. import fast
from ..data import Effort, KitError
from ..models import CHECKPOINTS, FoundationModel, is_first_process, load_model, measure, progress_bars
from .callbacks import SCORE, Checkpoints, RowTrainer, ValidationScore, diverged, last_checkpoint, no_longer_better
from .fine_tuned import FineTuned, read_fine_tuned, read_finished, read_log, write
from .packing import Collator, Row
from .training_data import Lora, TrainingData, TrainSettings, training_rows

LOGS, VALIDATIONS = 50, 10  # how often a training logs its loss, and at most its validation loss
APART = 10  # steps at least between two validations


class TrainingStopped(KitError):
    """A training that a callback stopped; calling it again resumes it."""


def train(
    fm: FoundationModel, training_data: TrainingData, settings: TrainSettings, out: str | Path,
    start: str | Path | None = None, callback: TrainerCallback | None = None, fsdp: bool = False,
    score: Callable[[FoundationModel], float] | None = None,
) -> FineTuned:  # fmt: skip
    """Trains a copy of the model and writes the weights into a folder; the model in memory stays as it is.

    An interrupted training resumes from its last checkpoint when it is called again in the same way; a finished one is
    not repeated. Started by `torchrun`, the processes share each batch.

    Args:
        fm, training_data, settings: What is trained (its weights are loaded anew), on what, and how.
        out: A folder for this training alone.
        start: The folder of an earlier training, whose adapter or whole model is trained further.
        callback: A callback of transformers; it may stop the training by `control.should_training_stop`.
        fsdp: Whether the processes share the weights as well, by transformers' own `fsdp`, on several GPUs.
        score: How well the model in training answers, 0 to 1: the weights of the best evaluation are kept, and the
            training stops where they get no better.

    Raises:
        KitError: There is nothing to learn from (`DataError`), the training diverged or could not go on, `out` holds
            another training, or the callback stopped it (`TrainingStopped`). The last complete checkpoint is kept.
    """
    out = Path(out)
    if fsdp and int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise KitError("`fsdp` shares a model between processes, and there is one: start it by `torchrun`")
    rows, evaluation, report = training_rows(fm, training_data, settings)
    begun = read_fine_tuned(start) if start else None
    learned = hashlib.sha256("".join(repr((row.ids, row.labels, row.segments)) for row in rows).encode())
    made = FineTuned(
        out, Effort(labelled_examples=training_data.labelled, documents=len(training_data.texts)), [], asdict(settings),
        report, whole=settings.lora is None, data_hash=learned.hexdigest(),
        base_hash=begun.hash if begun and begun.whole and settings.lora else fm.hash,
    )  # fmt: skip
    parts = [fm.hash, made.data_hash, made.settings, begun.hash if begun else ""]
    made.fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    if finished := read_finished(out):
        if finished.fingerprint != made.fingerprint:
            raise KitError(f"{out} holds another training (other data, settings or model): delete it, or give another")
        return finished
    if (ids := report["too_long"]) and is_first_process():
        some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        print(f"{len(ids)} examples over {settings.max_length} tokens are left out: {some}", file=sys.stderr)
    with measure() as measured:
        last, before = last_checkpoint(out / CHECKPOINTS, made.fingerprint)
        fm.free_memory()
        model = prepare_model(fm, settings, begun)
        fast.enable_training(model, fm.dtype if fm.dtype != "float32" else None)
        trainer = make_trainer(model, rows, evaluation, settings, fm, out / CHECKPOINTS, fsdp, best=score is not None)
        trainer.args.eval_on_start = "general" in evaluation and last is None
        checkpoints = Checkpoints(made.fingerprint, measured, before)
        for each in filter(None, (score and ValidationScore(fm, score), callback, checkpoints)):
            trainer.add_callback(each)
        made.effort.trainable_parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        _run(trainer, last)
        made.history, made.first = read_log(trainer.state, rows)
        made.effort.tokens_seen = made.history[-1].tokens
        made.effort += before + measured
        if made.whole and not fsdp:
            model.to(fm.model.dtype)
        write(made, trainer, fm)
    return read_fine_tuned(out)


def prepare_model(fm: FoundationModel, settings: TrainSettings, begun: FineTuned | None = None) -> nn.Module:
    """Loads the weights anew and makes them trainable: all of them, or new adapters, or those of an earlier training.

    Adapters are float32 on weights of the model's dtype, as PEFT makes them. Where all weights are trained they are
    float32 (Micikevicius et al. 2018, 1710.03740): in 16 bits small steps would be rounded away.

    Raises:
        KitError: The rows are too long for the model, or `begun` has adapters that the settings do not ask for.
    """
    lora, goes_on = settings.lora, begun is not None and not begun.whole
    if goes_on:
        fm.check_adapter(begun.folder)
        if (made := Lora(**begun.settings["lora"])) != lora:
            wanted = lora or "all weights"
            raise KitError(f"{begun.folder} is an adapter of {made}, and the settings have {wanted}: use the same")
    name = begun.folder if begun and begun.whole else fm.name
    model = load_model(name, fm.device, fm.dtype if lora else "float32").model
    sliding = "sliding_attention" in (getattr(model.config, "layer_types", None) or ["sliding_attention"])
    window = getattr(model.config, "sliding_window", None) if sliding else None
    if window and settings.max_length > window:  # packed rows would let its layers see further than in an answer
        raise KitError(f"this model's layers see {window} tokens: choose a `max_length` of at most that")
    torch.manual_seed(settings.seed)  # adapters begin at random
    with warnings.catch_warnings():  # PEFT asks transformers by a name that transformers warns of
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        if goes_on:
            return PeftModel.from_pretrained(model, str(begun.folder), is_trainable=True)
        if lora:
            where = {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}
            return get_peft_model(model, LoraConfig(r=lora.rank, lora_alpha=lora.alpha, **where))
    if not settings.embeddings:
        model.get_input_embeddings().requires_grad_(False)
        model.get_output_embeddings().requires_grad_(False)
    return model


def make_trainer(
    model: nn.Module, rows: Sequence[Row], evaluation: dict[str, list[Row]], settings: TrainSettings,
    fm: FoundationModel, folder: Path, fsdp: bool = False, best: bool = False,
) -> Trainer:  # fmt: skip
    """transformers' Trainer over packed rows in the order given; `best` keeps the weights of the best evaluation."""
    size = min(settings.batch_size, len(rows))
    steps, every = len(rows) // size, max(1, len(rows) // size // LOGS)
    share, rest = divmod(size, int(os.environ.get("WORLD_SIZE", "1")))
    if rest:
        raise KitError(f"the processes cannot share a batch of {size} rows: choose `batch_size` as a multiple of them")
    evaluated = -(-max(APART, steps // VALIDATIONS) // every) * every
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, train_sampling_strategy="sequential", seed=settings.seed,
        per_device_train_batch_size=share, per_device_eval_batch_size=share, learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule, warmup_steps=round(settings.warmup * steps), adam_beta2=0.99,
        bf16=fm.dtype == "bfloat16", fp16=fm.dtype == "float16", use_cpu=fm.device == "cpu",
        logging_steps=every, logging_nan_inf_filter=False, report_to=[], disable_tqdm=True,
        save_steps=evaluated if best else -(-settings.checkpoint_steps // every) * every, save_total_limit=2,
        eval_strategy="steps" if evaluation else "no", eval_steps=evaluated,
        load_best_model_at_end=best, metric_for_best_model=SCORE if best else None,
        prediction_loss_only=True, remove_unused_columns=False, dataloader_pin_memory=False,
        ddp_find_unused_parameters=False, fsdp="full_shard" if fsdp else None,
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs share a training by torchrun, not as replicas
    trainer = RowTrainer(model, arguments, Collator(), train_dataset=rows, eval_dataset=evaluation or None)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _run(trainer: Trainer, checkpoint: str | None) -> None:
    logging.getLogger("transformers.trainer").setLevel(logging.ERROR)  # it warns of tied weights in the best checkpoint
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
    if state.global_step < state.max_steps and not no_longer_better(state):
        raise TrainingStopped(f"stopped after {state.global_step} of {state.max_steps} steps; the same call resumes it")
    if not all(weight.isfinite().all() for weight in trainer.model.parameters() if weight.requires_grad):
        shutil.rmtree(Path(trainer.args.output_dir) / f"checkpoint-{state.global_step}", ignore_errors=True)
        raise diverged(state.global_step, "weights", trainer.args.learning_rate)
