"""Cut documents into chunks with LlamaIndex's parsers, and give each chunk the heading that says what it is about.

A small model that reads one chunk must know which machine it speaks of, and so must the embedding. So each chunk
carries a heading: the document's title, and the Markdown section that it was cut from.
"""

from __future__ import annotations

import hashlib
import re
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
from markdown_it import MarkdownIt

from ..data import PLAIN_TYPES, Document, KitError

MODES = ("vector", "bm25", "hybrid")
CHUNKS_DEPEND_ON = ("chunk_size", "chunk_overlap")  # settings by which one index differs from another
FEW_WORDS = 8  # text above the first heading with fewer words is not a section of its own
HEADING_TOKENS, SPECIAL_TOKENS = 32, 2
HIDDEN = ["document_id", "title", "type", "revision", "date", "header_path", "chunks"]  # metadata beside the text
SEPARATOR = " > "
NO_HEADING = "\ufdd1"  # before a # that makes none; no text holds this noncharacter of Unicode
TABLE = re.compile(  # its head, and its rows
    r"^(.*\|.*\n[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)+\n)((?:.*\|.*(?:\n|$))+)", re.MULTILINE
)


@dataclass(frozen=True)
class RagSettings:
    """How documents are cut and how passages are found; a setting that changes chunks belongs in `CHUNKS_DEPEND_ON`.

    Attributes:
        chunk_size: The longest chunk, in tokens of the embedder; its heading (at most 32 tokens) is not counted.
        chunk_overlap: How many tokens two neighbouring chunks of a section may share.
        k: The number of passages that are retrieved.
        mode: How they are found: by the embeddings' similarity, by words (BM25), or by both rankings fused.
    """

    chunk_size: int = 128
    chunk_overlap: int = 16
    k: int = 1
    mode: str = "hybrid"

    def __post_init__(self) -> None:
        half = self.chunk_size // 2
        for name, holds, rule in (
            ("chunk_size", self.chunk_size >= 50, "at least 50 tokens: less is hardly a sentence"),
            ("chunk_overlap", 0 <= self.chunk_overlap <= half, f"between 0 and {half}, half of `chunk_size`"),
            ("k", self.k >= 1, "at least 1"),
            ("mode", self.mode in MODES, f"one of {', '.join(MODES)}"),
        ):
            if not holds:
                raise KitError(f"`{name}` must be {rule}. Got {getattr(self, name)!r}")


