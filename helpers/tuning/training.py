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
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import Effort, KitError
from ..models import (
    RECORD,
    FoundationModel,
    is_first_process,
    keep_freed_memory,
    load_model,
    measure,
    release_freed_memory,
    wait_for_processes,
)
from . import checkpoints
from .fine_tuned import FineTuned, clear, read_fine_tuned, write_tuned
from .training_data import TrainingData, TrainSettings, training_rows, watched_rows

if TYPE_CHECKING:
    from torch import nn

    from .packing import Row
    from .trainer import KitTrainer, Listener


# Seconds that a row of 256 tokens takes, as it is and compiled, with all weights and with adapters, most of whose own
# products are too small to gain (benchmarks/step.py, two cores of 1,827 GFLOP/s in bfloat16); compiling keeps the
# padding of rows, and takes `COMPILING`, the mean of 26 where nothing was ever compiled and 4 for layers that torch has
# in its cache on disk. Where there is a compiler, only the length of a training decides, never the cache or the speed
# of the machine, so that the same training computes alike wherever and whenever it is made. In float32, on two cores of
# 144 GFLOP/s, compiling saved 0.07 and 0.14 of 1.2 and 1.7 seconds.
ALL_WEIGHTS, ADAPTERS, COMPILING = (0.75, 0.59), (0.44, 0.33), 15
LOGS, VALIDATIONS = 50, 10  # how often a training tells of its loss, and at most of its validation loss
APART = 10  # steps at least between two validations


def train(
    fm: FoundationModel,
    training_data: TrainingData,
    settings: TrainSettings,
    out: str | Path,
    start: str | Path | None = None,
    listener: Listener | None = None,
    again: bool = False,
    fsdp: bool = False,
) -> FineTuned:
    """Trains a copy of the model and writes the weights into a folder; the model in memory stays as it is.

    An interrupted training goes on from its last checkpoint when it is called again in the same way; a finished one
    is not repeated. Started by `torchrun`, the processes share each batch.

    Args:
        fm: The foundation model; its weights are loaded anew from where they came.
        training_data: What to learn from.
        settings: How.
        out: A folder for this training alone.
        start: An earlier training's folder to go on from: its adapter, or its whole model, is trained further.
        listener: Is told of the progress, and can stop the training.
        again: Whether a finished training is done anew.
        fsdp: Whether the processes share the weights as well, see `helpers.sharding`; the result is the same.

    Raises:
        DataError: There is nothing to learn from.
        KitError: The loss became NaN, the disk is full, `out` or `start` holds something else, or there is no second
            process to share with. What was done is kept, but for the steps after the last checkpoint where the disk
            has no room for another one.
    """
    import torch

    from .sharding import check_processes
    from .trainer import Listener

    if fsdp:
        check_processes()
    out, listener = Path(out), listener or Listener()
    rows, held, report = training_rows(fm, training_data, settings)
    watched = watched_rows(fm, training_data, settings)
    _tell_too_long("examples", report["too_long"], settings.max_length)
    _tell_too_long("examples of validation", report["held_too_long"], settings.max_length)
    identity = _identity(fm, rows, settings, start)
    if again and is_first_process():
        clear(out, start)
    if not again and (out / RECORD).is_file():
        return _reuse(out, identity)
    work = out / "checkpoints"
    decided = not again and checkpoints.peek(work).get("decisions")
    decisions = decided or _decide(fm, settings, report, identity)
    if decisions["identity"] != identity:
        raise KitError(
            f"{out} holds an unfinished training of other data, settings or model: delete {work} to begin anew, or "
            "give another folder"
        )
    threads = torch.get_num_threads()
    try:
        trainer = _trained(fm, rows, held, watched, settings, work, start, listener, decisions, fsdp)
        try:
            whole = not hasattr(trainer.model.model, "get_base_model")
            before = read_fine_tuned(start) if start else None
            made = FineTuned(
                out, _effort(trainer, training_data), listener.history, asdict(settings), report, whole=whole,
                identity=identity, base_hash=before.hash if before and before.whole and not whole else fm.hash,
                data_hash=_data_hash(rows), decisions=decisions, first=trainer.first,
            )  # fmt: skip
            _keep(made, fm, trainer.model.model)
        except BaseException as error:  # Ctrl-C, say: after the last step there was no checkpoint
            if trainer.args.world_size == 1 and not (out / RECORD).is_file():
                _save_the_last_steps(trainer, error)
            raise
        del trainer
    finally:  # the process goes on: it answers with as many threads as before
        torch.set_num_threads(threads)
        release_freed_memory()
    return read_fine_tuned(out)


