"""The kit's figures, each takes an Axes or makes one and returns it, and the report that holds them.

ax = plots.accuracy_dots(compared, "triage")    # `compared` is what `Comparison.table` returns
plots.show(ax)                                  # and what it shows in words, for those who do not see it
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["report"],
    submod_attrs={
        "accuracy": ["accuracy_dots", "accuracy_in_words", "latency_bars", "overview"],
        "lines": ["break_even_lines", "learning_curves", "training_curve"],
        "report": ["markdown", "write_report"],
        "style": ["LOOKS", "OKABE_ITO", "image", "new_axes", "number", "plain_name", "plt", "show"],
    },
)  # fmt: skip
