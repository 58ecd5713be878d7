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
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import transformers
from conftest import ROOT, disk_with_room_for, make_tiny
from peft.tuners.lora import Linear as LoraLinear

from helpers.data.records import DataError, Example, KitError, Question
from helpers.experiment.assistant import Assistant
from helpers.fast import layers as lean_layers
from helpers.fast import norm as lean_norm
from helpers.fast.lora import LeanLinear
from helpers.models.foundation_model import load_model
from helpers.tuning import checkpoints, trainer
from helpers.tuning import loss as objective
from helpers.tuning import prepare_model as trainable
from helpers.tuning import training as finetune
from helpers.tuning.fine_tuned import read_fine_tuned
from helpers.tuning.trainer import Listener
from helpers.tuning.training import TrainingStopped, merge, train
from helpers.tuning.training_data import Lora, TrainingData, TrainSettings, training_rows

COLOURS = ("red", "blue", "green", "grey", "white", "black")
PAIRS = tuple(Example(f"p{i}", "answers", f"What is the colour of machine {i}?", COLOURS[i % 6]) for i in range(12))
TEXTS = tuple(f"Machine {i} stands at berth {i * 7 % 10} and turns when the tide runs." for i in range(12))
SETTINGS = TrainSettings(
    Lora(4, 8), learning_rate=0.03, epochs=8, batch_size=2, max_length=128, checkpoint_steps=3, compile=False
)
NEEDS_COMPILER = pytest.mark.skipif(not objective.can_compile(), reason="there is no C++ compiler here")
PAIRS_ONLY, TEXTS_ONLY = TrainingData(pairs=PAIRS), TrainingData(texts=TEXTS)


@pytest.mark.parametrize("material", [PAIRS_ONLY, TEXTS_ONLY, TrainingData(pairs=PAIRS, texts=TEXTS)])
@pytest.mark.parametrize("lora", [Lora(4, 8), None])
def test_the_loss_falls(tiny, tmp_path, material, lora):
    tuned = train(tiny, material, replace(SETTINGS, lora=lora), tmp_path / "run")
    assert tuned.history[-1].loss < 0.75 * tuned.history[0].loss
    assert tuned.history[-1].step == tuned.history[-1].steps == len(tuned.history)
    assert tuned.whole == (lora is None)
    assert tuned.effort.tokens_seen == tuned.history[-1].tokens > 0
    assert (tuned.effort.trainable_parameters == tiny.parameters) == (lora is None)
    assert (tuned.effort.labelled_examples, tuned.effort.documents) == (len(material.pairs), len(material.texts))
    assert tuned.effort.artefact_bytes > 0 and tuned.effort.wall_s > 0
    assert sorted(path.name for path in (tmp_path / "run").glob("*.safetensors")) == [
        "model.safetensors" if lora is None else "adapter_model.safetensors"
    ]
    assert not list((tmp_path / "run").rglob("*.bin")) and not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("compiled", [True, False])
def test_layers_that_are_compiled_keep_norms_that_a_compiler_can_fuse(tiny, tmp_path, monkeypatch, compiled):
    norms, together, layers = [], [], []
    monkeypatch.setattr(lean_norm, "prepare", norms.append)
    monkeypatch.setattr(lean_layers, "prepare", together.append)
    monkeypatch.setattr(objective, "compile_layers", layers.append)
    train(tiny, PAIRS_ONLY, replace(SETTINGS, epochs=1, compile=compiled), tmp_path / "run")
    assert (len(layers), len(norms), len(together)) == (compiled, not compiled, 1)


def test_compiling_pays_where_a_training_is_long_and_little_of_it_is_padding():
    pays = finetune.compiling_pays
    assert pays(True, 256 * 120, 256 * 120)
    assert not pays(True, 256 * 60, 256 * 60), "it is too short"
    assert not pays(True, 256 * 120, 256 * 140), "compiled layers compute the padding"
    assert not pays(False, 256 * 120, 256 * 120), "adapters gain less"
    assert pays(False, 256 * 200, 256 * 200)


