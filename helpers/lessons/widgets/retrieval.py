"""`retrieval_explorer`: a question, the settings of retrieval, the passages found, and the prompt that they make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from ...data import Document, KitError, Passage, Question, contains, own_folder
from ...models import prompts
from ...rag import MODES, Index, RagSettings, build_index, open_store
from ..widgets.frame import NumberSlider, Panel, escape, labelled, table

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from ...models import FoundationModel

COMMON = {"a", "an", "and", "at", "by", "does", "for", "how", "in", "is", "of", "on", "or", "that", "the", "to", "was",
          "what", "when", "where", "which", "who"}  # fmt: skip
METER = {"passages": "#56b4e9", "question": "#e69f00", "instructions and template": "#999999"}


class RetrievalExplorer(Panel):
    """Searches a collection of documents by hand; one index is kept for each pair of chunk size and overlap."""

    def __init__(
        self,
        documents: Sequence[Document],
        embedder: BaseEmbedding,
        fm: FoundationModel,
        question: str | Question = "",
        settings: RagSettings | None = None,
        index: Index | None = None,
        folder: Path | None = None,
    ):
        """See `helpers.widgets.retrieval_explorer`."""
        self.documents, self.embedder, self.fm = list(documents), embedder, fm
        self.settings = settings or (index.settings if index else RagSettings())
        self.gold = question.answers if isinstance(question, Question) else ()
        self.asked = question.prompt if isinstance(question, Question) else question
        ids = "\n".join(sorted(document.id for document in self.documents))
        self.folder = folder or own_folder() / "index" / f"explorer-{hashlib.sha256(ids.encode()).hexdigest()[:8]}"
        self.indices: dict[tuple[int, int], Index] = {}
        if index is not None:
            self.indices[index.settings.chunk_size, index.settings.chunk_overlap] = index
        largest = max(self.settings.chunk_size, 192)
        super().__init__(
            "Retrieval explorer",
            {
                "question": labelled(ipywidgets.Text, "question", "760px", value=self.asked),
                "chunk_size": NumberSlider("chunk size, tokens", 64, largest, 16, self.settings.chunk_size),
                "chunk_overlap": NumberSlider("overlap, tokens", 0, 32, 8, self.settings.chunk_overlap),
                "k": NumberSlider("passages (k)", 1, 8, 1, self.settings.k),
                "mode": labelled(ipywidgets.Dropdown, "kind of search", options=MODES, value=self.settings.mode),
            },
            self._search,
            "Search",
        )

    def index(self, chunk_size: int, chunk_overlap: int) -> Index:
        """The index of these chunk settings, built when it is first asked for."""
        key = (chunk_size, chunk_overlap)
        if key not in self.indices:
            settings = replace(self.settings, chunk_size=chunk_size, chunk_overlap=chunk_overlap)
            self.say(
                f"Cutting and embedding {len(self.documents)} documents; this is done once for each chunk size ..."
            )
            store = open_store(self.folder / f"{chunk_size}x{chunk_overlap}-{settings.heading}")
            self.indices[key] = build_index(self.documents, store, self.embedder, settings, progress=False)[0]
        return self.indices[key]

    def _search(self, question: str, chunk_size: int, chunk_overlap: int, k: int, mode: str) -> str:
        if not question.strip():
            raise KitError("Type a question first.")
        index = self.index(chunk_size, chunk_overlap)
        passages = index.retriever(min(k, len(index.nodes)), mode).retrieve(question)
        gold = self.gold if question == self.asked else ()
        rows = [
            (str(rank), f"{p.score:.3f}", escape(p.document_id), _holds(p, gold), highlight(p.text, question))
            for rank, p in enumerate(passages, 1)
        ]
        found = table(
            f"Passages found, of {len(index.nodes)} chunks; words shared with the question are marked",
            ["rank", "score", "document", "holds the answer", "passage"],
            rows,
        )
        asked = Question("explorer", "own", question)
        expanded = self.fm.chat(prompts.expand(asked, passages))
        return found + meter(self.fm, question, passages, expanded) + _details("The expanded prompt", expanded)


def highlight(text: str, question: str) -> str:
    """A text as HTML in which the question's words are marked, common ones left out."""
    words = {word for word in re.findall(r"\w+", question.lower()) if word not in COMMON}
    pieces = re.split(r"(\w+)", text)
    return "".join(f"<mark>{escape(piece)}</mark>" if piece.lower() in words else escape(piece) for piece in pieces)


def meter(fm: FoundationModel, question: str, passages: Sequence[Passage], expanded: str) -> str:
    """A bar of the prompt's tokens by part, with the numbers in words."""
    total = fm.count_tokens(expanded)
    parts = {
        "passages": fm.count_tokens(prompts.passages_text(passages)),
        "question": fm.count_tokens(question),
    }
    parts["instructions and template"] = max(total - sum(parts.values()), 0)
    bar = "".join(
        f"<div style='width: {100 * tokens / total:.1f}%; background: {METER[name]}; height: 14px'></div>"
        for name, tokens in parts.items()
    )
    told = ", ".join(
        f"<span style='border-bottom: 4px solid {METER[name]}'>{name} {tokens} ({tokens / total:.0%})</span>"
        for name, tokens in parts.items()
    )
    return (
        f"<div aria-hidden='true' style='display: flex; width: 100%; max-width: 760px; margin-top: 8px'>{bar}</div>"
        f"<p>The prompt has {total} tokens: {told}.</p>"
    )


def _holds(passage: Passage, gold: Sequence[str]) -> str:
    if not gold:
        return "unknown"
    return "yes" if contains(passage.text, gold) else "no"


def _details(title: str, text: Any) -> str:
    return (
        f"<details><summary>{escape(title)}</summary>"
        f"<pre style='white-space: pre-wrap; max-width: 760px'>{escape(text).replace('<br>', chr(10))}</pre></details>"
    )
