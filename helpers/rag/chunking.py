"""Cut documents into chunks with LlamaIndex's parsers, and give each chunk the heading that says what it is about.

A small model that reads one chunk must know which machine it speaks of, and so must the embedding. So each chunk
carries a heading: the document's title, and the Markdown section that it was cut from.
"""

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
    sections = MarkdownNodeParser(include_prev_next_rel=False, header_path_separator=SEPARATOR)
    size, overlap = settings.chunk_size, settings.chunk_overlap
    splitter = Splitter(chunk_size=size, chunk_overlap=overlap, tokenizer=count, include_prev_next_rel=False)
    return [sections, SectionHeadings(count=count), splitter, NameChunks(count=count), embed_model]


def _marked(document: Document) -> str:
    """A document's text with a mark before each # that begins a line and no heading: in code, or in no Markdown."""
    lines, headings = document.text.split("\n"), set()
    if document.type not in PLAIN_TYPES:
        headings = {token.map[0] for token in MarkdownIt().parse(document.text) if token.type == "heading_open"}
    return "\n".join(NO_HEADING * (line[:1] == "#" and n not in headings) + line for n, line in enumerate(lines))


def to_llama_index(document: Document) -> LlamaDocument:
    """A document as LlamaIndex's own class; its metadata serve as filters and are not part of the text."""
    fields = {name: getattr(document, name) for name in ("title", "type", "revision", "date")}
    return LlamaDocument(
        id_=document.id, text=_marked(document), metadata={"document_id": document.id} | fields,
        excluded_embed_metadata_keys=[*HIDDEN, "heading"], excluded_llm_metadata_keys=[*HIDDEN, "heading"],
        metadata_template="{value}", text_template="{metadata_str}\n{content}",
    )  # fmt: skip


class Splitter(SentenceSplitter):
    """LlamaIndex's splitter, which cuts a long table between its rows and repeats its head."""

    def _split_text(self, text: str, chunk_size: int) -> list[str]:
        split, size, chunks, start = super()._split_text, self._token_size, [], 0
        for table in TABLE.finditer(text) if size(text) > chunk_size else ():
            chunks += split(text[start : table.start()], chunk_size)
            start, (head, rows), room = table.end(), table.groups(), chunk_size - size(table[1])
            if room < chunk_size // 3:  # a head that leaves no room for rows
                chunks += split(table[0], chunk_size)
                continue
            chunks.append(head)
            for row in (part for line in rows.splitlines() for part in split(line, room)):
                fits = chunks[-1] == head or size(f"{chunks[-1]}\n{row}") <= chunk_size
                chunks.append((chunks.pop().rstrip() if fits else head.rstrip()) + f"\n{row}")
        chunks += split(text[start:], chunk_size)
        too_long = any(size(chunk) > self.chunk_size for chunk in chunks)  # more tokens together than one by one
        return self._split_text(text, chunk_size - 8) if too_long else [chunk.strip() for chunk in chunks]


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
            named = following and own and not body and own in following.metadata["header_path"].split(SEPARATOR)
            if named and self._fits(self._read(following)[2]):
                continue
            if body and own and not self._fits(heading):
                body = f"{own}\n\n{body}"
            waiting = f"{waiting}\n\n{body or own}".strip()
            if following and (not body or (not own and len(waiting.split()) < FEW_WORDS)):
                continue
            section.set_content(waiting.replace(NO_HEADING, ""))
            kept.append(section)
            waiting = ""
        return kept

    def _fits(self, heading: str) -> bool:
        return len(self.count(heading)) <= HEADING_TOKENS

    def _read(self, section: BaseNode) -> tuple[str, str, str]:
        """A section's own heading, its text without it, and its heading below the title and the upper ones."""
        text = section.get_content().strip()
        found = re.match(r"#+[ \t]+(.*)", text)
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