def test_scattered_free_memory_is_given_back_when_it_has_grown(monkeypatch):
    sizes = [1000, 1000 + trainer.GROWN, 1001 + trainer.GROWN, 900, 901 + trainer.GROWN, 5000]
    trims, told, trim = [], [], trainer.Trim()
    reads = iter(sizes)
    monkeypatch.setattr(trim, "process", SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=next(reads))))
    monkeypatch.setattr(trainer, "trim_heap", lambda: trims.append(1))
    for _ in sizes:
        trim.on_step_end(None, None, None)
        told.append(len(trims))
    assert told == [0, 0, 1, 1, 2, 2]  # more than allowed above the least since the last time


def test_a_training_gives_back_what_it_freed(tiny, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(finetune, "keep_freed_memory", lambda: calls.append("keep"))
    monkeypatch.setattr(finetune, "release_freed_memory", lambda: calls.append("release"))
    train(tiny, PAIRS_ONLY, replace(SETTINGS, epochs=1), tmp_path / "run")
    assert calls == ["release", "keep", "release"]


def test_a_training_that_is_stopped_leaves_the_process_as_it_was(tiny, tmp_path, monkeypatch):
    calls, before = [], torch.get_num_threads()
    monkeypatch.setattr(finetune, "keep_freed_memory", lambda: calls.append("keep"))
    monkeypatch.setattr(finetune, "release_freed_memory", lambda: calls.append("release"))
    decide = finetune._decide
    monkeypatch.setattr(finetune, "_decide", lambda *told: decide(*told) | {"threads": before + 1})
    with pytest.raises(TrainingStopped):
        train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run", listener=Listener(should_stop=lambda: True))
    assert torch.get_num_threads() == before and calls == ["release", "keep", "release"]


def test_adapters_train_with_what_is_lean_on_a_cpu(tiny):
    model = trainable.trainable(tiny, SETTINGS, None, "float32")
    kinds = {type(module) for module in model.modules() if isinstance(module, LoraLinear)}
    assert kinds == {LeanLinear} and model.config._attn_implementation == "lean"


def test_the_mode_of_all_modules_is_set_where_it_is_another_one(tiny):
    ours = objective.Objective(trainable.trainable(tiny, SETTINGS, None, "float32"))
    for wanted in (True, True, False, False, True):
        assert ours.train(wanted) is ours
        assert {module.training for module in ours.modules()} == {wanted}
    told, ours.model.train = [], lambda mode: told.append(mode)
    for wanted in (True, True, False, False):
        ours.train(wanted)
    assert told == [False], "nothing is told what it was told before"


def test_nothing_is_drawn_at_random_in_a_training():
    config = transformers.OPTConfig(
        vocab_size=40, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=16,
        dropout=0.5, attention_dropout=0.5, layerdrop=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    model, ids = transformers.OPTForCausalLM(config).train(), torch.arange(20)[None]
    assert not torch.equal(model(ids).logits, model(ids).logits)
    trainable._without_dropout(model)
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_embeddings_stay_where_that_is_asked_for(tiny, tmp_path):
    settings = replace(SETTINGS, lora=None, embeddings=False)
    tuned = train(tiny, TEXTS_ONLY, settings, tmp_path / "run")
    ends = {id(layer.weight): layer.weight for layer in (tiny.model.get_input_embeddings(), tiny.model.lm_head)}
    assert tuned.effort.trainable_parameters == tiny.parameters - sum(weight.numel() for weight in ends.values())
    assert tuned.history[-1].loss < tuned.history[0].loss
    made, before = load_model(tuned.folder, "cpu", "float32").model.state_dict(), tiny.model.state_dict()
    same = {name for name, tensor in made.items() if torch.equal(tensor, before[name])}
    assert same == {"model.embed_tokens.weight", "lm_head.weight"}


def test_a_setting_that_came_later_leaves_earlier_weights_valid():
    assert "embeddings" not in SETTINGS.key
    assert replace(SETTINGS, embeddings=False).key == SETTINGS.key | {"embeddings": False}


def test_replay_is_a_share_of_the_domain_text_or_else_of_the_pairs(tiny):
    general = [f"The market on square {i} opens in the morning and closes at dusk." for i in range(40)]
    for material in (TEXTS_ONLY, PAIRS_ONLY):
        settings = replace(SETTINGS, replay=0.5, epochs=10)
        without, _, _ = training_rows(tiny, material, replace(settings, replay=0.0))
        mixed, _, _ = training_rows(tiny, replace(material, replay=general), settings)
        added = sum(row.tokens for row in mixed) - sum(row.tokens for row in without)
        assert 0.3 < added / sum(row.tokens for row in without) < 0.7


def test_a_tuned_model_answers_as_it_was_taught_and_the_model_in_memory_stays(tiny, tmp_path):
    before = tiny.model.state_dict()["model.layers.0.self_attn.q_proj.weight"].clone()
    longer = replace(SETTINGS, lora=Lora(16, 32), learning_rate=0.01, epochs=60)
    tuned = train(tiny, PAIRS_ONLY, longer, tmp_path / "run")
    asked = [Question(e.id, "own", e.prompt) for e in PAIRS]
    told = [answer.text for answer in Assistant(tiny, adapter=tuned.folder).ask_all(asked)]
    assert sum(text == pair.response for text, pair in zip(told, PAIRS, strict=True)) >= 4
    untuned = [answer.text for answer in Assistant(tiny).ask_all(asked)]
    assert sum(text == pair.response for text, pair in zip(untuned, PAIRS, strict=True)) == 0
    assert torch.equal(before, tiny.model.state_dict()["model.layers.0.self_attn.q_proj.weight"])


def test_what_is_forgotten_is_watched_from_before_the_first_step(tiny, tmp_path):
    material = replace(TEXTS_ONLY, validation_texts=TEXTS[:4], general_texts=("Rain falls on hills and fields.",) * 3)
    settings = replace(SETTINGS, epochs=30, checkpoint_steps=5)
    stopping = Listener(should_stop=lambda: bool(stopping.history) and stopping.history[-1].step >= 8)
    with pytest.raises(TrainingStopped):
        train(tiny, material, settings, tmp_path / "run", listener=stopping)
    gone_on = train(tiny, material, settings, tmp_path / "run")
    whole = train(tiny, material, settings, tmp_path / "whole")
    unwatched = train(tiny, replace(material, general_texts=()), settings, tmp_path / "unwatched")
    assert gone_on.hash == whole.hash == unwatched.hash, "watching changes nothing"
    assert gone_on.first == pytest.approx(whole.first) and set(whole.first) == {"eval_loss", "general_loss"}
    watched = [m for m in whole.history if m.general_loss is not None]
    assert watched and [m.step for m in watched] == [m.step for m in whole.history if m.validation_loss is not None]
    assert watched[-1].validation_loss < whole.first["eval_loss"] and not unwatched.first
    assert all(moment.general_loss is None for moment in unwatched.history)


def test_rows_do_not_reach_further_than_a_window_that_slides(tmp_path):
    folder = make_tiny("Mistral", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": 64}), encoding="utf-8")
    fm = load_model(folder, "cpu", "float32")
    with pytest.raises(KitError, match="layers see 64 tokens"):
        train(fm, TEXTS_ONLY, replace(SETTINGS, epochs=1), tmp_path / "run")
    assert train(fm, TEXTS_ONLY, replace(SETTINGS, epochs=1, max_length=64), tmp_path / "short").hash


def test_validation_loss_is_reported(tiny, tmp_path):
    seen = []
    material = replace(PAIRS_ONLY, validation_pairs=PAIRS)
    longer = replace(SETTINGS, lora=Lora(16, 32), learning_rate=0.01, epochs=60)
    tuned = train(tiny, material, longer, tmp_path / "run", listener=Listener(seen.append))
    found = [moment.validation_loss for moment in tuned.history if moment.validation_loss is not None]
    assert len(found) >= 3 and found[-1] < found[0]
    steps = [moment.step for moment in tuned.history]
    assert steps == sorted(set(steps)) and steps[-1] == tuned.history[-1].steps, "the last step is told of"
    assert len({moment.step % 10 for moment in tuned.history if moment.validation_loss is not None}) == 1
    assert seen[-1] == tuned.history[-1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_second_training_goes_on_from_the_first(tiny_folder, tmp_path, dtype):
    tiny = load_model(tiny_folder, "cpu", dtype)
    first = train(tiny, TEXTS_ONLY, SETTINGS, tmp_path / "first")
    second = train(tiny, TEXTS_ONLY, replace(SETTINGS, learning_rate=0.01), tmp_path / "second", start=first.folder)
    assert second.history[0].loss < 0.8 * first.history[0].loss
    assert second.hash != first.hash == read_fine_tuned(first.folder).hash


def test_a_whole_model_can_be_trained_further(tiny, tmp_path):
    whole = replace(SETTINGS, lora=None, learning_rate=0.01)
    first = train(tiny, TEXTS_ONLY, whole, tmp_path / "first")
    second = train(tiny, PAIRS_ONLY, whole, tmp_path / "second", start=first.folder)
    assert second.whole and load_model(second.folder, "cpu", "float32").parameters == tiny.parameters


def test_merged_weights_answer_as_the_adapter_does(tiny, tmp_path):
    tuned = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    merged = load_model(merge(tiny, tuned.folder, tmp_path / "merged"), "cpu", "float32")
    asked = [Question(e.id, "own", e.prompt) for e in PAIRS]
    one = [answer.text for answer in Assistant(tiny, adapter=tuned.folder).ask_all(asked)]
    other = [answer.text for answer in Assistant(merged).ask_all(asked)]
    assert one == other


def test_a_finished_training_is_not_repeated_unless_asked(tiny, tmp_path):
    tuned = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    weights = tmp_path / "run" / "adapter_model.safetensors"
    made = weights.stat().st_mtime_ns
    assert train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run").hash == tuned.hash
    assert weights.stat().st_mtime_ns == made
    assert train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run", again=True).hash == tuned.hash
    assert weights.stat().st_mtime_ns > made
    with pytest.raises(KitError, match="another training"):
        train(tiny, TEXTS_ONLY, SETTINGS, tmp_path / "run")


def test_training_again_deletes_a_training_and_nothing_else(tiny, tmp_path):
    first = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "own" / "first")
    with pytest.raises(KitError, match="holds no training"):
        train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "own", again=True)
    for out in (tmp_path / "own", first.folder):
        with pytest.raises(KitError, match="that this training goes on from"):
            train(tiny, PAIRS_ONLY, SETTINGS, out, start=first.folder, again=True)
    assert read_fine_tuned(first.folder).hash == first.hash


def test_an_adapter_on_a_whole_model_belongs_to_that_model(tiny, tmp_path):
    whole = train(tiny, TEXTS_ONLY, replace(SETTINGS, lora=None, learning_rate=0.01), tmp_path / "whole")
    adapter = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "adapter", start=whole.folder)
    assert not adapter.whole and adapter.base_hash == whole.hash != tiny.hash
    with pytest.raises(KitError, match="made for other weights"):
        Assistant(tiny, adapter=adapter.folder).ask(Question("q", "own", "Who?"))
    Assistant(load_model(whole.folder, "cpu", "float32"), adapter=adapter.folder).ask(Question("q", "own", "Who?"))


@pytest.mark.parametrize("lora", [None, Lora(8, 8), Lora(4, 16)])
def test_an_adapter_does_not_go_on_with_what_it_is_not(tiny, tmp_path, lora):
    first = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "first")
    with pytest.raises(KitError, match="is an adapter with {'rank': 4, 'alpha': 8}"):
        train(tiny, PAIRS_ONLY, replace(SETTINGS, lora=lora), tmp_path / "second", start=first.folder)


