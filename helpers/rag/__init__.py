"""Retrieval-augmented generation with LlamaIndex: chunks, vector store, index, retriever, retrieval metrics."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "chunking": ["MODES", "RagSettings", "to_llama_index", "token_counter", "transformations"],
        "index": ["IndexReport", "build_index", "dataset_index"], "store": ["open_store"],
        "retrieval_metrics": ["expected_nodes", "score_retrieval"],
        "retriever": ["Index", "Retriever", "TwoStep", "embed_questions"],
    },
)  # fmt: skip
