"""What makes a CPU quick, behind one switch: the same answers with KIT_FAST=0, only later."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["packed_weights"],
    submod_attrs={
        "answering": ["Decoded", "FastAnswers", "SharedPrefix", "enable", "enabled"],
        "embedding": ["SortedEmbedding"],
        "training": ["PARTS", "enable_training"],
    },
)  # fmt: skip
