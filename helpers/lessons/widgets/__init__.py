"""Widgets for the notebooks: figures and tables that follow what a learner types, drags and presses.

from helpers.lessons import widgets
widgets.retrieval_explorer(index, question)
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "decide": ["answer_comparer", "cost_explorer", "which_one"], "retrieval": ["retrieval_explorer"],
        "tokens": ["token_view"], "training": ["training_panel"],
    },
)  # fmt: skip
