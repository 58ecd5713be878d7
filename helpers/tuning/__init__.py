"""Both kinds of fine-tuning with PEFT and transformers' Trainer."""

import lazy_loader as lazy

# fmt: off
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["recipes"],
    submod_attrs={
        "fine_tuned": ["FineTuned", "LogEntry", "merge", "read_fine_tuned"],
        "preparation": ["prepare_model"],
        "packing": ["IGNORED", "Collator", "Row", "encode_pair"],
        "progress": ["Progress"],
        "recipes": ["with_starts"],
        "settings": ["Lora", "TrainSettings"],
        "training": ["TrainingStopped", "make_trainer", "train"],
        "training_data": ["TrainingData", "training_rows"],
    },
)
# fmt: on