def test_a_last_batch_that_is_not_full_is_learned_from_too(tiny, tmp_path):
    settings = replace(SETTINGS, batch_size=4, epochs=1, max_length=64)
    texts = [f"{text} " * 6 for text in TEXTS[:3]]
    rows, _, report = training_rows(tiny, TrainingData(texts=texts), settings)
    alone, _, _ = training_rows(tiny, TrainingData(texts=texts), replace(settings, batch_size=1))
    assert len(alone) % 4 and len(rows) % 4 == 0 and [row.ids for row in rows[: len(alone)]] == [r.ids for r in alone]
    assert report["tokens"] == sum(row.tokens for row in alone)
    tuned = train(tiny, TrainingData(texts=texts), settings, tmp_path / "run")
    assert tuned.effort.tokens_seen == report["tokens"] and tuned.history[-1].steps == len(rows) // 4
    few = train(tiny, TrainingData(texts=texts[:1]), replace(settings, batch_size=64), tmp_path / "few")
    assert few.history[-1].steps == 1 and few.effort.tokens_seen > 0


def test_ctrl_c_loses_no_more_than_the_last_interval(tiny, tmp_path):
    whole = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "whole")
    steps = []

    def interrupt(moment):
        steps.append(moment.step)
        if moment.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run", listener=Listener(interrupt))
    steps.clear()
    resumed = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run", listener=Listener(lambda m: steps.append(m.step)))
    assert resumed.hash == whole.hash and steps[0] == 4, "the checkpoint after step 3 was the last"
    assert resumed.data_hash == whole.data_hash != train(tiny, TEXTS_ONLY, SETTINGS, tmp_path / "other").data_hash


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=NEEDS_COMPILER)])
def test_a_stopped_training_goes_on_to_the_same_weights(tiny_folder, tmp_path, compiled, dtype):
    tiny = load_model(tiny_folder, "cpu", dtype)
    settings = replace(SETTINGS, compile=compiled)
    whole = train(tiny, PAIRS_ONLY, settings, tmp_path / "whole")
    steps = []
    listener = Listener(steps.append, should_stop=lambda: len(steps) == 5)
    with pytest.raises(TrainingStopped, match="after 6 of"):
        train(tiny, PAIRS_ONLY, settings, tmp_path / "run", listener=listener)
    with pytest.raises(KitError, match="unfinished training"):
        train(tiny, TEXTS_ONLY, settings, tmp_path / "run")
    resumed = train(tiny, PAIRS_ONLY, settings, tmp_path / "run")
    assert resumed.hash == whole.hash
    assert resumed.decisions["compile"] == compiled
    assert [m.loss for m in resumed.history] == pytest.approx([m.loss for m in whole.history])
    assert resumed.effort.tokens_seen == whole.effort.tokens_seen
    assert resumed.effort.peak_memory_bytes > 50e6


