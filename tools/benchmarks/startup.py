"""How long until something happens: `import helpers`, the first answer of a notebook, and the memory it leaves.

    python benchmarks/startup.py --json

- `import_helpers_s`: a fresh Python, from its start to the end of `import helpers`, minus a fresh Python that imports
  nothing. The peer's figure beside it is `import transformers, llama_index.core`.
- `ratio`: a fresh Python that answers one question. The kit: `Assistant(load_model()).ask(...)`; the peer: LlamaIndex's
  HuggingFaceLLM on the same folder in the same dtype. Both replies must be the same.
- `notebook`: a notebook's cells, run in order in a Jupyter kernel up to the first that asks an assistant; the seconds
  from the first cell, and the kernel's memory after the last. JupyterLab starts the same kernel.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from measuring import ROOT, finish, in_own_process, need, options, ratio, repeats_of, take_turns, timed

from helpers.data.records import KitError
from helpers.models import foundation_model as models

NOTEBOOK = ROOT / "notebooks" / "01_foundation_model.ipynb"
QUESTION = "What is the capital of France?"
IMPORTS = {"nothing": "pass", "kit": "import helpers", "peer": "import transformers, llama_index.core"}
ASKS = ".ask("
CELL_S = 600


def answer_kit(folder: str, dtype: str) -> str:
    """The kit's first answer."""
    from helpers.experiment.assistant import Assistant

    return Assistant(models.load_model(folder, dtype=dtype)).ask(QUESTION).text


def answer_peer(folder: str, dtype: str) -> str:
    """The first answer of LlamaIndex's HuggingFaceLLM, to the same prompt and with the same limit."""
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.huggingface import HuggingFaceLLM

    from helpers.data.records import Question
    from helpers.experiment.assistant import SHORT_ANSWER
    from helpers.models import prompts

    llm = HuggingFaceLLM(
        model_name=folder, tokenizer_name=folder, device_map="cpu", context_window=2048, max_new_tokens=SHORT_ANSWER,
        model_kwargs={"dtype": dtype}, is_chat_model=True, generate_kwargs={"do_sample": False},
    )  # fmt: skip
    asked = prompts.ask(Question("q", "own", QUESTION))
    messages = [ChatMessage(role="system", content=prompts.SYSTEM), ChatMessage(role="user", content=asked)]
    return str(llm.chat(messages).message.content).strip()


def first_answers(folder: str, dtype: str, repeats: int, warm_up: int = 1) -> dict[str, Any]:
    """Both sides' first answer, each in a fresh Python, in turns; the first `warm_up` rounds are not counted."""

    def fresh(side: str) -> tuple[float, dict[str, Any]]:
        return timed(lambda: in_own_process(__file__, "--answer", side, "--model", folder, "--dtype", dtype))

    sides = {side: partial(fresh, side) for side in ("kit", "peer")}
    take_turns(sides, warm_up)
    runs = take_turns(sides, repeats)
    seconds = {name: [spent for spent, _ in made] for name, made in runs.items()}
    replies = {name: made[0][1]["text"] for name, made in runs.items()}
    figures = {name: {"seconds": median(seconds[name]), "reply": replies[name]} for name in sides}
    return ratio(seconds["kit"], seconds["peer"]) | {"agree": replies["kit"] == replies["peer"]} | figures


def imports(repeats: int, warm_up: int = 1) -> dict[str, float]:
    """Seconds of the imports, each in a fresh Python, in turns; the first `warm_up` rounds are not counted."""
    sides = {
        name: (lambda code=code: timed(lambda: subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True))[0])
        for name, code in IMPORTS.items()
    }
    take_turns(sides, warm_up)
    seconds = {name: median(made) for name, made in take_turns(sides, repeats).items()}
    return {
        "import_helpers_s": max(0.0, seconds["kit"] - seconds["nothing"]),
        "import_peer_s": seconds["peer"] - seconds["nothing"],
        "python_s": seconds["nothing"],
    }


def notebook_to_answer(path: Path) -> dict[str, Any]:
    """Runs a notebook's cells in a kernel until an assistant was asked.

    Returns:
        `seconds` from the first cell to the end of that one, `cells`, and the kernel's `memory_bytes` (children
        included) after it.

    Raises:
        KitError: A cell failed, or none asks.
    """
    import nbformat
    import psutil
    from jupyter_client.manager import start_new_kernel

    notebook = nbformat.read(path, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    last = next((number for number, source in enumerate(cells) if ASKS in source), None)
    if last is None:
        raise KitError(f"no cell of {path} asks an assistant ({ASKS!r}): name another notebook")
    manager, client = start_new_kernel(cwd=str(path.parent))
    try:
        seconds, _ = timed(lambda: [_execute(client, source) for source in cells[: last + 1]])
        kernel = psutil.Process(manager.provisioner.pid)
        memory = sum(each.memory_info().rss for each in [kernel, *kernel.children(recursive=True)])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return {"name": path.stem, "seconds": seconds, "cells": last + 1, "memory_bytes": memory}


def _execute(client: Any, source: str) -> None:
    reply = client.execute_interactive(source, timeout=CELL_S, output_hook=lambda message: None)["content"]
    if reply["status"] != "ok":
        raise KitError(f"a cell failed with {reply['ename']}: {reply['evalue']}\n{source}")


def main() -> int:
    """Measures and prints the figures; with `--answer` it is one side in a process of its own."""
    parser = options(__doc__)
    parser.add_argument("--answer", choices=("kit", "peer"), help="one side; the script gives it to itself")
    parser.add_argument("--notebook", type=Path, default=NOTEBOOK, help="the notebook that is run to its first answer")
    arguments = parser.parse_args()
    if arguments.answer:
        answer = {"kit": answer_kit, "peer": answer_peer}[arguments.answer]
        print(json.dumps({"text": answer(arguments.model, arguments.dtype)}))
        return 0
    need("llama_index.llms.huggingface")
    fm = models.load_model(arguments.model, dtype=arguments.dtype)
    folder, dtype = str(Path(fm.model.name_or_path)), fm.dtype
    del fm
    repeats = repeats_of(arguments)
    record = first_answers(folder, dtype, repeats) | imports(repeats)
    return finish("startup", record | {"notebook": notebook_to_answer(arguments.notebook)}, arguments)


if __name__ == "__main__":
    sys.exit(main())
