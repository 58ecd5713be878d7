"""The small package behind the notebooks: RAG and fine-tuning, built and measured on one model.

Nothing heavy is imported here; each module loads torch, transformers or LlamaIndex when it is used.
"""

import gc as _gc
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

# The libraries make a million objects that live as long as the process. Python looks through all of them for garbage
# whenever a quarter has been added: that was 1 of 7 seconds of importing.
_gc.set_threshold(*_gc.get_threshold()[:2], max(100, _gc.get_threshold()[2]))

__version__ = "0.1.0"