SERVER = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from test_finetune import PAIRS_ONLY, SETTINGS, train
from helpers.models import load_model
fm = load_model({model!r}, "cpu", "float32")
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        train(fm, PAIRS_ONLY, SETTINGS, {out!r})
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 and fork are POSIX's")
def test_twenty_kills_leave_the_weights_of_an_unbroken_run(request, tmp_path):
    folder = make_tiny("Llama", tmp_path / "model")
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(1)  # as in the server: sums of two threads end in other last digits
    whole = train(load_model(folder, "cpu", "float32"), PAIRS_ONLY, SETTINGS, tmp_path / "whole")
    code = SERVER.format(root=str(ROOT), tests=str(ROOT / "tests"), model=str(folder), out=str(tmp_path / "run"))
    server = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    rng, killed = random.Random(0), 0
    for attempt in range(20):
        print("go", file=server.stdin, flush=True)
        pid = int(server.stdout.readline())
        time.sleep(rng.random() * whole.effort.wall_s / 2)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed += int(server.stdout.readline()) == signal.SIGKILL
        if (tmp_path / "run" / "training.json").exists():
            assert read_fine_tuned(tmp_path / "run").hash == whole.hash
            (tmp_path / "run").rename(tmp_path / f"finished-{attempt}")
    server.communicate()
    assert killed >= 10, "most attempts must be killed before they end, or this proves nothing"
    assert train(load_model(folder, "cpu", "float32"), PAIRS_ONLY, SETTINGS, tmp_path / "run").hash == whole.hash


