"""What a notebook adds to reading: exercises, checks, progress, widgets."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["exercises", "handwork", "map", "times", "widgets"],
    submod_attrs={
        "map": ["Lesson", "NOTEBOOKS", "lessons", "notebook_paths", "to_the_comparison"],
        "times": ["in_minutes", "measured_on", "read_times", "record_times", "retold", "running_minutes"],
    },
)
