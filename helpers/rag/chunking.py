"""Cut documents into chunks: LlamaIndex's parsers in a row, each chunk with the heading that says what it is about.

A small model that reads three chunks must know which of them speaks of its asset, and so must the embedding. So a
chunk carries a heading: the document's title, and the Markdown section that it was cut from.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter
from llama_index.core.schema import BaseNode, TransformComponent
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.utils import get_tokenizer

from ..data import Document, KitError

MODES = ("vector", "bm25", "hybrid")
HEADINGS = ("none", "title", "section")
FEW_WORDS = 8  # fewer do not make a section
HEADING_TOKENS = 32
SPECIAL_TOKENS = 2
METADATA = ("document_id", "title", "type", "revision", "date", "heading", "header_path", "chunks")


@dataclass(frozen=True)
class RagSettings:
    """How documents are cut and how passages are found.

    `chunk_size` and `chunk_overlap` are tokens of the embedder's tokenizer and count a chunk's text alone; its heading
    (at most 32 tokens) comes on top. `heading` is what stands in front of each chunk, both for the embedder and for the
    model: nothing, the document's title, or the title and the Markdown section. With "section", no chunk reaches over
    the border of two sections. `k` is the number of passages; `mode` is how they are found: by the embeddings'
    similarity, by words (BM25), or by both rankings fused.
    """

    chunk_size: int = 128
    chunk_overlap: int = 16
    k: int = 1
    mode: str = "hybrid"
    heading: str = "section"

    def __post_init__(self) -> None:
        if self.chunk_size < 50:
            raise KitError(f"`chunk_size` must be at least 50 tokens: less is hardly a sentence. Got {self.chunk_size}")
        if not 0 <= self.chunk_overlap <= self.chunk_size // 2:
            raise KitError(
                f"`chunk_overlap` must be between 0 and {self.chunk_size // 2}, half of `chunk_size`. "
                f"Got {self.chunk_overlap}"
            )
        if self.k < 1:
            raise KitError(f"`k` must be at least 1. Got {self.k}")
        if self.mode not in MODES:
            raise KitError(f"`mode` must be one of {', '.join(MODES)}. Got {self.mode!r}")
        if self.heading not in HEADINGS:
            raise KitError(f"`heading` must be one of {', '.join(HEADINGS)}. Got {self.heading!r}")

    def check_against(self, embed_model: BaseEmbedding) -> None:
        """Refuses chunks whose end the embedder would never read.

        Raises:
            KitError: text, heading and special tokens together are more than the embedder reads.
        """
        limit = getattr(embed_model, "max_length", None)
        heading = 0 if self.heading == "none" else HEADING_TOKENS
        if limit and self.chunk_size + heading + SPECIAL_TOKENS > limit:
            raise KitError(
                f"`chunk_size` must be at most {limit - heading - SPECIAL_TOKENS} here, because the embedder reads "
                f"{limit} tokens and ignores the rest; the heading takes up to {heading}. Got {self.chunk_size}"
            )


def token_counter(embed_model: BaseEmbedding) -> Callable[[str], list[Any]]:
    """The tokenizer that chunk sizes are counted with: the embedder's own, else LlamaIndex's default.

    A run of more than a hundred characters without a space (encoded data, say) is a single unknown token to MiniLM.
    It is counted by its length here, so that it cannot make a chunk of any size.
    """
    tokenizer = getattr(getattr(embed_model, "_model", None), "tokenizer", None)
    tokenize = partial(tokenizer.tokenize, verbose=False) if tokenizer is not None else get_tokenizer()

    def count(text: str) -> list[Any]:
        tokens = list(tokenize(text))
        return tokens + [None] * (len(text) // 12 - len(tokens))

    return count


def transformations(settings: RagSettings, embed_model: BaseEmbedding) -> list[TransformComponent]:
    """The steps from a document to its embedded chunks, for LlamaIndex's IngestionPipeline.

    Args:
        settings: sizes and the kind of heading.
        embed_model: embeds each chunk, heading included.

    Returns:
        The parsers, the naming of chunks, and the embedder itself, in the order in which they run.
    """
    settings.check_against(embed_model)
    count = token_counter(embed_model)
    by_section = [MarkdownNodeParser(include_prev_next_rel=False, header_path_separator=" > "), SectionHeadings()]
    return [
        *(by_section if settings.heading == "section" else []),
        SentenceSplitter(
            chunk_size=settings.chunk_size,
            chunk_overlap=settings.chunk_overlap,
            tokenizer=count,
            include_prev_next_rel=False,
        ),
        NameChunks(with_heading=settings.heading != "none", count=count),
        embed_model,
    ]


def to_llama_index(document: Document) -> LlamaDocument:
    """A document as LlamaIndex's own class; its metadata serve as filters and are not part of the text."""
    return LlamaDocument(
        id_=document.id,
        text=document.text,
        metadata={
            "document_id": document.id,
            "title": document.title,
            "type": document.type,
            "revision": document.revision,
            "date": document.date,
        },
        excluded_embed_metadata_keys=list(METADATA),
        excluded_llm_metadata_keys=list(METADATA),
        metadata_template="{value}",
        text_template="{metadata_str}\n{content}",
    )


