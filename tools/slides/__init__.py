"""The slides of a workshop: opening and recap, made from the notebooks in this folder by `python -m tools.slides`."""
