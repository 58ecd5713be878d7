"""A tuned copy computes what PEFT computes, leaves the base alone, is shared while held; bad folders are named."""

from __future__ import annotations

import gc
import json
import shutil
import weakref

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from helpers.data.records import KitError
from helpers.models.foundation_model import KEPT, load_model
from helpers.models.tuned import ADAPTER, RECORD

IDS = torch.arange(40, 60)[None]


@pytest.fixture
def base(llama):
    return llama


def make_adapter(base, folder, **options):
    """Saves an adapter of random weights."""
    plain = AutoModelForCausalLM.from_pretrained(base.name, dtype=torch.float32)
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", init_lora_weights=False, **options)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        get_peft_model(plain, config).save_pretrained(folder)
    (folder / RECORD).write_text(json.dumps({"base_hash": base.hash}), encoding="utf-8")
    return folder


@pytest.fixture
def adapter(base, tmp_path):
    return make_adapter(base, tmp_path / "adapter")


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"use_dora": True}, {"modules_to_save": ["lm_head"]}])
def test_a_tuned_copy_computes_what_peft_computes_and_the_base_stays(base, tmp_path, options):
    folder = make_adapter(base, tmp_path / "adapter", **options)
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    tuned = base.tuned(folder)
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.name, dtype=torch.float32), folder)
    with torch.no_grad():
        found = tuned.model(IDS).logits
        torch.testing.assert_close(found, plain(IDS).logits, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(found, base.model(IDS).logits)
    assert all(torch.equal(weight, before[name]) for name, weight in base.model.state_dict().items())
    assert tuned.hash != base.hash and tuned.name == base.name and type(tuned.model) is type(base.model)


def test_a_copy_is_made_once_and_anew_for_new_weights(base, adapter):
    one = base.tuned(adapter)
    assert base.tuned(str(adapter)) is one
    tensors = load_file(adapter / ADAPTER)
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, adapter / ADAPTER)
    other = base.tuned(adapter)
    assert other is not one and other.hash != one.hash and base.tuned(adapter) is other


def test_the_latest_copies_stay_in_memory(base, tmp_path):
    folders = [make_adapter(base, tmp_path / str(number)) for number in range(KEPT + 1)]
    copies = [weakref.ref(base.tuned(folder)) for folder in folders]
    gc.collect()
    assert [copy() is not None for copy in copies] == [False, *[True] * KEPT]
    base.tuned(folders[-2])
    base.tuned(folders[0])
    gc.collect()
    assert [copy() is not None for copy in copies[1:]] == [*[True] * (KEPT - 1), False], "the oldest goes first"
    base.free_memory()
    gc.collect()
    assert not any(copy() for copy in copies), "memory is freed for a training"


def test_a_wholly_tuned_folder_is_loaded(base, tmp_path):
    whole = load_model(base.name, device="cpu", dtype="float32")
    with torch.no_grad():
        whole.model.lm_head.weight.mul_(2)
    whole.model.save_pretrained(tmp_path / "whole")
    base.tokenizer.save_pretrained(tmp_path / "whole")
    tuned = base.tuned(tmp_path / "whole")
    assert torch.equal(tuned.model.lm_head.weight, whole.model.lm_head.weight) and tuned.name == base.name


DAMAGES = {  # each is given the file of the weights
    "of another base": lambda file: file.with_name(RECORD).write_text('{"base_hash": "0123456789abcdef"}'),
    "missing": lambda file: file.unlink(),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:200]),
    "renamed": lambda file: save_file({n.replace("q_proj", "x"): t for n, t in load_file(file).items()}, file),
    "of another size": lambda file: save_file(load_file(file) | {max(load_file(file)): torch.ones(3, 2)}, file),
    "with a bad config": lambda file: file.with_name("adapter_config.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_folder_is_named_with_a_remedy(base, adapter, tmp_path, damage):
    folder = shutil.copytree(adapter, tmp_path / "bad")
    DAMAGES[damage](folder / ADAPTER)
    with pytest.raises(KitError, match="[Tt]rain") as error:
        base.tuned(folder)
    assert str(folder) in str(error.value)