def _trained(
    fm: FoundationModel, rows: list[Row], held: list[Row], watched: list[Row], settings: TrainSettings, work: Path,
    start: Any, listener: Listener, decisions: dict[str, Any], fsdp: bool,
) -> KitTrainer:  # fmt: skip
    """The trainer after its last step.

    Raises:
        TrainingStopped: The listener stopped it before.
    """
    fm.forget_exact()
    release_freed_memory()
    with measure() as effort:
        trainer = _make_trainer(fm, rows, held, watched, settings, work, start, listener, decisions, effort, fsdp)
        if watched:
            trainer.first = checkpoints.peek(work).get("first") or trainer.losses()
        trainer.train(resume_from_checkpoint=checkpoints.last(work))
        trainer.check_weights()
    state = trainer.state
    if state.global_step < state.max_steps:
        raise TrainingStopped(f"stopped after {state.global_step} of {state.max_steps} steps; the same call goes on")
    return trainer


def _keep(made: FineTuned, fm: FoundationModel, model: nn.Module) -> None:
    """Writes the weights by the first of the processes, each of which gives its share; the others wait."""
    from .sharding import tuned_state

    state = tuned_state(model, frozen=made.whole)
    if is_first_process():
        write_tuned(made.folder, fm, model, made, state)
    wait_for_processes()


def _save_the_last_steps(trainer: KitTrainer, error: BaseException) -> None:
    """Writes a checkpoint after the last step; where that fails too, the error that led here says so and goes on."""
    try:
        trainer.save()
    except KitError as failure:
        error.add_note(str(failure))


def _tell_too_long(what: str, ids: Sequence[str], limit: int) -> None:
    """Says on stderr which examples are left out: none is ever cut."""
    if ids and is_first_process():
        some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        print(f"{len(ids)} {what} are longer than {limit} tokens and are left out: {some}", file=sys.stderr)


class TrainingStopped(KitError):
    """A training that its listener stopped; calling it again goes on."""


def merge(fm: FoundationModel, adapter: str | Path, out: str | Path) -> Path:
    """Adds an adapter into the weights and writes a whole model, which `load_model(out)` reads.

    Raises:
        KitError: The adapter was made for another model, or there is none.
    """
    tuned = load_model(fm.name, fm.device, "float32").tuned(adapter)
    tuned.model.save_pretrained(out)
    tuned.tokenizer.save_pretrained(out)
    return Path(out)


