"""What can go wrong with a folder of tuned weights is named before anything is computed with it."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import make_tiny
from safetensors.torch import load_file, save_file

from helpers.data.records import Example, KitError
from helpers.models import adapters
from helpers.models.foundation_model import load_model
from helpers.tuning.training import train
from helpers.tuning.training_data import Lora, TrainingData, TrainSettings

PAIRS = [Example(f"p{i}", "answers", f"Which is number {i}?", f"{i}") for i in range(4)]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A tiny model and the folder of an adapter trained on it for a few steps."""
    folder = tmp_path_factory.mktemp("adapters")
    fm = load_model(make_tiny("Llama", folder / "model"), device="cpu", dtype="float32")
    settings = TrainSettings(Lora(2, 2), epochs=2, batch_size=2, max_length=96, compile=False)
    return fm, train(fm, TrainingData(pairs=PAIRS), settings, folder / "adapter").folder


def copy(folder, target, **changes):
    """A copy of the adapter with other entries in its configuration."""
    target.mkdir()
    for name in (adapters.ADAPTER, adapters.CONFIG):
        (target / name).write_bytes((folder / name).read_bytes())
    config = json.loads((target / adapters.CONFIG).read_text(encoding="utf-8")) | changes
    (target / adapters.CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return target


def test_the_model_is_the_same_bit_for_bit_afterwards(tuned):
    fm, folder = tuned
    before = {name: p.clone() for name, p in fm.model.named_parameters()}
    with fm.using(folder) as model:
        changed = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
        assert len(changed) == 14, "each linear layer of both decoder layers"
    assert all(torch.equal(p, before[name]) for name, p in fm.model.named_parameters())


def test_an_adapter_that_is_no_plain_lora_is_refused_with_a_way_out(tuned, tmp_path):
    fm, folder = tuned
    for number, change in enumerate([{"use_dora": True}, {"peft_type": "IA3"}, {"modules_to_save": ["lm_head"]}]):
        with (
            pytest.raises(KitError, match="no plain LoRA.*merge_and_unload"),
            fm.using(copy(folder, tmp_path / str(number), **change)),
        ):
            pass


def test_weights_that_do_not_fit_are_named_and_the_model_stays(tuned, tmp_path):
    fm, folder = tuned
    before = {name: p.clone() for name, p in fm.model.named_parameters()}
    wrong = copy(folder, tmp_path / "wrong")
    tensors = load_file(wrong / adapters.ADAPTER)
    last = max(tensors)
    save_file(tensors | {last: torch.ones(3, tensors[last].shape[1])}, wrong / adapters.ADAPTER)
    with pytest.raises((KitError, RuntimeError)), fm.using(wrong):
        pass
    assert all(torch.equal(p, before[name]) for name, p in fm.model.named_parameters())
    other = copy(folder, tmp_path / "other")
    save_file({key.replace("q_proj", "nowhere"): value for key, value in tensors.items()}, other / adapters.ADAPTER)
    with pytest.raises(KitError, match="which this model does not have"), fm.using(other):
        pass


def test_a_whole_model_of_another_size_is_refused_and_the_model_stays(tuned, tmp_path):
    fm, _ = tuned
    before = {name: p.clone() for name, p in fm.model.named_parameters()}
    tensors = {name: p.detach().clone() + 1 for name, p in fm.model.named_parameters()}
    (tmp_path / "whole").mkdir()
    save_file(tensors | {max(tensors): torch.ones(3)}, tmp_path / "whole" / adapters.WHOLE)
    with pytest.raises(KitError, match="made for another model"), fm.using(tmp_path / "whole"):
        pass
    assert all(torch.equal(p, before[name]) for name, p in fm.model.named_parameters())


def test_rank_stabilised_scale(tuned, tmp_path):
    fm, folder = tuned
    plain = dict(adapters.tuned_weights(folder, dict(fm.model.named_parameters())))
    stable = copy(folder, tmp_path / "stable", use_rslora=True)
    weights = dict(fm.model.named_parameters())
    for name, value in adapters.tuned_weights(stable, weights):
        torch.testing.assert_close(value - weights[name], (plain[name] - weights[name]) * 2**0.5)


def test_a_loaded_model_can_have_the_adapter_for_good(tuned):
    fm, folder = tuned
    with fm.using(folder) as model:
        expected = {name: p.clone() for name, p in model.named_parameters()}
    loaded = load_model(fm.name, "cpu", "float32", adapter=folder)
    assert loaded.hash != fm.hash
    assert all(torch.equal(p, expected[name]) for name, p in loaded.model.named_parameters())
