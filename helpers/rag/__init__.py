"""Retrieval-augmented generation with LlamaIndex: chunks, vector store, index, retriever, retrieval metrics."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["store"],
    submod_attrs={
        "chunking": ["MODES", "RagSettings", "token_counter"],
        "dataset_index": ["dataset_index"],
        "index": ["Index", "IndexReport", "build_index"],
        "llm": ["KitLLM", "qa_template"],
        "retrieval_metrics": ["expected_nodes", "score_retrieval"],
        "retriever": ["embed_questions"],
        "store": ["MADE", "Store", "open_store"],
    },
)