def _data_hash(rows: Sequence[Row]) -> str:
    """Of the tokens that are learned from, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.ids, row.labels, row.segments)).encode())
    return digest.hexdigest()


def _identity(fm: FoundationModel, rows: Sequence[Row], settings: TrainSettings, start: Any) -> str:
    """What makes two trainings the same: base weights, rows, settings and where they start from."""
    told = [fm.hash, _data_hash(rows), settings.key, read_fine_tuned(start).hash if start else ""]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _effort(trainer: KitTrainer, training_data: TrainingData) -> Effort:
    """What the training took, earlier calls included."""
    spent = trainer.spent()
    labelled = {pair.id for pair in training_data.pairs} | {
        member[0] for group in training_data.groups for member in group
    }
    return Effort(
        wall_s=spent["wall_s"], cpu_s=spent["cpu_s"], tokens_seen=int(spent["tokens"]),
        trainable_parameters=sum(p.numel() for p in trainer.masters.named.values()),
        labelled_examples=len(labelled), documents=len(training_data.texts),
        peak_memory_bytes=int(spent["peak_memory_bytes"]),
    )  # fmt: skip


def _reuse(out: Path, identity: str) -> FineTuned:
    made = read_fine_tuned(out)
    if made.identity != identity:
        raise KitError(
            f"{out} holds another training (other data, settings or model). Give another folder, or again=True."
        )
    return made


def _decide(fm: FoundationModel, settings: TrainSettings, report: dict[str, Any], identity: str) -> dict[str, Any]:
    """What is decided once and kept: a resumed training must compute in exactly the same way."""
    import torch

    from .loss import can_compile

    wanted = settings.compile
    if wanted is None:
        padded = report["rows"] * settings.max_length
        pays = compiling_pays(settings.lora is None, report["tokens"], padded)
        wanted = fm.device == "cpu" and pays and can_compile()
    return {"identity": identity, "dtype": fm.dtype, "threads": torch.get_num_threads(), "compile": wanted}


def compiling_pays(whole: bool, tokens: int, padded: int) -> bool:
    """Whether a training is so long that compiled layers save more time than compiling takes.

    Args:
        whole: Whether all weights are tuned.
        tokens: Those of all rows; plain layers compute them, and hardly any padding.
        padded: The same with the padding that compiled layers compute.
    """
    plain, compiled = ALL_WEIGHTS if whole else ADAPTERS
    return tokens / 256 * plain - padded / 256 * compiled > COMPILING


def _make_trainer(
    fm: FoundationModel, rows: list[Row], held: list[Row], watched: list[Row], settings: TrainSettings, work: Path,
    start: Any, listener: Listener, decisions: dict[str, Any], effort: Effort, fsdp: bool,
) -> KitTrainer:  # fmt: skip
    import torch
    from transformers import TrainingArguments

    from ..fast import layers as lean_layers
    from ..fast import norm as lean_norm
    from .loss import Objective, compile_layers
    from .packing import collate, collate_short
    from .prepare_model import trainable
    from .sharding import shard
    from .trainer import KitTrainer

    keep_freed_memory()
    torch.set_num_threads(decisions["threads"])
    torch.manual_seed(settings.seed)
    model = trainable(fm, settings, start, decisions["dtype"])
    objective = Objective(model)
    if fm.device == "cpu" and not fsdp:  # shards are of single weights
        lean_layers.prepare(model)
    if decisions["compile"]:
        compile_layers(objective.causal)
    elif fm.device == "cpu":
        lean_norm.prepare(model)  # what is compiled does so by itself
    size = min(settings.batch_size, len(rows))
    processes, steps = int(os.environ.get("WORLD_SIZE", "1")), len(rows) // size
    share, rest = divmod(size, processes * settings.accumulation)
    if rest:
        raise KitError(
            f"a batch of {size} of the {len(rows)} rows cannot be shared by {processes} processes in "
            f"{settings.accumulation} parts each: choose `batch_size` as a multiple of both"
        )
    every = max(1, steps // LOGS)  # a validation loss belongs to a logged step
    options = TrainingArguments(
        output_dir=str(work), num_train_epochs=1, per_device_train_batch_size=share,
        gradient_accumulation_steps=settings.accumulation, learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule, warmup_steps=round(settings.warmup * steps),
        weight_decay=settings.weight_decay, adam_beta2=0.99, max_grad_norm=1.0, seed=settings.seed,
        logging_steps=every, save_strategy="steps", save_steps=settings.checkpoint_steps,
        eval_strategy="steps" if held else "no", eval_steps=-(-max(APART, steps // VALIDATIONS) // every) * every,
        use_cpu=fm.device == "cpu", report_to=[], disable_tqdm=True, remove_unused_columns=False,
        label_names=["shift_labels"], logging_nan_inf_filter=False, dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
    )  # fmt: skip
    options._n_gpu = min(options.n_gpu, 1)  # several devices share a training by torchrun, not as replicas of a model
    if fsdp:
        shard(objective)
    as_tensors = collate if decisions["compile"] else collate_short
    data = {"train_dataset": rows, "eval_dataset": held or None, "data_collator": as_tensors}
    return KitTrainer(objective, listener, decisions, effort, watched, args=options, **data)
