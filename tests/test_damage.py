"""A flipped byte, a cut and a kill: what is reused is checked first, named when it is damaged, and made good."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromadb.api.shared_system_client import SharedSystemClient
from test_rag import words_embedding
from test_training import PAIRS_ONLY, SETTINGS, Watch

from helpers.data import KitError, own_data
from helpers.data.dataset import open_dataset
from helpers.models import doctor
from helpers.rag.chunking import RagSettings
from helpers.rag.index import dataset_index
from helpers.tuning.training import TrainingStopped, train


def flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


KINDS = [flipped, cut]


def damaged(folder: Path, pattern: str, harm) -> list[Path]:
    """Damages the files of a pattern, one after the other, and leaves them so."""
    paths = sorted(path for path in folder.rglob(pattern) if path.stat().st_size > 1)
    assert paths, pattern
    for path in paths:
        path.write_bytes(harm(path.read_bytes()))
    return paths


@pytest.mark.parametrize("harm", KINDS)
@pytest.mark.parametrize("pattern", ["adapter_model.safetensors", "adapter_config.json", "training.json"])
def test_damaged_weights_are_refused_and_the_same_training_makes_them_anew(llama, tmp_path, capsys, pattern, harm):
    whole = train(llama, PAIRS_ONLY, SETTINGS, tmp_path)
    damaged(tmp_path, pattern, harm)
    with pytest.raises(KitError, match=str(tmp_path)):
        llama.tuned(tmp_path)
    assert train(llama, PAIRS_ONLY, SETTINGS, tmp_path).hash == whole.hash
    assert str(tmp_path) in capsys.readouterr().err and llama.tuned(tmp_path)


@pytest.mark.parametrize("harm", KINDS)
@pytest.mark.parametrize("pattern", ["*.safetensors", "optimizer.pt", "trainer_state.json", "complete.json"])
def test_a_damaged_checkpoint_is_not_resumed_from(llama, tmp_path, pattern, harm):
    with pytest.raises(TrainingStopped):
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run", callback=Watch(stop=5))
    damaged(tmp_path, pattern, harm)
    assert (
        train(llama, PAIRS_ONLY, SETTINGS, tmp_path / "run").hash == train(llama, PAIRS_ONLY, SETTINGS, tmp_path).hash
    )


@pytest.mark.parametrize("harm", KINDS)
@pytest.mark.parametrize("pattern", ["*.bin", "*.sqlite3"])
def test_a_damaged_index_is_made_anew(small_world, tmp_path, capsys, pattern, harm):
    dataset, embedding = open_dataset(small_world), words_embedding()

    def found() -> list[str]:
        index = dataset_index(tmp_path, dataset, embedding, RagSettings(), updated=False, progress=False)[0]
        return [passage.node_id for passage in index.retriever(k=5).retrieve("Who supervises the maintenance?")]

    before = found()
    SharedSystemClient.clear_system_cache()  # as in another process
    damaged(tmp_path, pattern, harm)
    assert found() == before and str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("harm", KINDS)
def test_damaged_own_data_and_what_a_kill_left_are_made_good(folder, questions, tmp_path, monkeypatch, harm):
    out = own_data.prepare_own_data(folder, questions, out=tmp_path).folder
    whole = open_dataset(out).hash
    damaged(out, "*.jsonl", harm)
    (tmp_path / ".making-killed").mkdir()
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path))
    assert ".making-killed" in doctor.check_leftovers().remedy
    assert own_data.prepare_own_data(folder, questions, out=tmp_path).folder == out
    assert open_dataset(out).hash == whole and doctor.check_leftovers().state == doctor.OK
