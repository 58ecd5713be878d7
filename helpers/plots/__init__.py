"""The kit's figures, each takes an Axes or makes one and returns it, and the report that holds them.

plots.show(plots.story(read_comparison(folder)))    # what people want, by method, and what each method costs
plots.accuracy_dots(comparison.table(), "triage")   # every arm on one question set, with its interval
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["report", "tree", "wishes"],
    submod_attrs={
        "accuracy": ["accuracy_dots", "overview"], "tree": ["decision_tree"], "report": ["write_report"],
        "lines": ["break_even_lines", "learning_curves", "training_curve"], "wishes": ["story"],
        "style": ["LOOKS", "OKABE_ITO", "image", "new_axes", "number", "plain_name", "plt", "show"],
    },
)  # fmt: skip