def token_counter(embed_model: BaseEmbedding) -> Callable[[str], list[Any]]:
    """The tokenizer that chunk sizes are counted with: the embedder's own, else LlamaIndex's default.

    To MiniLM a run of more than a hundred characters without a space (encoded data, say) is a single unknown token.
    Here every twelve characters count as one token at least, so that no chunk can grow without limit.
    """
    tokenizer = getattr(getattr(embed_model, "_model", None), "tokenizer", None)
    tokenize = get_tokenizer() if tokenizer is None else partial(tokenizer.tokenize, verbose=False)

    def count(text: str) -> list[Any]:
        tokens = list(tokenize(text))
        return tokens + [None] * (len(text) // 12 - len(tokens))

    return count


def transformations(settings: RagSettings, embed_model: BaseEmbedding) -> list[TransformComponent]:
    """The steps from a document to its embedded chunks, for LlamaIndex's IngestionPipeline; the embedder comes last.

    A `KitError` says that chunk, heading and special tokens together are more than the embedder reads.
    """
    read = getattr(embed_model, "max_length", None)
    if read and settings.chunk_size > read - HEADING_TOKENS - SPECIAL_TOKENS:
        raise KitError(
            f"`chunk_size` must be at most {read - HEADING_TOKENS - SPECIAL_TOKENS} here, because the embedder reads "
            f"{read} tokens and ignores the rest; the heading takes up to {HEADING_TOKENS}. Got {settings.chunk_size}"
        )
    count = token_counter(embed_model)
    sections = Sections(include_prev_next_rel=False, header_path_separator=SEPARATOR)
    size, overlap = settings.chunk_size, settings.chunk_overlap
    splitter = Splitter(chunk_size=size, chunk_overlap=overlap, tokenizer=count, include_prev_next_rel=False)
    return [sections, SectionHeadings(count=count), splitter, NameChunks(count=count), embed_model]


def to_llama_index(document: Document) -> LlamaDocument:
    """A document as LlamaIndex's own class; its metadata serve as filters and are not part of the text."""
    fields = {name: getattr(document, name) for name in ("title", "type", "revision", "date")}
    return LlamaDocument(
        id_=document.id, text=document.text, metadata={"document_id": document.id} | fields,
        excluded_embed_metadata_keys=[*HIDDEN, "heading"], excluded_llm_metadata_keys=[*HIDDEN, "heading"],
        metadata_template="{value}", text_template="{metadata_str}\n{content}",
    )  # fmt: skip


class Sections(MarkdownNodeParser):
    """LlamaIndex's parser of Markdown, for headings alone: neither lines of code nor a text that is not Markdown."""

    def get_nodes_from_node(self, node: BaseNode) -> list[BaseNode]:
        """The sections of a document."""
        text = node.get_content()
        headings = set()
        if node.metadata["type"] not in PLAIN_TYPES:
            headings = {token.map[0] for token in MarkdownIt().parse(text) if token.type == "heading_open"}
        lines = enumerate(text.split("\n"))
        marked = [NO_HEADING * (line[:1] == "#" and number not in headings) + line for number, line in lines]
        node.set_content("\n".join(marked))
        sections = super().get_nodes_from_node(node)
        for each in [node, *sections]:
            each.set_content(each.get_content().replace(NO_HEADING, ""))
        return sections


class Splitter(SentenceSplitter):
    """LlamaIndex's splitter, which cuts a long table between its rows and repeats its head; no chunk is too long."""

    def _split_text(self, text: str, chunk_size: int) -> list[str]:
        split, chunks, start = super()._split_text, [], 0
        for table in TABLE.finditer(text) if self._token_size(text) > chunk_size else ():
            chunks += split(text[start : table.start()], chunk_size)
            room = chunk_size - self._token_size(table[1])
            if room < chunk_size // 3:  # a head that leaves no room for rows
                chunks += split(table[0], chunk_size)
            else:
                rows = [part for row in table[2].splitlines() for part in split(row, room)]
                chunks += self._with_head(table[1], rows)
            start = table.end()
        chunks += split(text[start:], chunk_size)
        return [part.strip() for chunk in chunks for part in self._halved(chunk, chunk_size) if part.strip()]

    def _with_head(self, head: str, rows: list[str]) -> list[str]:
        chunks = [head + rows[0]]
        for row in rows[1:]:
            if self._token_size(f"{chunks[-1]}\n{row}") <= self.chunk_size:
                chunks[-1] += f"\n{row}"
            else:
                chunks.append(head + row)
        return chunks

    def _halved(self, chunk: str, chunk_size: int) -> list[str]:
        """A chunk, in parts where it counts more tokens than its sentences did."""
        if self._token_size(chunk) <= chunk_size or len(chunk) < 2:
            return [chunk]
        middle = len(chunk) // 2
        space = chunk.rfind(" ", 1, middle) + 1 or middle
        return [part for half in (chunk[:space], chunk[space:]) for part in self._halved(half, chunk_size)]


class SectionHeadings(TransformComponent):
    """Moves the heading of each Markdown section from its text into its metadata, after the title and upper headings.

    A heading without text below it, and a few words above the first heading, say too little to be found for what
    they are, and look like an answer to everything. They join the next section, unless it names them anyway.
    """

    count: Callable[[str], list[Any]]

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        kept, waiting = [], ""
        for section, following in zip_longest(nodes, nodes[1:]):
            if following and following.ref_doc_id != section.ref_doc_id:
                following = None  # of another document
            own, body, heading = self._read(section)
            section.metadata["heading"] = heading
            if following and own and not body and own in following.metadata["header_path"].split(SEPARATOR):
                if self._fits(self._read(following)[2]):
                    continue
            if body and own and not self._fits(heading):
                body = f"{own}\n\n{body}"
            waiting = f"{waiting}\n\n{body or own}".strip()
            if following and (not body or (not own and len(waiting.split()) < FEW_WORDS)):
                continue
            section.set_content(waiting)
            kept.append(section)
            waiting = ""
        return kept

    def _fits(self, heading: str) -> bool:
        return len(self.count(heading)) <= HEADING_TOKENS

    def _read(self, section: BaseNode) -> tuple[str, str, str]:
        """A section's own heading, its text without it, and its heading below the title and the upper ones."""
        text = section.get_content().strip()
        found = re.match(r"#+[ \t]+(.*)", text) if section.metadata["type"] not in PLAIN_TYPES else None
        own, body = (found[1].strip(), text[found.end() :].strip()) if found else ("", text)
        path = [section.metadata["title"], *section.metadata["header_path"].split(SEPARATOR), own]
        return own, body, SEPARATOR.join(dict.fromkeys(filter(None, path)))


class NameChunks(TransformComponent):
    """Cuts each chunk's heading to its limit, gives the chunk a stable id, and counts the chunks of its document.

    The id is a hash of document id, position, heading and text. The number shows what was written only in part.
    """

    count: Callable[[str], list[Any]]

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        total = Counter(node.ref_doc_id for node in nodes)
        position: Counter[str | None] = Counter()
        for node in nodes:
            words = node.metadata.pop("heading").split()[:HEADING_TOKENS]
            while len(words) > 1 and len(self.count(" ".join(words))) > HEADING_TOKENS:
                words.pop()
            heading = " ".join(words)
            node.metadata.pop("header_path", None)
            node.metadata |= {"chunks": total[node.ref_doc_id]} | ({"heading": heading} if heading else {})
            node.excluded_embed_metadata_keys = node.excluded_llm_metadata_keys = HIDDEN
            content = f"{node.ref_doc_id}\n{position[node.ref_doc_id]}\n{heading}\n{node.get_content()}"
            node.id_ = hashlib.sha256(content.encode("utf-8")).hexdigest()[:32]
            position[node.ref_doc_id] += 1
        return list(nodes)
