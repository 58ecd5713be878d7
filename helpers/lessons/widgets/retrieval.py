"""Two views of an index: the passages that a question finds, and chunks as points in two dimensions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from ... import plots
from ...data import Document, KitError, Passage, Question, contains, own_folder
from ...models import prompts
from ...rag import MODES, Index, build_index, embed_questions, open_store
from .frame import Panel, escape, labelled, number, table

if TYPE_CHECKING:
    from ...models import FoundationModel

COMMON = set("a an and at by does for how in is it of on or that the to was what when where which who".split())


def retrieval_explorer(documents: Sequence[Document], index: Index, fm: FoundationModel, question: Question) -> Panel:
    """Type a question and see which passages are found, with their scores, and what the prompt's tokens are spent on.

    Args:
        documents: The collection; it is chunked and embedded again for each new chunk size.
        index: The index of these documents, with which the explorer begins.
        fm: The model whose tokens are counted.
        question: What to begin with; the passages that hold its answer are pointed out.
    """
    settings = index.settings
    indices = {(settings.chunk_size, settings.chunk_overlap): index}
    collection = hashlib.sha256("\n".join(sorted(document.id for document in documents)).encode()).hexdigest()[:8]

    def search(question_text: str, chunk_size: int, chunk_overlap: int, k: int, mode: str) -> str:
        """The passages as a table, and the prompt with them; a new chunk size is indexed first.

        Raises:
            KitError: The question is empty.
        """
        if not question_text.strip():
            raise KitError("Type a question first.")
        size = chunk_size, chunk_overlap
        if size not in indices:
            panel.say(f"Chunking and embedding {len(documents)} documents, once for each chunk size ...")
            store = open_store(own_folder() / "index" / f"explorer-{collection}" / f"{chunk_size}x{chunk_overlap}")
            changed = replace(settings, chunk_size=chunk_size, chunk_overlap=chunk_overlap)
            indices[size] = build_index(list(documents), store, index.embed_model, changed, progress=False)[0]
        chunks, known = len(indices[size].nodes), bool(question.answers) and question_text == question.prompt
        passages = indices[size].retriever(min(k, chunks), mode).retrieve(question_text)
        rows = []
        for passage in passages:
            right = ("yes" if contains(passage.text, question.answers) else "no") if known else "unknown"
            text = highlight(passage.text, question_text)
            rows.append((f"{passage.score:.3f}", escape(passage.document_id), right, text))
        caption = f"Passages found, best first, of {chunks} chunks; words shared with the question are marked"
        found = table(caption, ["score", "document", "holds the answer", "passage"], rows)
        return found + prompt_parts(fm, question_text, passages)

    controls = {
        "question_text": labelled(ipywidgets.Text, "question", "760px", value=question.prompt),
        "chunk_size": number("chunk size, tokens", 64, 192, 16, settings.chunk_size),
        "chunk_overlap": number("overlap, tokens", 0, 32, 8, settings.chunk_overlap),
        "k": number("passages (k)", 1, 8, 1, settings.k),
        "mode": labelled(ipywidgets.Dropdown, "kind of search", options=MODES, value=settings.mode),
    }
    panel = Panel("Retrieval explorer", controls, search, "Search")
    panel.refresh()
    return panel


def highlight(text: str, question: str) -> str:
    """A text as HTML in which the question's words are marked, common ones left out."""
    words = set(re.findall(r"\w+", question.lower())) - COMMON
    pieces = re.split(r"(\w+)", text)
    return "".join(f"<mark>{escape(piece)}</mark>" if piece.lower() in words else escape(piece) for piece in pieces)


def prompt_parts(fm: FoundationModel, question: str, passages: Sequence[Passage]) -> str:
    """What the expanded prompt's tokens are spent on, and the prompt itself."""
    prompt = fm.chat(prompts.expand(Question("explorer", "own", question), passages))
    passages_text, total = prompts.passages_text(passages), fm.count_tokens(prompt)
    parts = {"passages": fm.count_tokens(passages_text), "question": fm.count_tokens(question)}
    parts["instructions"] = max(total - sum(parts.values()), 0)
    words = ", ".join(f"{name} {tokens} ({tokens / total:.0%})" for name, tokens in parts.items())
    shown = f"<details><summary>The expanded prompt</summary><code>{escape(prompt)}</code></details>"
    return f"<p>The prompt has {total} tokens: {words}.</p>{shown}"


def embedding_map(index: Index, question: Question) -> Panel:
    """Chunks of an index and a question as points in two dimensions, with the question's nearest chunks ringed."""
    stored = index.store.client.get(include=["embeddings"])
    by_id = dict(zip(stored["ids"], stored["embeddings"], strict=True))
    vectors = _unit([by_id[node.node_id] for node in index.nodes])
    centre = vectors.mean(0)
    _, sizes, axes = np.linalg.svd(vectors - centre, full_matrices=False)  # principal components: Jolliffe 2002, 3.5
    points, share = (vectors - centre) @ axes[:2].T, (sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-12)
    kinds = [str(node.metadata.get("type", "document")) for node in index.nodes]

    def draw(question_text: str, nearest: int) -> str:
        """The map with the question and its nearest chunks, which a table below names.

        Raises:
            KitError: The question is empty.
        """
        if not question_text.strip():
            raise KitError("Type a question first.")
        (asked,) = _unit(embed_questions(index.embed_model, [question_text]))
        cosines = vectors @ asked
        best = np.argsort(-cosines)[:nearest]
        ax = plots.new_axes(None, 7.8, 4.6)
        for kind, marker, colour in zip(sorted(set(kinds)), cycle("osD^"), cycle(plots.OKABE_ITO), strict=False):
            ax.scatter(*points[np.array(kinds) == kind].T, s=20, marker=marker, color=colour, label=kind)
        ax.scatter(*points[best].T, s=120, facecolors="none", edgecolors="black", label="nearest")
        ax.scatter(*(axes[:2] @ (asked - centre)), s=180, marker="*", color="black", label="question")
        ax.set(xticks=[], yticks=[])
        ax.legend(frameon=False, ncols=6, loc="upper center", bbox_to_anchor=(0.5, 0))
        about = f"Map of {len(points)} chunks and the question, with its {nearest} nearest ringed"
        note = f"Two dimensions of {vectors.shape[1]} show {share:.0%} of the chunks' variance: chunks that are close "
        note += "on the map may be far apart."
        named = [(index.nodes[i], cosines[i]) for i in best]
        rows = [(f"{cosine:.2f}", escape(node.ref_doc_id), escape(node.get_content())) for node, cosine in named]
        found = table("The nearest chunks in all dimensions, best first", ["cosine", "document", "text"], rows)
        return f"{plots.image(ax, about).data}<p>{note}</p>{found}"

    controls = {
        "question_text": labelled(ipywidgets.Text, "question", "760px", value=question.prompt),
        "nearest": number("nearest chunks", 1, min(10, len(vectors)), 1, min(5, len(vectors))),
    }
    panel = Panel("Map of the embeddings", controls, draw, "Show")
    panel.refresh()
    return panel


def _unit(vectors: Sequence[Sequence[float]]) -> np.ndarray:
    rows = np.array(vectors, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