class SectionHeadings(TransformComponent):
    """Moves a Markdown section's own heading line from its text into its metadata, behind the document's title.

    A section of fewer than `FEW_WORDS` words, such as a line above the first heading, says too little to be found for
    what it is, and looks like an answer to everything: it joins the section after it, heading and all.
    """

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """Sections in, sections with text out; a document of headings alone keeps them as its text."""
        by_document: dict[str | None, list[BaseNode]] = {}
        for node in nodes:
            by_document.setdefault(node.ref_doc_id, []).append(node)
        return [node for sections in by_document.values() for node in self._of_document(sections)]

    def _of_document(self, nodes: Sequence[BaseNode]) -> list[BaseNode]:
        kept: list[BaseNode] = []
        short, last = "", None
        for node, following in zip_longest(nodes, nodes[1:]):
            own, body = _split_heading(node.get_content())
            above = _above(node)
            title = node.metadata["title"]
            parts = [title, *(part for part in [*above, own] if part and part != title)]
            node.metadata["heading"] = " > ".join(parts)
            if not body:
                if own and (following is None or own not in _above(following)):  # no section below it will name it
                    short = f"{short}\n\n{own}".strip()
                continue
            text, last = f"{short}\n\n{body}".strip(), node
            if len(text.split()) < FEW_WORDS:
                short = f"{short}\n\n{own}\n{body}".strip()
                continue
            node.set_content(text)
            kept.append(node)
            short = ""
        if short and kept:
            kept[-1].set_content(f"{kept[-1].get_content()}\n\n{short}")
        elif short and last is not None:
            last.set_content(short)
            kept.append(last)
        return kept or list(nodes)


def _above(node: BaseNode) -> list[str]:
    """The headings that a section stands under."""
    return [part for part in node.metadata["header_path"].split(" > ") if part]


class NameChunks(TransformComponent):
    """Gives each chunk its heading and a stable id: the hash of document id, place in the document, and text.

    It also notes of how many chunks the document is made, so that a half-written document is seen as such.
    """

    with_heading: bool
    count: Callable[[str], list[Any]]

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """Chunks in, the same chunks named out."""
        total = Counter(node.ref_doc_id for node in nodes)
        place: Counter[str | None] = Counter()
        for node in nodes:
            heading = node.metadata.pop("heading", node.metadata["title"])
            node.metadata.pop("header_path", None)
            node.metadata["chunks"] = total[node.ref_doc_id]
            if self.with_heading:
                node.metadata["heading"] = self._shorten(heading)
                node.excluded_embed_metadata_keys = [key for key in METADATA if key != "heading"]
                node.excluded_llm_metadata_keys = [key for key in METADATA if key != "heading"]
            identity = (
                f"{node.ref_doc_id}\n{place[node.ref_doc_id]}\n{node.metadata.get('heading', '')}\n{node.get_content()}"
            )
            node.id_ = hashlib.sha256(identity.encode("utf-8")).hexdigest()[:32]
            place[node.ref_doc_id] += 1
        return list(nodes)

    def _shorten(self, heading: str) -> str:
        words = heading.split()
        while len(words) > 1 and len(self.count(" ".join(words))) > HEADING_TOKENS:
            words.pop()
        return " ".join(words)


def _split_heading(section: str) -> tuple[str, str]:
    """A Markdown section's own heading (empty where it has none) and the text under it."""
    first, _, rest = section.strip().partition("\n")
    marks, _, words = first.partition(" ")
    if marks and not marks.strip("#") and words.strip():
        return words.strip(), rest.strip()
    return "", section.strip()
