"""One training run of the kit, of trl's SFTTrainer or of transformers' stock Trainer, on the same examples.

training.py starts each run as a process of its own: `python -m tools.benchmarks.training_sides JOB` takes a `Job` as
JSON and prints one line of JSON.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from helpers import data, models
from helpers.data import get_profile
from helpers.models import measure
from helpers.tuning import IGNORED, Row, TrainingData, TrainSettings, recipes, training_rows

from .measuring import DATASET, FOUNDATION_MODEL, clock_of

TRAININGS = {"pairs": "answers", "text": "domain"}
BATCHES = ("padded", "grouped", "flat")
VARIANTS = [f"{batches}, {attention}" for batches in BATCHES for attention in ("sdpa", "eager")]
TRIAL_STEPS = 4
BETA2 = 0.99  # of AdamW, as helpers.tuning sets it
SEED = 7


@dataclass(frozen=True)
class Job:
    """One run of one side: what is trained, on how much, and the folder that its adapter goes to.

    `examples` bounds the number of pairs or texts. With `validate` the validation loss is read along the way. `variant`
    is how the stock Trainer makes its batches and which attention it takes; the side `trials` times them all.
    """

    side: str
    kind: str
    out: str
    model: str = FOUNDATION_MODEL
    dtype: str | None = None
    passes: float = 1.0
    examples: int | None = None
    validate: bool = False
    variant: str = VARIANTS[0]


@dataclass(frozen=True)
class Example:
    """What a model without packing reads as one row; `labels[i]` is `ids[i]`, or `IGNORED`."""

    ids: list[int]
    labels: list[int]


@dataclass
class Run:
    """How a run went. Losses are nats a token; seconds count from the weights on disk to the adapter on disk.

    `tokens` and `labelled` are those of the examples; `computed` counts once what packing computes once for several.
    `clock` says when each step ended, `curve` the
    validation loss after a step; both are (step, value).
    """

    seconds: float = 0.0
    peak_memory_bytes: int = 0
    tokens: int = 0
    labelled: int = 0
    computed: int = 0
    steps: int = 0
    first_loss: float = 0.0
    final_loss: float = 0.0
    weights: dict[str, int] = field(default_factory=dict)
    clock: list[tuple[int, float]] = field(default_factory=list)
    curve: list[tuple[int, float]] = field(default_factory=list)


def run(job: Job) -> dict[str, Any]:
    """Makes one run and gives its `Run` as a dictionary; `trials` gives the seconds a token of each variant."""
    fm = models.load_model(job.model, device="cpu", dtype=job.dtype)
    material, settings = what_is_learned(job)
    rows, evaluation, _ = training_rows(fm, material, settings)
    size = min(settings.batch_size, len(rows))
    batches = [_unpacked(rows[start : start + size]) for start in range(0, len(rows), size)]
    check = _unpacked(evaluation.get("validation", []))
    made = Run()
    if job.side == "kit":
        train_kit(job, fm, material, settings, made)
        made.computed = sum(row.tokens for row in rows)
    else:
        tokenizer, folder, dtype = fm.tokenizer, fm.model.name_or_path, fm.dtype
        del fm
        load = {"folder": folder, "dtype": dtype, "tokenizer": tokenizer, "settings": settings}
        if job.side == "trials":
            return {variant: trial(replace(job, variant=variant), batches, load) for variant in VARIANTS}
        train_peer(job, batches, check if job.validate else [], load, made)
    examples = [example for batch in batches for example in batch]
    made.tokens = sum(len(example.ids) for example in examples)
    made.computed = made.computed or made.tokens
    made.labelled = sum(label != IGNORED for example in examples for label in example.labels)
    made.first_loss = plain_loss(models.load_model(job.model, device="cpu", dtype=job.dtype).model, check)
    tuned = reloaded(job)
    made.final_loss, made.weights = plain_loss(tuned, check), weights_of(tuned)
    return asdict(made)


def what_is_learned(job: Job) -> tuple[TrainingData, TrainSettings]:
    """The kit's own training of this kind, on so many passes and examples, without the general text."""
    name = TRAININGS[job.kind]
    settings = replace(recipes.settings(name, get_profile("workshop"), SEED), epochs=job.passes, replay=0.0)
    material = recipes.training_data(name, data.open_dataset(DATASET))
    material = replace(material, general_texts=())  # the peers watch none
    return replace(material, texts=material.texts[: job.examples], pairs=material.pairs[: job.examples]), settings


