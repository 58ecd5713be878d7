"""What a notebook adds to reading: exercises, checks, progress, widgets."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["exercises", "widgets"],
    submod_attrs={
        "live": ["show"],
        "notebooks": ["Lesson", "NOTEBOOKS", "lessons", "lines_you_write", "notebook_paths", "show_map"],
        "times": [
            "TIMES", "expected_seconds", "header", "in_minutes", "read_times", "recorded_time", "running_minutes",
        ],
    },
)  # fmt: skip
