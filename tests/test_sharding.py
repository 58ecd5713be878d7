"""Trainings over two processes: data parallel and in shards (FSDP), against one process, and resumed in either way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT, make_tiny
from safetensors.torch import load_file
from test_finetune import PAIRS_ONLY, SETTINGS, TEXTS_ONLY

from helpers.data.records import Example, KitError
from helpers.models.foundation_model import load_model
from helpers.tuning.fine_tuned import read_fine_tuned
from helpers.tuning.loss import can_compile
from helpers.tuning.trainer import Listener
from helpers.tuning.training import train
from helpers.tuning.training_data import TrainingData

WHOLE = replace(SETTINGS, lora=None, learning_rate=0.003)
FROZEN = replace(WHOLE, embeddings=False)  # the token embeddings stay as they are
PARTS = replace(SETTINGS, batch_size=4, accumulation=2)
ONE_A_ROW = replace(SETTINGS, epochs=3, max_length=64)
UNEVEN = (
    TrainingData(  # an odd number of rows, so that one process gets a blank one, and labels in very different numbers
        pairs=tuple(Example(f"u{i}", "answers", f"Say {i}.", " ".join(["tide"] * (1 + 7 * (i % 3)))) for i in range(7))
    )
)
WATCHED = replace(TEXTS_ONLY, validation_texts=TEXTS_ONLY.texts[:2], general_texts=("Rain falls on hills.",) * 3)
CASES = {  # settings, whether in shards, and what is learned from
    "ddp": (SETTINGS, False, PAIRS_ONLY),
    "uneven": (ONE_A_ROW, False, UNEVEN),
    "lora": (SETTINGS, True, PAIRS_ONLY),
    "parts": (PARTS, True, PAIRS_ONLY),
    "whole": (WHOLE, True, PAIRS_ONLY),
    "frozen": (FROZEN, True, PAIRS_ONLY),
    "watched": (WHOLE, True, WATCHED),
}
if can_compile():
    CASES |= {"compiled": (replace(SETTINGS, compile=True), False, PAIRS_ONLY)}
SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from test_sharding import CASES, PAIRS_ONLY, SETTINGS, WHOLE, stopping, train
from helpers.tuning import TrainingStopped
from helpers.models import load_model
fm = load_model({model!r}, "cpu", "float32")
for name, (settings, fsdp, material) in CASES.items():
    train(fm, material, settings, {out!r} + "/" + name, fsdp=fsdp)
train(load_model({model!r}, "cpu", "bfloat16"), PAIRS_ONLY, SETTINGS, {out!r} + "/half")
for name in ("resumed", "handed"):
    try:
        train(fm, PAIRS_ONLY, WHOLE, {out!r} + "/" + name, listener=stopping(5), fsdp=True)
    except TrainingStopped:
        print("stopped", flush=True)
train(fm, PAIRS_ONLY, WHOLE, {out!r} + "/resumed", fsdp=True)
"""


def stopping(steps: int) -> Listener:
    """A listener that stops a training after so many steps, in every process."""
    listener = Listener()
    listener.should_stop = lambda: len(listener.history) == steps
    return listener


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny("Llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def two(model, tmp_path_factory) -> Path:
    """The folder of the trainings of `SCRIPT`, made by two processes."""
    out = tmp_path_factory.mktemp("two")
    code = SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests"), model=str(model), out=str(out))
    (out / "script.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run = subprocess.run([*command, str(out / "script.py")], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-4000:]
    assert run.stdout.count("stopped") == 4
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("*.safetensors")
    return load_file(path)


def assert_same(two: Path, one: Path) -> None:
    """Losses and weights of two trainings agree but for the order of sums."""
    assert read_fine_tuned(two).identity == read_fine_tuned(one).identity
    assert [m.loss for m in read_fine_tuned(two).history] == pytest.approx(
        [m.loss for m in read_fine_tuned(one).history], rel=1e-3
    )
    assert_same_weights(two, one)
    assert not (two / "checkpoints").exists()


def assert_same_weights(folder: Path, other: Path) -> None:
    """A matrix is compared as a whole.

    AdamW makes a full step of a gradient that is almost nothing, so that in one of its weights the order of sums can
    decide which way.
    """
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert (tensor - theirs[name]).norm() <= 5e-3 * theirs[name].norm(), name


@pytest.mark.parametrize("name", [*CASES, "resumed"])
def test_two_processes_make_the_weights_of_one(two, model, tmp_path, name):
    fm = load_model(model, "cpu", "float32")
    settings, _, material = CASES.get(name, CASES["whole"])
    made = train(fm, material, settings, tmp_path / "one")
    assert_same(two / name, made.folder)
    tuned = read_fine_tuned(two / name)
    assert tuned.whole == (settings.lora is None)
    assert tuned.effort.trainable_parameters == made.effort.trainable_parameters
    assert tuned.effort.tokens_seen == made.effort.tokens_seen


def test_in_16_bits_two_processes_make_the_weights_of_one_but_for_rounding(two, model, tmp_path):
    made = train(load_model(model, "cpu", "bfloat16"), PAIRS_ONLY, SETTINGS, tmp_path / "one")
    losses = [[moment.loss for moment in read_fine_tuned(folder).history] for folder in (two / "half", made.folder)]
    assert losses[0] == pytest.approx(losses[1], rel=0.005)
    ours, theirs = weights(two / "half"), weights(made.folder)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert (tensor - theirs[name]).norm() <= 0.1 * theirs[name].norm(), name


def test_parts_of_a_batch_weigh_as_many_labels_as_they_hold(model, tmp_path):
    fm = load_model(model, "cpu", "float32")
    whole, parts = (train(fm, UNEVEN, replace(ONE_A_ROW, accumulation=n), tmp_path / str(n)).folder for n in (1, 2))
    assert_same_weights(whole, parts)


def test_one_process_goes_on_from_a_checkpoint_that_two_left_in_shards(two, model, tmp_path):
    fm = load_model(model, "cpu", "float32")
    assert (two / "handed" / "checkpoints").is_dir()
    train(fm, PAIRS_ONLY, WHOLE, two / "handed")
    assert_same(two / "handed", train(fm, PAIRS_ONLY, WHOLE, tmp_path / "one").folder)


def test_a_single_process_has_nobody_to_share_with(model, tmp_path):
    with pytest.raises(KitError, match="there is one: start it with `torchrun --nproc_per_node 2"):
        train(load_model(model, "cpu", "float32"), PAIRS_ONLY, SETTINGS, tmp_path / "one", fsdp=True)
    assert not (tmp_path / "one").exists()
