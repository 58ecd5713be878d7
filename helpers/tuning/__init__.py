"""Both kinds of fine-tuning with PEFT and transformers' Trainer."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["recipes"],
    submod_attrs={
        "fine_tuned": ["FineTuned", "read_fine_tuned"],
        "live": ["show"],
        "packing": ["encode_pair"],
        "recipes": ["with_starts"],
        "trainer": ["Listener", "LogEntry"],
        "training": ["TrainingStopped", "train"],
        "training_data": ["Lora", "TrainingData", "TrainSettings", "training_rows"],
    },
)
