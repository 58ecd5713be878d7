"""The small package behind the notebooks: RAG and fine-tuning, built and measured on one model.

Nothing heavy is imported here; each module loads torch, transformers or LlamaIndex when it is used.
"""

import os as _os

# Nothing leaves the machine: these are read by the libraries when they are imported, so they come first.
for _name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_TELEMETRY"):
    _os.environ.setdefault(_name, "1")
for _name, _value in (
    ("ANONYMIZED_TELEMETRY", "False"),
    ("OTEL_SDK_DISABLED", "true"),
    ("TOKENIZERS_PARALLELISM", "false"),
):
    _os.environ.setdefault(_name, _value)

__version__ = "0.1.0"