def unpacked(row: Row) -> list[Example]:
    """The examples of a packed row, each as a row of its own, in their order; a blank row has none."""
    shared = [place for place, segment in enumerate(row.segments) if segment == 0]
    segments = sorted({segment for segment in row.segments if segment > 0})
    own = [[place for place, segment in enumerate(row.segments) if segment == wanted] for wanted in segments]
    return [
        Example([row.ids[p] for p in places], [IGNORED] + [row.labels[p] for p in places[:-1]])
        for places in ([shared + places for places in own] if own else [shared])
        if places
    ]


def _unpacked(rows: Sequence[Row]) -> list[Example]:
    return [example for row in rows for example in unpacked(row)]


def plain_loss(model: Any, examples: Sequence[Example]) -> float:
    """The mean loss over all labelled tokens, one example at a time, every logit computed: nats a token."""
    import torch

    total, count, training = 0.0, 0, model.training
    model.eval()
    with torch.no_grad():
        for example in examples:
            logits = model(input_ids=torch.tensor([example.ids]), use_cache=False).logits[0, :-1].float()
            labels = torch.tensor(example.labels[1:])
            total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
            count += int((labels != IGNORED).sum())
    model.train(training)
    return total / count


def train_kit(job: Job, fm: models.FoundationModel, material: TrainingData, settings: TrainSettings, made: Run) -> None:
    """The kit's run."""
    from helpers.tuning import train

    if not job.validate:
        material = replace(material, validation_texts=(), validation_pairs=())
    load_libraries(job.side)
    shutil.rmtree(job.out, ignore_errors=True)
    begun, ticks = time.perf_counter(), []
    with measure() as effort:
        tuned = train(fm, material, settings, job.out, callback=clock_of(ticks))
    made.clock = [(step, tick - begun) for step, tick in enumerate(ticks, 1)]
    made.seconds, made.peak_memory_bytes = effort.wall_s, effort.peak_memory_bytes
    made.steps = tuned.history[-1].steps
    made.curve = [(m.step, m.validation_loss) for m in tuned.history if m.validation_loss is not None]