def test_a_full_disk_loses_nothing(tiny, tmp_path):
    steps = []
    listener = Listener(steps.append, should_stop=lambda: len(steps) == 5)
    with pytest.raises(TrainingStopped):
        train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run", listener=listener)
    with disk_with_room_for(2000), pytest.raises(KitError, match="(?s)could not write.*after 6 steps"):
        train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    resumed = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    assert resumed.hash == train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "whole").hash


@pytest.mark.parametrize("failure", [KitError("no room"), KeyboardInterrupt()])
def test_weights_that_could_not_be_written_are_not_trained_for_again(failure, tiny, tmp_path, monkeypatch):
    places, steps, write = [], [], checkpoints.write
    monkeypatch.setattr(checkpoints, "write", lambda folder, *told: places.append(told[0]) or write(folder, *told))
    whole = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "whole")
    last = whole.history[-1].steps
    assert places and last not in places, "after the last step the weights themselves are written"

    def fails(*_):
        raise failure

    with monkeypatch.context() as broken, pytest.raises(type(failure)):
        broken.setattr(finetune, "write_tuned", fails)
        train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    assert places[-1] == last
    again = train(tiny, PAIRS_ONLY, SETTINGS, tmp_path / "run", listener=Listener(lambda m: steps.append(m.step)))
    assert again.hash == whole.hash and steps == [] and not (tmp_path / "run" / "checkpoints").exists()


