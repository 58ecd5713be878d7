"""A second retrieval: a question that describes a thing is asked again with the name that the first passage gives it.

"How often is the machine under Ida Reed inspected?" shares no name with the page that says so. A page that speaks of
Ida Reed names her machine, Brackwell, and "How often is Brackwell inspected?" finds the other one. Nothing is read
here but the question, the passages and titles of the index; such multi-hop retrieval is that of Trivedi et al. 2023,
arXiv:2212.10509, without a model that reasons in between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llama_index.core.schema import MetadataMode

from ..data import Passage
from .retriever import Index

KEY = r"(?:[A-Z][\w-]*|[\w-]*\d[\w-]*)(?: (?:[A-Z][\w-]*|[\w-]*\d[\w-]*))*"  # a name or a number, as it is written
DESCRIPTION = re.compile(  # the last "the THING ..." of a question, up to its key and the verb that belongs to it
    rf"(?P<before>.*?)\b{KEY}['’]s [a-z]+"  # Ida Reed's machine
    r"|(?P<start>.*)\b[Tt]he (?:[a-z-]+ ){1,2}(?:"
    rf"(?:that|which|who|whom) {KEY} [a-z]+"  # the machine that Ida Reed supervises
    rf"|(?:[a-z]+ )?(?:which|whom|whose) (?:[a-z]+ )*{KEY} (?:is|was|are|were) [a-z]+"  # for which part P-1 is kept
    rf"|(?:that|which|who|whose|under|at|in|by|with|from|on|near|of|[a-z]+ed|[a-z]+ing)\b[^?.,]* {KEY}"
    rf"|(?:under|at|in|by|with|from|on|near|of) {KEY})"
)
NAME = re.compile(r"\b[A-Z][\w-]+")
PASSAGES = 10  # of the first search, of which the best one that holds the key of the question is read


class TwoStep:
    """Puts what the first passages name into questions; `rewrite` of an index's questions before they are retrieved."""

    def __init__(self, index: Index) -> None:
        texts = [node.get_content(metadata_mode=MetadataMode.LLM) for node in index.nodes]
        common = {word for text in texts for word in re.findall(r"\b[a-z][\w'’-]*", text)}
        titles = " ".join(str(node.metadata.get("title", "")) for node in index.nodes)
        self.names = {name for name in NAME.findall(titles) if name.lower() not in common}  # never in small letters
        self.retriever = index.retriever(min(PASSAGES, len(index.nodes)))

    def rewrite(self, questions: Sequence[str]) -> list[str]:
        """The questions, each with the name of what it describes; as it is where it describes nothing by a key."""
        found = self.retriever.retrieve_all(questions)
        return [self._rewritten(*each) for each in zip(questions, found, strict=True)]

    def _rewritten(self, question: str, passages: Sequence[Passage]) -> str:
        described = DESCRIPTION.match(question)
        keys = [key for key in re.findall(KEY, question) if not question.startswith(key)]
        if not described or not keys or self.names & set(NAME.findall(question)):
            return question
        name = next(filter(None, (self._nearest(passage.text, keys[-1]) for passage in passages)), None)
        before = described["before"] or described["start"] or ""
        return question if name is None else f"{before}{name}{question[described.end() :]}"

    def _nearest(self, text: str, key: str) -> str | None:
        """The name that is nearest to the key: in its sentence or line, else in the text; None where the key is not."""
        lines = [line for line in re.split(r"(?<=[.!?])\s+|\n+", text) if key in line]
        for part in [*lines, *[text] * bool(lines)]:
            if named := [match for match in NAME.finditer(part) if match[0] in self.names]:
                return min(named, key=lambda match: abs(match.start() - part.index(key)))[0]
        return None
