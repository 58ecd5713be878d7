"""Two views of an index: the passages that a question finds, and chunks as points in two dimensions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from ... import plots
from ...data import Document, KitError, Passage, Question, contains, own_folder
from ...models import prompts
from ...rag import MODES, Index, RagSettings, build_index, embed_questions, open_store
from .frame import HOVER, Panel, escape, labelled, number, table

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from ...models import FoundationModel

COMMON = set("a an and at by does for how in is it of on or that the to was what when where which who".split())
PARTS, COLOURS = ("passages", "question", "instructions"), ("#a6d8f5", "#f5c96b", "#d0d0d0")
INK = "color: black; padding: 0 4px"
LONGEST = 400  # characters of a chunk that are shown


def retrieval_explorer(
    documents: Sequence[Document], embedder: BaseEmbedding, fm: FoundationModel, question: str | Question = "",
    settings: RagSettings | None = None, index: Index | None = None, folder: Path | None = None,
) -> Panel:  # fmt: skip
    """Type a question and see which passages are found, with their scores, and what the prompt's tokens are spent on.

    Args:
        documents: The collection; it is chunked and embedded again for each new chunk size.
        embedder: LlamaIndex's embedder.
        fm: The model whose tokens are counted.
        question: What to begin with; for a `Question`, the passages that hold its answer are pointed out.
        settings: Where the sliders begin; None takes those of `index`, else the kit's defaults.
        index: One that is there already; it is used for its own chunk settings.
        folder: Where the other indices are kept; None takes a folder beside the learner's results.
    """
    first = question if isinstance(question, Question) else Question("explorer", "own", question)
    settings = settings or (index.settings if index else RagSettings())
    indices = {(index.settings.chunk_size, index.settings.chunk_overlap): index} if index else {}
    ids = "\n".join(sorted(document.id for document in documents)).encode()
    folder = folder or own_folder() / "index" / f"explorer-{hashlib.sha256(ids).hexdigest()[:8]}"

    def search(question: str, chunk_size: int, chunk_overlap: int, k: int, mode: str) -> str:
        if not question.strip():
            raise KitError("Type a question first.")
        size = chunk_size, chunk_overlap
        if size not in indices:
            panel.say(f"Chunking and embedding {len(documents)} documents, once for each chunk size ...")
            changed = replace(settings, chunk_size=chunk_size, chunk_overlap=chunk_overlap)
            store = open_store(folder / f"{chunk_size}x{chunk_overlap}")
            indices[size] = build_index(list(documents), store, embedder, changed, progress=False)[0]
        passages = indices[size].retriever(min(k, len(indices[size].nodes)), mode).retrieve(question)
        gold = first.answers if question == first.prompt else ()
        caption = f"Passages found, of {len(indices[size].nodes)} chunks; words shared with the question are marked"
        return passages_table(caption, passages, question, gold) + prompt_meter(fm, question, passages)

    controls = {
        "question": labelled(ipywidgets.Text, "question", "760px", value=first.prompt),
        "chunk_size": number("chunk size, tokens", 64, 192, 16, settings.chunk_size),
        "chunk_overlap": number("overlap, tokens", 0, 32, 8, settings.chunk_overlap),
        "k": number("passages (k)", 1, 8, 1, settings.k),
        "mode": labelled(ipywidgets.Dropdown, "kind of search", options=MODES, value=settings.mode),
    }
    panel = Panel("Retrieval explorer", controls, search, "Search")
    if first.prompt:
        panel.refresh()
    return panel


def passages_table(caption: str, passages: Sequence[Passage], question: str, gold: Sequence[str]) -> str:
    """Passages as a table with their scores; `gold` are texts of which a right passage holds one."""
    rows = []
    for rank, passage in enumerate(passages, 1):
        right = ("yes" if contains(passage.text, gold) else "no") if gold else "unknown"
        source, text = escape(passage.document_id), highlight(passage.text, question)
        rows.append((str(rank), f"{passage.score:.3f}", source, right, text))
    return table(caption, ["rank", "score", "document", "holds the answer", "passage"], rows)


def highlight(text: str, question: str) -> str:
    """A text as HTML in which the question's words are marked, common ones left out."""
    words = set(re.findall(r"\w+", question.lower())) - COMMON
    pieces = re.split(r"(\w+)", text)
    return "".join(f"<mark>{escape(piece)}</mark>" if piece.lower() in words else escape(piece) for piece in pieces)


