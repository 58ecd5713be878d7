"""Two views of an index: the passages that a question finds, and chunks as points in two dimensions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from ... import plots
from ...data import KitError, Passage, Question, contains
from ...models import prompts
from ...rag import MODES, Index, embed_questions
from .frame import Panel, escape, labelled, number, table

if TYPE_CHECKING:
    from ...models import FoundationModel

COMMON = set("a an and at by does for how in is it of on or that the to was what when where which who".split())


def retrieval_explorer(index: Index, fm: FoundationModel, question: Question) -> Panel:
    """Type a question and see which passages are found, with their scores, and what the prompt's tokens are spent on.

    Args:
        index: What is searched.
        fm: The model whose tokens are counted.
        question: What to begin with; the passages that hold its answer are pointed out.
    """
    chunks = len(index.nodes)

    def search(question_text: str, k: int, mode: str) -> str:
        if not question_text.strip():
            raise KitError("Type a question first.")
        passages = index.retriever(min(k, chunks), mode).retrieve(question_text)
        known, rows = bool(question.answers) and question_text == question.prompt, []
        for passage in passages:
            right = ("yes" if contains(passage.text, question.answers) else "no") if known else "unknown"
            text = highlight(passage.text, question_text)
            rows.append((f"{passage.score:.3f}", escape(passage.document_id), right, text))
        caption = f"Passages found, best first, of {chunks} chunks; words shared with the question are marked"
        found = table(caption, ["score", "document", "holds the answer", "passage"], rows)
        return found + prompt_parts(fm, question_text, passages)

    controls = {
        "question_text": labelled(ipywidgets.Text, "question", "760px", value=question.prompt),
        "k": number("passages (k)", 1, 8, 1, index.settings.k),
        "mode": labelled(ipywidgets.Dropdown, "kind of search", options=MODES, value=index.settings.mode),
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
