"""What makes a CPU quick, behind one switch: the same answers without it, only later."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["packed_weights", "varlen"],
    submod_attrs={
        "compiled": ["can_compile", "compiling_pays"],
        "embedding": ["UnpaddedEmbedding"],
        "packed_weights": ["few_rows", "make_ready", "step"],
        "switch": ["enable", "enabled"],
        "training": ["enable_training"],
    },
)
