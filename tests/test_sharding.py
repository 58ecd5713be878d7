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
from test_finetune import PAIRS_ONLY, SETTINGS

from helpers.finetune import read_tuned, train
from helpers.models import load_model
from helpers.records import KitError
from helpers.trainer import Listener

WHOLE = replace(SETTINGS, lora=None, learning_rate=0.003)
FROZEN = replace(WHOLE, embeddings=False)  # the token embeddings stay as they are
PARTS = replace(SETTINGS, batch_size=4, accumulation=2)
SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from test_sharding import FROZEN, PAIRS_ONLY, PARTS, SETTINGS, WHOLE, stopping, train
from helpers.finetune import TrainingStopped
from helpers.models import load_model
fm = load_model({model!r}, "cpu", "float32")
for name, settings, fsdp in (("ddp", SETTINGS, False), ("lora", SETTINGS, True), ("parts", PARTS, True),
                             ("whole", WHOLE, True), ("frozen", FROZEN, True)):
    train(fm, PAIRS_ONLY, settings, {out!r} + "/" + name, fsdp=fsdp)
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
    ours, theirs = weights(two), weights(one)
    assert ours.keys() == theirs.keys() and read_tuned(two).identity == read_tuned(one).identity
    assert [m.loss for m in read_tuned(two).history] == pytest.approx(
        [m.loss for m in read_tuned(one).history], rel=1e-3
    )
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-2, atol=2e-3)
    assert not (two / "checkpoints").exists()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ddp", SETTINGS), ("lora", SETTINGS), ("parts", PARTS), ("whole", WHOLE), ("frozen", FROZEN), ("resumed", WHOLE)],
)
def test_two_processes_make_the_weights_of_one(two, model, tmp_path, name, settings):
    fm = load_model(model, "cpu", "float32")
    made = train(fm, PAIRS_ONLY, settings, tmp_path / "one")
    assert_same(two / name, made.folder)
    tuned = read_tuned(two / name)
    assert tuned.whole == (settings.lora is None)
    assert tuned.effort.trainable_parameters == made.effort.trainable_parameters
    assert tuned.effort.tokens_seen == pytest.approx(made.effort.tokens_seen, rel=0.05)


def test_one_process_goes_on_from_a_checkpoint_that_two_left_in_shards(two, model, tmp_path):
    fm = load_model(model, "cpu", "float32")
    assert (two / "handed" / "checkpoints").is_dir()
    train(fm, PAIRS_ONLY, WHOLE, two / "handed")
    assert_same(two / "handed", train(fm, PAIRS_ONLY, WHOLE, tmp_path / "one").folder)


def test_a_single_process_has_nobody_to_share_with(model, tmp_path):
    with pytest.raises(KitError, match="there is one: start it with `torchrun --nproc_per_node 2"):
        train(load_model(model, "cpu", "float32"), PAIRS_ONLY, SETTINGS, tmp_path / "one", fsdp=True)
    assert not (tmp_path / "one").exists()
