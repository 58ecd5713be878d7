"""What makes a CPU quick, behind one switch: the same answers without it, only later."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["layers", "lora", "norm", "packed_weights", "training_attention"],
    submod_attrs={
        "answering": ["Decoded", "FastAnswers", "SharedPrefix"],
        "embedding": ["VarlenEmbedding"],
        "switch": ["enable", "enabled"],
    },
)
