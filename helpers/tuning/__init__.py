"""Both kinds of fine-tuning with PEFT and transformers' Trainer."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["recipes"],
    submod_attrs={
        "callbacks": ["Progress"],
        "fine_tuned": ["FineTuned", "LogEntry", "read_fine_tuned", "read_log"],
        "packing": ["IGNORED", "Collator", "Row", "encode_pair"],
        "recipes": ["with_starts"],
        "training": ["TrainingStopped", "prepare_model", "train"],
        "training_data": ["Lora", "TrainSettings", "TrainingData", "training_rows"],
    },
)  # fmt: skip