def test_a_loss_that_is_no_number_stops_with_a_remedy(tiny, tmp_path):
    with pytest.raises(KitError, match="Lower the learning rate"):
        train(tiny, PAIRS_ONLY, replace(SETTINGS, learning_rate=1e30, warmup=0), tmp_path / "run")


def test_too_long_pairs_are_counted_and_left_whole(tiny):
    long = Example("long", "answers", "Tell all.", "word " * 300)
    rows, _, report = training_rows(tiny, TrainingData(pairs=(*PAIRS, long)), SETTINGS)
    assert report["too_long"] == ["long"] and report["examples"] == len(PAIRS)
    word = tiny.tokenizer(" word", add_special_tokens=False)["input_ids"][0]
    assert not any(word in row.ids for row in rows)


def test_too_long_pairs_of_validation_are_told_too(tiny, tmp_path, capsys):
    long = Example("long", "answers", "Tell all.", "word " * 300)
    material = TrainingData(pairs=PAIRS, validation_pairs=(PAIRS[0], long))
    _, held, report = training_rows(tiny, material, SETTINGS)
    assert report["held_too_long"] == ["long"] and report["too_long"] == [] and len(held) == 1
    train(tiny, material, SETTINGS, tmp_path / "run")
    assert "1 examples of validation are longer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("material", "told"),
    [
        (TrainingData(), "there are none"),
        (TrainingData(pairs=(Example("long", "answers", "Tell all.", "word " * 300),)), "all 1 are longer"),
        (TrainingData(pairs=(Example("none", "answers", "Tell all.", " "),)), "empty response"),
    ],
)
def test_nothing_to_learn_from_is_refused(tiny, material, told):
    with pytest.raises(DataError, match=told):
        training_rows(tiny, material, SETTINGS)


def test_an_adapter_of_another_model_is_refused(tiny, tmp_path):
    architecture = type(tiny.model).__name__.removesuffix("ForCausalLM")
    other = load_model(make_tiny(architecture, tmp_path / "other", seed=1), "cpu", "float32")
    tuned = train(other, PAIRS_ONLY, SETTINGS, tmp_path / "run")
    with pytest.raises(KitError, match="made for other weights"):
        Assistant(tiny, adapter=tuned.folder).ask("What?")
    with pytest.raises(KitError, match="made for other weights"):
        merge(tiny, tuned.folder, tmp_path / "merged")