def train_peer(job: Job, batches: list[list[Example]], check: list[Example], load: dict[str, Any], made: Run) -> None:
    """The run of a peer; `check` is read along the way."""

    load_libraries(job.side)
    batches = planned(job, batches)
    made.steps, every = len(batches), max(10, len(batches) // 10)

    def told(step: int, model: Any) -> None:
        made.clock.append((step, time.perf_counter() - begun))
        if check and step % every == 0:
            made.curve.append((step, plain_loss(model, check)))

    begun = time.perf_counter()
    with measure() as effort:
        trainer = peer_trainer(job, batches, load, told)
        trainer.train()
        trainer.save_model(job.out)
    made.seconds, made.peak_memory_bytes = effort.wall_s, effort.peak_memory_bytes


def load_libraries(side: str) -> None:
    """Imports what a side needs before its clock starts."""
    wanted = {"transformers": ("Trainer", "TrainingArguments", "DataCollatorForSeq2Seq", "DataCollatorWithFlattening")}
    if side == "sft":
        wanted |= {"trl": ("SFTConfig", "SFTTrainer"), "datasets": ("Dataset",)}
    for library, names in wanted.items():
        for name in names:
            getattr(import_module(library), name)  # loaded when it is first asked for


def trial(job: Job, batches: list[list[Example]], load: dict[str, Any]) -> float:
    """Seconds a token of a variant: the median of steps from all parts of the training, the first one not counted."""
    plan = planned(job, batches)
    some = (plan[:: max(1, len(plan) // TRIAL_STEPS)] * 2)[: TRIAL_STEPS + 1]
    clock: list[float] = []
    peer_trainer(job, some, load, lambda step, model: clock.append(time.perf_counter())).train()
    tokens = [sum(len(example.ids) for example in batch) for batch in some[1:]]
    return median((end - begun) / each for (begun, end), each in zip(pairwise(clock), tokens, strict=True))


def planned(job: Job, batches: list[list[Example]]) -> list[list[Example]]:
    """The batches as they are, or grouped by length with transformers' own sampler into as many."""
    if job.side == "sft" or not job.variant.startswith("grouped"):
        return batches
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    examples = [example for batch in batches for example in batch]
    size = -(-len(examples) // len(batches))
    lengths, generator = [len(example.ids) for example in examples], torch.Generator().manual_seed(SEED)
    order = list(LengthGroupedSampler(size, lengths=lengths, generator=generator))
    return [[examples[i] for i in order[start : start + size]] for start in range(0, len(order), size)]


def peer_trainer(job: Job, batches: list[list[Example]], load: dict[str, Any], told: Any) -> Any:
    """SFTTrainer, or the stock Trainer, ready to train; `told` is called with step and model after each step."""
    from torch.utils.data import DataLoader
    from transformers import TrainerCallback

    ends = list(itertools.accumulate(map(len, batches)))
    numbers = [list(range(end - len(batch), end)) for batch, end in zip(batches, ends, strict=True)]
    rows = [{"input_ids": example.ids, "labels": example.labels} for batch in batches for example in batch]
    load["tokenizer"].padding_side = "right"
    kind, arguments, examples, collator = (_sft if job.side == "sft" else _stock)(job, batches, load, rows)
    attention = None if job.side == "sft" else job.variant.split(", ")[1]

    class InTheseBatches(kind):
        """The trainer as it is, but told which examples make a batch."""

        def get_train_dataloader(self) -> DataLoader:
            """The batches in their order."""
            loader = DataLoader(self.train_dataset, batch_sampler=numbers, collate_fn=self.data_collator)
            return self.accelerator.prepare(loader)

    class Follow(TrainerCallback):
        """Says where the training is."""

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            """Passes on the step."""
            told(state.global_step, model)

    return InTheseBatches(
        _peer_model(load, attention), arguments, train_dataset=examples, data_collator=collator,
        processing_class=load["tokenizer"], callbacks=[Follow()],
    )  # fmt: skip


def _sft(job: Job, batches: list[list[Example]], load: dict[str, Any], rows: list[dict[str, list[int]]]) -> tuple:
    """SFTTrainer with what it takes: arguments, its data set, and its own collator."""
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset

    arguments = SFTConfig(**_arguments(job, batches, load), max_length=load["settings"].max_length)
    return SFTTrainer, arguments, Dataset.from_list(rows), None


def _stock(job: Job, batches: list[list[Example]], load: dict[str, Any], rows: list[dict[str, list[int]]]) -> tuple:
    """transformers' Trainer with what it takes: arguments, examples, and the collator of the variant."""
    from transformers import DataCollatorForSeq2Seq, DataCollatorWithFlattening, Trainer, TrainingArguments

    flat = job.variant.startswith("flat")
    collator = DataCollatorWithFlattening() if flat else DataCollatorForSeq2Seq(load["tokenizer"])
    return Trainer, TrainingArguments(**_arguments(job, batches, load)), rows, collator


def _arguments(job: Job, batches: list[list[Example]], load: dict[str, Any]) -> dict[str, Any]:
    """The kit's settings by the names that transformers gives them."""
    settings: TrainSettings = load["settings"]
    return {
        "output_dir": f"{job.out}/work", "num_train_epochs": 1, "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule, "warmup_steps": round(settings.warmup * len(batches)),
        "adam_beta2": BETA2, "max_grad_norm": 1.0, "seed": settings.seed,
        "per_device_train_batch_size": max(map(len, batches)), "bf16": load["dtype"] == "bfloat16", "use_cpu": True,
        "gradient_checkpointing": False, "save_strategy": "no", "logging_strategy": "no", "report_to": [],
        "disable_tqdm": True, "dataloader_pin_memory": False,
    }  # fmt: skip


def _peer_model(load: dict[str, Any], attention: str | None) -> Any:
    """The model with new adapters, which begin as the kit's do; tuned as a whole, it is held in float32."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    settings = load["settings"]
    torch.manual_seed(settings.seed)
    dtype = load["dtype"] if settings.lora else "float32"
    chosen = {"attn_implementation": attention} if attention else {}
    model = AutoModelForCausalLM.from_pretrained(load["folder"], dtype=dtype, **chosen)
    if settings.lora is None:
        return model
    config = LoraConfig(
        r=settings.lora.rank, lora_alpha=settings.lora.alpha, task_type="CAUSAL_LM",
        target_modules="all-linear",
    )  # fmt: skip
    return get_peft_model(model, config)


def reloaded(job: Job) -> Any:
    """The tuned model as PEFT reads it from its folder."""
    from peft import PeftModel

    if not (Path(job.out) / "adapter_config.json").is_file():
        return models.load_model(job.out, device="cpu", dtype=job.dtype).model
    base = models.load_model(job.model, device="cpu", dtype=job.dtype).model
    return PeftModel.from_pretrained(base, job.out).eval()


def weights_of(model: Any) -> dict[str, int]:
    """How many weights take part in matrix products: those of the layers, of the adapters, and of the head."""
    from torch import nn

    adapter = sum(weight.numel() for name, weight in model.named_parameters() if "lora_" in name)
    head = model.get_output_embeddings()
    linear = sum(each.weight.numel() for each in model.modules() if isinstance(each, nn.Linear) and each is not head)
    return {"layers": linear - adapter, "adapter": adapter, "head": head.weight.numel()}


if __name__ == "__main__":
    print(json.dumps(run(Job(**json.loads(sys.argv[1])))))
