"""Both kinds of fine-tuning on tiny models: what is learned, resumed, refused, and kept."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT, disk_with_room_for, make_tiny
from transformers import TrainerCallback

from helpers.data.records import DataError, Example, KitError, Question
from helpers.experiment.assistant import Assistant
from helpers.models.foundation_model import load_model
from helpers.tuning import training as training_module
from helpers.tuning.fine_tuned import read_fine_tuned
from helpers.tuning.packing import Collator
from helpers.tuning.training import TrainingStopped, train
from helpers.tuning.training_data import Lora, TrainingData, TrainSettings, training_rows

COLOURS = ("red", "blue", "green", "grey", "white", "black")
PAIRS = tuple(Example(f"p{i}", "answers", f"What is the colour of machine {i}?", COLOURS[i % 6]) for i in range(12))
TEXTS = tuple(f"Machine {i} stands at berth {i * 7 % 10} and turns when the tide runs." for i in range(12))
SETTINGS = TrainSettings(Lora(4, 8), learning_rate=0.03, epochs=8, batch_size=2, max_length=128, checkpoint_steps=3)
PAIRS_ONLY, TEXTS_ONLY = TrainingData(pairs=PAIRS), TrainingData(texts=TEXTS)


class Watch(TrainerCallback):
    """Notes the steps of a training; stops it after one, or is interrupted there as by Ctrl-C."""

    def __init__(self, stop: int = 0, interrupt: int = 0):
        self.steps, self.stop, self.interrupt = [], stop, interrupt

    def on_step_end(self, args, state, control, **_):
        self.steps.append(state.global_step)
        if state.global_step == self.interrupt:
            raise KeyboardInterrupt
        control.should_training_stop = control.should_training_stop or state.global_step == self.stop


def asked(pairs=PAIRS):
    return [Question(pair.id, "own", pair.prompt) for pair in pairs]


# ---- what is learned


@pytest.mark.parametrize("data", [PAIRS_ONLY, TrainingData(pairs=PAIRS, texts=TEXTS)])
@pytest.mark.parametrize("lora", [Lora(4, 8), None])
def test_the_loss_falls_and_the_record_says_what_was_done(tiny, tmp_path, data, lora):
    tuned = train(tiny, data, replace(SETTINGS, lora=lora), tmp_path / "run")
    assert tuned.history[-1].loss < 0.8 * tuned.history[0].loss
    assert tuned.history[-1].step == tuned.history[-1].steps == len(tuned.history)
    assert tuned.whole == (lora is None)
    assert tuned.effort.tokens_seen == tuned.history[-1].tokens == tuned.report["tokens"] > 0
    assert (tuned.effort.trainable_parameters == tiny.model.num_parameters()) == (lora is None)
    assert (tuned.effort.labelled_examples, tuned.effort.documents) == (len(data.pairs), len(data.texts))
    assert tuned.effort.artefact_bytes > 0 and tuned.effort.wall_s > 0 and tuned.effort.peak_memory_bytes > 50e6
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    assert ("model.safetensors" in kept, "adapter_model.safetensors" in kept) == (lora is None, lora is not None)
    assert not [name for name in kept if name.endswith((".bin", ".pt", ".md")) or name == "checkpoints"]


def test_a_tuned_model_answers_as_it_was_taught_and_the_model_in_memory_stays(tiny, tmp_path):
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    longer = replace(SETTINGS, lora=Lora(16, 32), learning_rate=0.01, epochs=60)
    tuned = train(tiny, PAIRS_ONLY, longer, tmp_path / "run")
    texts = [answer.text for answer in Assistant(tiny, adapter=tuned.folder).ask_all(asked())]
    assert sum(text == pair.response for text, pair in zip(texts, PAIRS, strict=True)) >= 4
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.model.state_dict().items())


def test_a_notebook_with_peft_and_trainer_makes_the_same_adapter_byte_for_byte(llama, tmp_path, monkeypatch):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    monkeypatch.setenv("KIT_FAST", "0")
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)  # a folder here has its name
    tuned = train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "kit")

    rows, _, _ = training_rows(llama, PAIRS_ONLY, SETTINGS)
    torch.manual_seed(SETTINGS.seed)
    model = AutoModelForCausalLM.from_pretrained(llama.name, dtype="float32")
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    steps = len(rows) // SETTINGS.batch_size
    arguments = TrainingArguments(
        output_dir=tmp_path / "own", num_train_epochs=1, train_sampling_strategy="sequential", seed=SETTINGS.seed,
        per_device_train_batch_size=2, learning_rate=0.03, adam_beta2=0.99, lr_scheduler_type="linear",
        warmup_steps=round(0.05 * steps), use_cpu=True, save_strategy="no", report_to=[],
        remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(get_peft_model(model, config), arguments, train_dataset=rows, data_collator=Collator())
    trainer.train()
    trainer.save_model(tmp_path / "own")
    made, own = (folder / "adapter_model.safetensors" for folder in (tuned.folder, tmp_path / "own"))
    assert made.read_bytes() == own.read_bytes()


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-3), ("bfloat16", 0.02)])
@pytest.mark.parametrize("lora", [Lora(4, 8), None])
def test_without_what_is_fast_the_losses_are_the_same(llama, tmp_path, monkeypatch, dtype, near, lora):
    fm = llama if dtype == "float32" else load_model(llama.name, "cpu", dtype)
    settings = replace(SETTINGS, lora=lora, epochs=4, learning_rate=0.01)
    losses = []
    for fast in ("1", "0"):
        monkeypatch.setenv("KIT_FAST", fast)
        losses.append([entry.loss for entry in train(fm, PAIRS_ONLY, settings, tmp_path / fast).history])
    assert losses[0] == pytest.approx(losses[1], rel=near) and losses[0][-1] < losses[0][0]


def test_validation_and_general_losses_are_taken_from_before_the_first_step_and_change_nothing(llama, tmp_path):
    data = replace(TEXTS_ONLY, validation_texts=TEXTS[:4], general_texts=("Rain falls on hills and fields.",) * 3)
    settings = replace(SETTINGS, epochs=30, checkpoint_steps=5)
    whole = train(llama, data, settings, tmp_path / "whole")
    with pytest.raises(TrainingStopped):
        train(llama, data, settings, tmp_path / "run", callback=Watch(stop=8))
    resumed = train(llama, data, settings, tmp_path / "run")
    unwatched = train(llama, replace(data, general_texts=()), settings, tmp_path / "unwatched")
    assert resumed.hash == whole.hash == unwatched.hash and resumed.history == whole.history
    assert resumed.first == whole.first and set(whole.first) == {"eval_loss", "general_loss"}
    taken = [entry for entry in whole.history if entry.general_loss is not None]
    assert len(taken) >= 2 and taken[-1].validation_loss < whole.first["eval_loss"] and not unwatched.first
    assert all(entry.general_loss is None for entry in unwatched.history)


# ---- going on


def test_a_second_training_goes_on_from_the_first(llama, tmp_path):
    first = train(llama, TEXTS_ONLY, SETTINGS, tmp_path / "first")
    second = train(llama, TEXTS_ONLY, replace(SETTINGS, learning_rate=0.01), tmp_path / "second", start=first.folder)
    assert second.history[0].loss < 0.8 * first.history[0].loss
    assert second.hash != first.hash == read_fine_tuned(first.folder).hash
    for lora in (None, Lora(8, 8), Lora(4, 16)):
        with pytest.raises(KitError, match="rank"):
            train(llama, PAIRS_ONLY, replace(SETTINGS, lora=lora), tmp_path / "third", start=first.folder)


def test_an_adapter_on_a_whole_model_belongs_to_that_model(llama, tmp_path):
    settings = replace(SETTINGS, lora=None, learning_rate=0.01, embeddings=False)
    whole = train(llama, TEXTS_ONLY, settings, tmp_path / "whole")
    made, before = load_model(whole.folder, "cpu", "float32").model.state_dict(), llama.model.state_dict()
    same = {name for name, tensor in made.items() if torch.equal(tensor, before[name])}
    assert same == {"model.embed_tokens.weight", "lm_head.weight"}, "embeddings stay where that is asked for"
    further = train(llama, PAIRS_ONLY, replace(SETTINGS, lora=None), tmp_path / "further", start=whole.folder)
    assert further.whole and further.base_hash == llama.hash
    adapter = train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "adapter", start=whole.folder)
    assert not adapter.whole and adapter.base_hash == whole.hash != llama.hash
    with pytest.raises(KitError, match="other weights"):
        Assistant(llama, adapter=adapter.folder)
    Assistant(load_model(whole.folder, "cpu", "float32"), adapter=adapter.folder).ask(asked()[0])


def test_a_finished_training_is_not_repeated_and_another_one_is_refused(llama, tmp_path):
    tuned = train(llama, PAIRS_ONLY, SETTINGS, tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    made = weights.stat().st_mtime_ns
    assert train(llama, PAIRS_ONLY, SETTINGS, tmp_path).hash == tuned.hash and weights.stat().st_mtime_ns == made
    with pytest.raises(KitError, match="another training"):
        train(llama, TEXTS_ONLY, SETTINGS, tmp_path)
    assert read_fine_tuned(tmp_path).hash == tuned.hash


# ---- interruption


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [Lora(4, 8), None])
def test_a_stopped_training_resumes_to_the_same_weights(llama, tmp_path, dtype, lora):
    fm, settings = load_model(llama.name, "cpu", dtype), replace(SETTINGS, lora=lora, learning_rate=0.01)
    whole = train(fm, PAIRS_ONLY, settings, tmp_path / "whole")
    with pytest.raises(TrainingStopped, match="after 4 of"):
        train(fm, PAIRS_ONLY, settings, tmp_path / "run", callback=Watch(stop=4))
    with pytest.raises(KitError, match="unfinished training"):
        train(fm, TEXTS_ONLY, settings, tmp_path / "run")
    watch = Watch()
    resumed = train(fm, PAIRS_ONLY, settings, tmp_path / "run", callback=watch)
    assert watch.steps[0] == 5 and resumed.hash == whole.hash and resumed.history == whole.history
    measured = {"wall_s": 0, "cpu_s": 0, "peak_memory_bytes": 0, "artefact_bytes": 0}
    assert replace(resumed.effort, **measured) == replace(whole.effort, **measured)


def test_ctrl_c_loses_no_more_than_the_last_interval_and_nothing_after_the_last_step(llama, tmp_path, monkeypatch):
    whole = train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run", callback=Watch(interrupt=5))
    watch = Watch()
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(training_module, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run", callback=watch)
    assert watch.steps[0] == 4, "the checkpoint after step 3 was the last"
    watch = Watch()
    resumed = train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run", callback=watch)
    assert resumed.hash == whole.hash and watch.steps == [] and resumed.history == whole.history
    assert not (tmp_path / "run" / "checkpoints").exists()


SCRIPT = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from test_training import PAIRS_ONLY, SETTINGS, UNEVEN, load_model, replace, train
fm = load_model({model!r}, "cpu", "float32")
"""
SERVER = """
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        train(fm, PAIRS_ONLY, SETTINGS, {out!r})
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 and fork are POSIX's")
def test_kills_at_any_moment_leave_the_weights_of_an_unbroken_run(llama, tmp_path, request):
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(1)  # as in the server: sums of two threads end in other last digits
    whole, run = train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "whole"), tmp_path / "run"
    code = (SCRIPT + SERVER).format(root=str(ROOT), tests=str(ROOT / "tests"), model=llama.name, out=str(run))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    rng, killed = random.Random(0), 0
    for attempt in range(12):
        print("go", file=server.stdin, flush=True)
        pid = int(server.stdout.readline())
        time.sleep(rng.random() * whole.effort.wall_s)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed += int(server.stdout.readline()) == signal.SIGKILL
        if (run / "training.json").exists():
            assert read_fine_tuned(run).hash == whole.hash
            run.rename(tmp_path / f"finished-{attempt}")
    server.communicate()
    assert killed >= 4, "most attempts must be killed before they end, or this proves nothing"
    assert train(llama, PAIRS_ONLY, SETTINGS, run).hash == whole.hash


def test_a_full_disk_loses_nothing(llama, tmp_path):
    with pytest.raises(TrainingStopped):
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run", callback=Watch(stop=5))
    with disk_with_room_for(2000), pytest.raises(KitError, match="(?s)disk.*the same call again"):
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    watch = Watch()
    resumed = train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run", callback=watch)
    assert watch.steps[0] == 6 and resumed.hash == train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "whole").hash


# ---- what is refused or reported


def test_a_training_that_diverges_stops_with_a_remedy(llama, tmp_path):
    for epochs in (8, 1 / 6):  # in the middle, and by its last step
        with pytest.raises(KitError, match="Lower the learning rate"):
            train(
                llama, PAIRS_ONLY, replace(SETTINGS, learning_rate=1e39, warmup=0, epochs=epochs, schedule="constant"),
                tmp_path / str(epochs),
            )  # fmt: skip


def test_rows_do_not_reach_further_than_a_window_that_slides(tmp_path):
    folder = make_tiny("Mistral", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": 64}), encoding="utf-8")
    with pytest.raises(KitError, match="64 tokens"):
        train(load_model(folder, "cpu", "float32"), TEXTS_ONLY, SETTINGS, tmp_path / "run")


def test_too_long_pairs_are_reported_and_left_out_whole(llama, tmp_path, capsys):
    long = Example("long", "answers", "Tell all.", "word " * 300)
    data = TrainingData(pairs=(*PAIRS, long), validation_pairs=(PAIRS[0], replace(long, id="held")))
    rows, evaluation, report = training_rows(llama, data, SETTINGS)
    held = evaluation["validation"]
    assert (report["too_long"], report["examples"]) == (["long", "held"], len(PAIRS))
    word = llama.tokenizer(" word", add_special_tokens=False)["input_ids"][0]
    assert not any(word in row.ids for row in rows + held) and len(held) == 1
    train(llama, data, replace(SETTINGS, epochs=1), tmp_path / "run")
    printed = capsys.readouterr().err
    assert "long" in printed and "held" in printed


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (TrainingData(), "there are none"),
        (TrainingData(pairs=(Example("long", "answers", "Tell all.", "word " * 300),)), "all 1 are longer"),
        (TrainingData(pairs=(Example("none", "answers", "Tell all.", " "),)), "'none'"),
    ],
)
def test_nothing_to_learn_from_is_refused(llama, data, reason):
    with pytest.raises(DataError, match=reason):
        training_rows(llama, data, SETTINGS)


def test_settings_out_of_range_and_shards_in_one_process_are_refused(llama, tmp_path):
    for name in ("learning_rate", "epochs", "batch_size", "max_length"):
        with pytest.raises(KitError, match=f"`{name}` must be a number above 0.* Got 0"):
            replace(SETTINGS, **{name: 0})
    with pytest.raises(KitError, match="torchrun"):
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path, fsdp=True)


def test_replay_is_a_share_of_the_domain_text_or_else_of_the_pairs(llama):
    general = [f"The market on square {i} opens in the morning and closes at dusk." for i in range(40)]
    for data in (TEXTS_ONLY, PAIRS_ONLY):
        settings = replace(SETTINGS, replay=0.5, epochs=10)
        without, _, _ = training_rows(llama, data, replace(settings, replay=0.0))
        mixed, _, _ = training_rows(llama, replace(data, replay=general), settings)
        added = sum(row.tokens for row in mixed) - sum(row.tokens for row in without)
        assert 0.3 < added / sum(row.tokens for row in without) < 0.7


def test_a_last_batch_that_is_not_full_is_learned_from_too(llama, tmp_path):
    settings, data = replace(SETTINGS, batch_size=4, epochs=1, max_length=64), TrainingData(texts=[TEXTS[0] * 24])
    rows, _, report = training_rows(llama, data, settings)
    alone, _, _ = training_rows(llama, data, replace(settings, batch_size=1))
    assert len(alone) % 4 and len(rows) % 4 == 0 and [row.ids for row in rows[: len(alone)]] == [r.ids for r in alone]
    tuned = train(llama, data, settings, tmp_path / "run")
    assert tuned.effort.tokens_seen == report["tokens"] == sum(row.tokens for row in alone)
    assert tuned.history[-1].steps == len(rows) // 4


# ---- several processes

TORCHRUN = """
train(fm, UNEVEN, SETTINGS, {out!r} + "/lora")
train(fm, PAIRS_ONLY, replace(SETTINGS, lora=None, learning_rate=0.003), {out!r} + "/whole")
"""
UNEVEN = TrainingData(  # an odd number of rows, so that one process gets a blank one, and labels differ in number
    pairs=tuple(Example(f"u{i}", "answers", f"Say {i}.", " ".join(["tide"] * (1 + 7 * (i % 3)))) for i in range(7))
)


def test_two_processes_make_the_weights_of_one(llama, tmp_path):
    from safetensors.torch import load_file

    two = tmp_path / "two"
    code = (SCRIPT + TORCHRUN).format(root=str(ROOT), tests=str(ROOT / "tests"), model=llama.name, out=str(two))
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run = subprocess.run([*command, str(tmp_path / "script.py")], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-4000:]
    for name, data, settings in (
        ("lora", UNEVEN, SETTINGS), ("whole", PAIRS_ONLY, replace(SETTINGS, lora=None, learning_rate=0.003)),
    ):  # fmt: skip
        one, two = train(llama, data, settings, tmp_path / name), read_fine_tuned(tmp_path / "two" / name)
        assert two.fingerprint == one.fingerprint and two.effort.tokens_seen == one.effort.tokens_seen
        assert [e.loss for e in two.history] == pytest.approx([e.loss for e in one.history], rel=1e-3)
        ours, theirs = (load_file(next(Path(made.folder).glob("*.safetensors"))) for made in (one, two))
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():  # compared as a whole: AdamW makes a full step of a gradient near nothing
            assert (tensor - theirs[key]).norm() <= 5e-3 * tensor.norm(), key
        assert not (two.folder / "checkpoints").exists()


@pytest.mark.parametrize("lora", [Lora(4, 8), None])
def test_the_weights_of_the_best_score_are_kept_and_the_training_stops_after_it(llama, tmp_path, lora):
    seen = []

    def score(model):
        seen.append(model.model.state_dict())
        return [0.1, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5][len(seen) - 1]

    data = TrainingData(pairs=PAIRS, validation_pairs=PAIRS[:2])
    settings = replace(SETTINGS, lora=lora, learning_rate=0.01, epochs=60)
    tuned = train(llama, data, settings, tmp_path / "run", score=score)
    noted = [entry.validation_score for entry in tuned.history if entry.validation_score is not None]
    assert noted == [0.1, 0.9, 0.5, 0.5, 0.5]
    assert tuned.history[-1].steps / 2 < tuned.history[-1].step < tuned.history[-1].steps
    kept = Assistant(llama, adapter=tuned.folder).model.model.state_dict()
    near = [all(torch.allclose(kept[name], one[name], atol=1e-5) for name in kept) for one in seen]
    assert near == [place == 1 for place in range(len(seen))]
    anew = load_model(llama.name, "cpu", "float32")
    assert Assistant(llama).ask(PAIRS[0].prompt).text == Assistant(anew).ask(PAIRS[0].prompt).text
