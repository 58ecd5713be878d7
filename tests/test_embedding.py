"""The embedder: the vectors of LlamaIndex's own, in their order, from batches of texts of like length."""

from __future__ import annotations

import pytest
import torch
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

from helpers.fast.embedding import ROWS
from helpers.models import foundation_model as models

TEXTS = [f"Gate {number} opens" + " again" * (number % 40) for number in range(2 * ROWS + 3)]
APART = {"float32": 1e-5, "bfloat16": 1e-3}  # one minus the cosine of the vectors of two ways


@pytest.mark.parametrize("dtype", APART)
def test_vectors_are_those_of_llama_index_from_texts_of_like_length(dtype):
    kit = models.load_embedder(device="cpu", dtype=dtype)
    stock = HuggingFaceEmbedding(kit.model_name, device="cpu", model_kwargs={"dtype": dtype})
    sizes = []
    kit._model[0].auto_model.encoder.layer[0].register_forward_pre_hook(
        lambda _, given: sizes.append(given[0].shape[:2])
    )
    found, wanted = (torch.tensor(one.get_text_embedding_batch(TEXTS)) for one in (kit, stock))
    assert sum(rows for rows, _ in sizes) == len(TEXTS) and max(rows for rows, _ in sizes) == ROWS
    assert [length for _, length in sizes] == sorted((length for _, length in sizes), reverse=True)
    assert (1 - torch.cosine_similarity(found, wanted)).max() < APART[dtype]
    assert (1 - torch.cosine_similarity(found, wanted.roll(1, 0))).min() > 10 * APART[dtype], "or this proves nothing"
