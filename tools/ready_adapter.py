"""Makes the ready triage adapter that notebook 00 opens: trained by the kit's own recipe, then saved in bfloat16.

    python -m tools.ready_adapter

`manifest.json` beside the weights holds this command, the hashes of data, base model and weights, and the accuracy of
what was saved on the triage questions.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import load_file, save_file

from helpers.data import ROOT, own_folder, write_text
from helpers.experiment import Study, evaluate, versions
from helpers.models import FOUNDATION_MODEL, weights_hash

READY = ROOT / "results" / "ready" / "triage"
DATA, PROFILE, SEED = "datasets/tidewater", "workshop", 7
PAIRS = "instructions/triage.train.jsonl"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def save_small(trained: Path, folder: Path) -> None:
    """Copies an adapter in bfloat16, half the size, with a configuration that names the base model, not a path."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: each.to(torch.bfloat16) for name, each in load_file(trained / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((trained / CONFIG).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": FOUNDATION_MODEL, "target_modules": sorted(config["target_modules"])}
    write_text(folder / CONFIG, json.dumps(config, indent=1, sort_keys=True) + "\n")


def make(folder: Path = READY) -> dict:
    """Trains, saves and scores the adapter, and returns what the manifest says of it."""
    study = Study(ROOT / DATA, PROFILE, SEED, out=own_folder() / "ready")
    made = study.train("triage")
    save_small(made.folder, folder)
    assistant = study.assistant("base")
    assistant.adapter = folder
    questions = study.dataset.questions("triage")
    scores = evaluate(assistant, questions, progress=True).scores
    parts = sorted({question.part for question in questions})
    manifest = {
        "command": "python -m tools.ready_adapter", "recipe": "triage", "profile": PROFILE, "seed": SEED,
        "data": f"{DATA}/{PAIRS}", "data_hash": sha256((ROOT / DATA / PAIRS).read_bytes()).hexdigest(),
        "base_model": FOUNDATION_MODEL, "base_hash": study.model.hash,
        "weights_hash": weights_hash(folder), "bytes": (folder / WEIGHTS).stat().st_size, "dtype": "bfloat16",
        "labelled_pairs": made.effort.labelled_examples,
        "settings": made.settings,
        "accuracy": round(fmean(score.value for score in scores), 3), "questions": len(questions),
        "parts": {
            part: round(fmean(score.value for score in scores if score.question.part == part), 3) for part in parts
        },
        "versions": versions(),
    }  # fmt: skip
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return manifest


if __name__ == "__main__":
    print(json.dumps(make(), indent=1))
