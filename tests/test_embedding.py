"""The embedder: the vectors of LlamaIndex's own, computed without padding where that gives the same."""

from __future__ import annotations

import pytest
import torch
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from helpers.fast import varlen
from helpers.fast.embedding import ROWS, read_without_padding
from helpers.models import foundation_model as models

TEXTS = [
    "Spring tides.",
    "The pump leaks oil, and nobody has written it down.",
    "word " * 300,
    "a",
    "Low water at six.",
]
APART = {"float32": 1e-5, "bfloat16": 1e-3}  # one minus the cosine of the vectors of two ways
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def encoder_of(kind, config, folder):
    """An encoder with random weights, which cuts words as the kit's embedder does."""
    plain = models.load_embedder(device="cpu", dtype="float32")
    torch.manual_seed(0)
    kind(config(vocab_size=len(plain._model.tokenizer), max_position_embeddings=300, **SIZES)).save_pretrained(folder)
    plain._model.tokenizer.save_pretrained(folder)
    transformer = Transformer(str(folder))
    return SentenceTransformer(modules=[transformer, Pooling(SIZES["hidden_size"])], device="cpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_vectors_are_those_of_llama_index_and_no_padding_is_computed(dtype):
    kit = models.load_embedder(device="cpu", dtype=dtype)
    stock = HuggingFaceEmbedding(kit.model_name, device="cpu", model_kwargs={"dtype": dtype})
    lengths = [len(row) for row in kit._model.tokenizer(TEXTS, truncation=True, max_length=256)["input_ids"]]
    layer, seen = kit._model[0].auto_model.encoder.layer[0], []
    layer.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[:2])))
    found, wanted = (torch.tensor(one.get_text_embedding_batch(TEXTS)) for one in (kit, stock))
    assert seen == [(1, sum(lengths))] and max(lengths) == 256, "one row of all tokens, and nothing else"
    assert (1 - torch.cosine_similarity(found, wanted)).max() < APART[dtype]
    alone = torch.tensor([kit.get_text_embedding(text) for text in TEXTS])
    assert (1 - torch.cosine_similarity(found, alone)).max() < APART[dtype]
    assert (1 - torch.cosine_similarity(found, wanted.roll(1, 0))).min() > 0.1, "or this proves nothing"


def test_more_texts_than_a_batch_keep_their_order(embedder):
    texts = [f"Gate {number} opens" + " again" * (number % 7) for number in range(2 * ROWS + 3)]
    found = torch.tensor(embedder.get_text_embedding_batch(texts))
    alone = torch.tensor([embedder.get_text_embedding(text) for text in texts])
    assert torch.allclose(found, alone, atol=1e-5) and len({tuple(row) for row in found.tolist()}) == len(texts)


@pytest.mark.parametrize(
    ("kind", "config", "read"), [(RobertaModel, RobertaConfig, False), (BertModel, BertConfig, True)]
)
def test_encoders_of_bert_are_read_without_padding_and_those_that_count_positions_otherwise_are_left_alone(
    tmp_path, kind, config, read
):
    own = encoder_of(kind, config, tmp_path)
    before = torch.tensor(own.encode(TEXTS))
    assert read_without_padding(own) == read
    assert (own[0].auto_model.config._attn_implementation == varlen.NAME) == read
    assert torch.allclose(torch.tensor(own.encode(TEXTS)), before, atol=1e-5)


def test_the_trial_sees_attention_that_does_not_end_with_a_text(embedder, monkeypatch):
    encoder = SentenceTransformer(embedder.model_name, device="cpu")
    before = torch.tensor(encoder.encode(TEXTS))
    bounded = varlen.Texts
    with monkeypatch.context() as patched:
        patched.setattr(varlen, "Texts", lambda lengths: bounded((sum(lengths),)))
        assert not read_without_padding(encoder)
    assert not read_without_padding(torch.nn.Sequential(torch.nn.Linear(2, 2))), "there is no transformer in it"
    assert torch.equal(torch.tensor(encoder.encode(TEXTS)), before)
    assert read_without_padding(encoder)
    assert torch.allclose(torch.tensor(encoder.encode(TEXTS)), before, atol=1e-5)
