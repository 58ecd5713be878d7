"""What goes in and what comes out: typed records, files, profiles, data sets, documents, own data."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["dataset", "documents", "own_data", "profiles"],
    submod_attrs={
        "cloze": ["PART", "cloze_questions"],
        "dataset": ["Dataset", "general_questions", "load_prompts", "sample"],
        "documents": ["apply_updates", "read_documents"],
        "facts": ["FACT_COLUMNS"],
        "files": ["ROOT", "held", "own_folder", "write_text"],
        "own_data": ["ARMS", "prepare"],
        "profiles": ["PROFILES", "Profile", "VALIDATION", "WARM_UP", "get_profile"],
        "records": [
            "Answer",
            "CHOICE_SETS",
            "DataError",
            "Document",
            "Effort",
            "Example",
            "KitError",
            "Passage",
            "QUESTION_SETS",
            "Question",
            "Result",
            "Score",
            "TASKS",
            "TIMED_SET",
        ],
        "text": ["contains", "normalise", "sentences"],
    },
)
