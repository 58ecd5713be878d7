"""The paper plan for many documents and a large model: memory, time and cost by formula, from recorded figures.

    python -m helpers scale --out docs/scale.md

Assumptions and the places of measured figures stand in `rules/scale.yaml`, the words of the page in `rules/scale.md`. A
figure that is not recorded yet is said to be so, and so is everything that would be computed from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from ..data import DataError
from . import rules
from .cost import Prices, load_prices, reading_s, training_hours, writing_s

ROOT = Path(__file__).parent.parent
NOT_MEASURED = "not measured yet"
VECTOR_BYTES, LINK_BYTES, STATE_BYTES, HALF, FULL = 4, 4, 16, 2, 4
UNITS = {
    "server_memory": "B", "disk": "B", "disk_cost": "US dollars", "own_hours": "hours", "search": "s",
    "own_machines": "machines for a day",
}  # fmt: skip
STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def measured(root: Path = ROOT) -> dict[str, float | None]:
    """The recorded figures by their id; None where one is not recorded."""
    return {each["id"]: _look_up(root, each) for each in rules.load("scale")["measured"]}


def figures(known: Mapping[str, float | None], prices: Prices | None = None, **other: float) -> dict[str, float | None]:
    """Every figure of the plan by name, in bytes, seconds, hours and US dollars; None where a measured one is missing.

    Sources: HNSW's memory, M_max0 + m_L M links an element with M_max0 = 2M and m_L = 1/ln(M): Malkov & Yashunin 2018
    (arXiv:1603.09320), sections 4.1 and 4.2.3. Training in 16 bits with Adam, 16 bytes a parameter, and what is sent
    between n processes: Rajbhandari et al. 2020 (ZeRO, arXiv:1910.02054), sections 3.1 and 7. Operations of training
    and answering: see `cost.scaled`. Low-rank adapters: Hu et al. 2021 (arXiv:2106.09685), section 4.1.

    Args:
        known: From `measured`.
        prices: Speed and price of the accelerator; those of `rules/prices.yaml` unless told otherwise.
        other: Assumptions in place of those of the data file.
    """
    prices = prices or load_prices()
    a = {name: float(value) for name, value in rules.load("scale")["assumed"].items()} | other
    return a | asdict(prices) | _index(a, known, prices) | _training(a, prices) | _answering(a, prices)


def page(root: Path = ROOT) -> str:
    """docs/scale.md, computed from what is recorded below `root`."""
    known = measured(root)
    rows = [
        f"| {each['what']} | {show(known[each['id']], each['unit'])} | `{each['file']}` |"
        for each in rules.load("scale")["measured"]
    ]
    shown = {name: show(value, UNITS.get(name, "")) for name, value in figures(known).items()}
    template = (rules.FOLDER / "scale.md").read_text(encoding="utf-8")
    return Template(template).substitute(shown, measured="\n".join(rows))


def show(value: float | None, unit: str = "") -> str:
    """A figure with three digits and, where it is large, a prefix of thousands."""
    if value is None:
        return NOT_MEASURED
    if abs(value) < 10_000 and value == int(value):
        return f"{int(value)} {unit}".rstrip()
    for size, prefix in STEPS:
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def _look_up(root: Path, entry: Mapping[str, Any]) -> float | None:
    """The number at the end of a path in a JSON file; `name=value` chooses the row of a list with that field."""
    file = root / entry["file"]
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is no JSON ({error}). Measure again.") from error
    for step in entry["path"]:
        if isinstance(found, list):
            name, _, value = step.partition("=")
            found = next((row for row in found if row.get(name) == value), None)
        else:
            found = found.get(step) if isinstance(found, dict) else None
    return found / entry.get("per", 1) if isinstance(found, int | float) else None


def _index(a: Mapping[str, float], known: Mapping[str, float | None], prices: Prices) -> dict[str, float | None]:
    chunks = a["documents"] * math.ceil(a["document_tokens"] / (a["chunk_size"] - a["chunk_overlap"]))
    vectors = chunks * a["dimensions"] * VECTOR_BYTES
    links = chunks * (2 * a["links"] + a["links"] / math.log(a["links"])) * LINK_BYTES
    disk = _times(known["chunk_disk"], chunks)
    growth = math.log(chunks) / math.log(100_000)
    embedding = reading_s(a["embedder_parameters"], chunks * a["chunk_size"], prices) / 3600
    own_hours = None if known["chunks_per_s"] is None else chunks / known["chunks_per_s"] / 3600
    return {
        "chunks": chunks, "vectors": vectors, "links_bytes": links, "graph": vectors + links,
        "server_memory": _times(known["chunk_memory"], chunks), "disk": disk,
        "disk_cost": _times(disk, prices.storage_per_gb_month / 1e9),
        "embedding_hours": embedding, "embedding_cost": embedding * prices.accelerator_per_hour,
        "own_hours": own_hours, "own_machines": _times(own_hours, 1 / 24),
        "search": _times(known["search_large"], growth),
    }  # fmt: skip


def _training(a: Mapping[str, float], prices: Prices) -> dict[str, float | None]:
    n, count = a["parameters"], a["accelerators"]
    text, labelled = a["documents"] * a["document_tokens"] * a["passes"], a["pairs"] * a["pair_tokens"]
    widths = 4 * a["width"] + 2 * (a["width"] + a["key_value_width"]) + 3 * (a["width"] + a["inner_width"])
    adapter = a["rank"] * a["layers"] * widths
    whole_hours, adapter_hours = training_hours(n, text, True, prices), training_hours(n, labelled, False, prices)
    whole_state, adapter_state = n * STATE_BYTES, 2 * n * HALF + adapter * STATE_BYTES
    steps, others = text / a["step_tokens"], (count - 1) / count
    return {
        "text_tokens": text, "pair_tokens_all": labelled, "adapter": adapter,
        "whole_hours": whole_hours, "whole_days": whole_hours / count / 24,
        "whole_cost": whole_hours * prices.accelerator_per_hour,
        "adapter_hours": adapter_hours, "adapter_cost": adapter_hours * prices.accelerator_per_hour,
        "whole_state": whole_state, "whole_share": whole_state / count,
        "adapter_state": adapter_state, "whole_least": math.ceil(whole_state / a["accelerator_bytes"]),
        "adapter_least": math.ceil(adapter_state / a["accelerator_bytes"]),
        "sent_data_parallel": n * 2 * HALF * others, "sent_adapter": adapter * 2 * HALF * others,
        "sent_fsdp": n * (2 * HALF + FULL) * others, "steps": steps,
        "step_s": whole_hours * 3600 / count / steps, "checkpoint": n * 12,
    }  # fmt: skip


def _answering(a: Mapping[str, float], prices: Prices) -> dict[str, float | None]:
    n = a["parameters"]
    read, write = reading_s(n, a["prompt_tokens"], prices), writing_s(n, prices)
    batch = a["answers_at_once"]
    seconds = batch * read + a["answer_tokens"] * write
    cache = 2 * a["layers"] * a["key_value_width"] * HALF
    held = batch * (a["prompt_tokens"] + a["answer_tokens"]) * cache
    return {
        "weights": n * prices.bytes_per_parameter, "first_token": read + write, "next_token": write,
        "one_answer": read + a["answer_tokens"] * write, "answers_per_s_large": batch / seconds,
        "thousand_cost": 1000 * seconds / batch / 3600 * prices.accelerator_per_hour,
        "cache_token": cache, "cache": held, "serving_memory": n * prices.bytes_per_parameter + held,
    }  # fmt: skip


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
