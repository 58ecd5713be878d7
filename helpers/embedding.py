"""LlamaIndex's HuggingFaceEmbedding, whose batches hold texts of like length, so that little padding is computed.

LlamaIndex hands over as many texts as a batch holds, in the order of the documents, and the model pads each to the
longest of them. Here it hands over many, sentence-transformers sorts them by length, and small batches go through the
model. benchmarks/indexing.py measures what that brings beside LlamaIndex's own batches of the same dtype.
"""

from __future__ import annotations

from typing import Any

from llama_index.embeddings.huggingface import HuggingFaceEmbedding

HANDED_OVER = 512  # texts that LlamaIndex hands over at one time
ROWS = 64  # texts that go through the model together
CPU_ROWS = {2: 32, 4: 8}  # on a CPU, by the bytes of a weight: the fastest of 4 to 400, in 16 bits by a third


class LengthSortedEmbedding(HuggingFaceEmbedding):
    """Embeds the same vectors as its parent, in batches of texts of like length."""

    def __init__(self, **options: Any):
        """Takes the options of `HuggingFaceEmbedding`, but for the size of a batch."""
        super().__init__(embed_batch_size=HANDED_OVER, **options)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex keeps, for example in the key of a cache."""
        return "LengthSortedEmbedding"

    def _embed(self, inputs: list[Any], prompt_name: str | None = None) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        wide = next(self._model.parameters()).element_size()
        vectors = self._model.encode(
            inputs, batch_size=CPU_ROWS.get(wide, ROWS) if self._device == "cpu" else ROWS, prompt_name=prompt_name,
            normalize_embeddings=self.normalize, show_progress_bar=self.show_progress_bar,
        )  # fmt: skip
        return vectors.tolist()
