"""What goes in and what comes out: typed records, files, profiles, data sets, documents, own data."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "dataset": ["Dataset", "general_questions", "open_dataset", "read_prompts", "sample"],
        "documents": ["PLAIN_TYPES", "apply_updates", "read_documents"],
        "files": [
            "ROOT", "explain", "folder_hash", "held", "own_folder", "read_text", "readable", "table", "visible",
            "write_text",
        ],
        "own_data": ["OWN_ARMS", "prepare_own_data", "reading_report"],
        "profiles": ["PROFILES", "Profile", "VALIDATION", "get_profile"],
        "records": [
            "Answer", "BLANK", "CHOICE_SETS", "DataError", "Document", "Effort", "Example", "Fact", "KitError",
            "Note", "Passage", "QUESTION_SETS", "Question", "Result", "SET_NAMES", "Score", "TASKS", "TEXT_SETS",
            "TIMED_SET",
        ],
        "values": ["YES_OR_NO", "comparable", "contains", "forms", "normalise", "readings", "sentences"],
    },
)  # fmt: skip
