"""LlamaIndex's HuggingFaceEmbedding, which embeds texts of like length together, so that little padding is computed.

LlamaIndex hands over texts in the order of the documents, a batch at a time. Here it hands over many, and
sentence-transformers sorts them by length before it cuts them into batches. tools/benchmarks/indexing.py times it.
"""

from typing import Any

from llama_index.embeddings.huggingface import HuggingFaceEmbedding

ROWS = 32  # texts that go through the model together; 8 to 64 were equally fast on a CPU, to within a tenth
SORTED = 512  # texts that are sorted together


class SortedEmbedding(HuggingFaceEmbedding):
    """Gives the same vectors as its parent, sooner."""

    def __init__(self, **options: Any):
        """Takes the options of `HuggingFaceEmbedding`."""
        super().__init__(**{"embed_batch_size": SORTED} | options)

    def _embed(self, inputs: list[str], prompt_name: str | None = None) -> list[list[float]]:
        options = {"prompt_name": prompt_name, "normalize_embeddings": self.normalize, "show_progress_bar": False}
        return self._model.encode(inputs, batch_size=ROWS, **options).tolist()