def prompt_meter(fm: FoundationModel, question: str, passages: Sequence[Passage]) -> str:
    """What the expanded prompt's tokens are spent on, as a bar and in words, and the prompt itself."""
    prompt = fm.chat(prompts.expand(Question("explorer", "own", question), passages))
    total = fm.count_tokens(prompt)
    parts = [fm.count_tokens(prompts.passages_text(passages)), fm.count_tokens(question)]
    spent = list(zip(PARTS, COLOURS, [*parts, max(total - sum(parts), 0)], strict=True))
    bar = "".join(f"<div style='flex: {tokens}; background: {colour}'>&nbsp;</div>" for _, colour, tokens in spent)
    words = " ".join(
        f"<span style='{INK}; background: {c}'>{name} {n} ({n / total:.0%})</span>" for name, c, n in spent
    )
    return (
        f"<p>The prompt has {total} tokens: {words}</p><div style='display: flex; max-width: 760px'>{bar}</div>"
        f"<details><summary>The expanded prompt</summary><code>{escape(prompt)}</code></details>"
    )


def embedding_map(index: Index, question: str | Question = "") -> Panel:
    """Chunks of an index and a question as points in two dimensions; point at a chunk to read it."""
    stored = index.store.client.get(include=["embeddings"])
    by_id = dict(zip(stored["ids"], stored["embeddings"], strict=True))
    vectors = _unit(np.array([by_id[node.node_id] for node in index.nodes], dtype=np.float32))
    centre = vectors.mean(0)
    _, sizes, axes = np.linalg.svd(vectors - centre, full_matrices=False)  # principal components: Jolliffe 2002, 3.5
    axes, share = axes[:2], (sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-12)
    headed = [": ".join(filter(None, (n.metadata.get("heading"), n.get_content()))) for n in index.nodes]
    texts = [escape(text if len(text) <= LONGEST else f"{text[:LONGEST]} ...") for text in headed]

    def draw(question: str, nearest: int) -> str:
        if not question.strip():
            raise KitError("Type a question first.")
        asked = _unit(np.array(embed_questions(index.embed_model, [question]), dtype=np.float32))
        cosines = vectors @ asked[0]
        best = np.argsort(-cosines)[:nearest]
        kinds = [str(node.metadata.get("type", "document")) for node in index.nodes]
        picture = _scatter((vectors - centre) @ axes.T, ((asked - centre) @ axes.T)[0], best, kinds, texts)
        cells = [(f"{cosines[i]:.2f}", escape(index.nodes[i].ref_doc_id), texts[i]) for i in best]
        rows = [(str(rank), *row) for rank, row in enumerate(cells, 1)]
        note = (
            f"Two dimensions of {vectors.shape[1]} show {share:.0%} of the chunks' variance, so chunks that are close "
        )
        note += "on the map may still be far apart. Point at a chunk to read it."
        found = table("The nearest chunks in all dimensions", ["rank", "cosine", "document", "text"], rows)
        return f"{picture}<p>{note}</p>{found}"

    start = getattr(question, "prompt", question)
    controls = {
        "question": labelled(ipywidgets.Text, "question", "760px", value=start),
        "nearest": number("nearest chunks", 1, 10, 1, min(5, len(vectors))),
    }
    panel = Panel("Map of the embeddings", controls, draw, "Show")
    if start:
        panel.refresh()
    return panel


def _scatter(
    points: np.ndarray, asked: np.ndarray, best: Sequence[int], kinds: Sequence[str], texts: Sequence[str]
) -> str:
    """The map as a picture, under one invisible mark a chunk that has the chunk's text as its title."""
    ax = plots.new_axes(None, 7.8, 4.6)
    for n, kind in enumerate(sorted(set(kinds))):
        chosen = points[[other == kind for other in kinds]]
        ax.scatter(*chosen.T, s=20, marker="osD^"[n % 4], color=plots.OKABE_ITO[n % len(plots.OKABE_ITO)], label=kind)
    for i in best:
        ax.plot(*np.array([asked, points[i]]).T, color="0.4", linewidth=0.8, zorder=0)
    ax.scatter(*points[list(best)].T, s=120, facecolors="none", edgecolors="black", label="nearest")
    ax.scatter(*asked, s=180, marker="*", color="black", label="question")
    ax.set(xticks=[], yticks=[])
    ax.legend(frameon=False, ncols=6, loc="upper center", bbox_to_anchor=(0.5, 0))
    picture = plots.image(ax, f"Map of {len(points)} chunks and the question, joined to its {len(best)} nearest").data
    places = (ax.transData - ax.get_figure().transFigure).transform(points)
    marks = "".join(
        f"<span class='{HOVER}' title='{text}' style='position: absolute; width: 12px; height: 12px; margin: -6px;"
        f" left: {x:.2%}; top: {1 - y:.2%}'></span>"
        for (x, y), text in zip(places, texts, strict=True)
    )
    return f"<div style='position: relative; display: inline-block'>{picture}{marks}</div>"


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
