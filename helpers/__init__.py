"""The small package behind the notebooks: RAG and fine-tuning, built and measured on one model.

Nothing heavy is imported here; each module loads torch, transformers or LlamaIndex when it is used.
"""

import os as _os

# Nothing leaves the machine: these are read by the libraries when they are imported, so they come first.
for _name, _value in {
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "DISABLE_TELEMETRY": "1",
}.items():
    _os.environ.setdefault(_name, _value)

__version__ = "0.1.0"
