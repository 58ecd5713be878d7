"""Answers: the kit's batches beside LlamaIndex with HuggingFaceLLM, which its users call one question at a time.

    python -m tools.benchmarks.answering --json
    python -m tools.benchmarks.answering --quick

The same work: one loaded model for both, the same prompts, greedy decoding, the same limit of new tokens and the same
stop tokens, the same scoring; both may differ in one right answer, and in float32, which both compute in unless told
otherwise, in one text of twenty. 16-bit rounding changes many texts, and a few right answers with them. Without
context the peer is HuggingFaceLLM's `chat`; with passages it is LlamaIndex's RetrieverQueryEngine over the kit's own
retriever. `ratio` is scoring without context. Single questions are asked one at a time, kit and peer in turn; the
peer's first token is seen by a streamer that notes when each token came.

The limit of one stream is memory: each token reads all weights once, so bandwidth over the weights' bytes is the most
tokens a second that one answer can have; where the kit packs them in 16 bits (`helpers.fast`), these are counted.
Batches read the weights once for several answers and may pass it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from helpers import data, models
from helpers.data import Answer, Question, sample
from helpers.experiment import SHORT_ANSWER, Assistant, metrics
from helpers.models import FoundationModel, prompts

from .measuring import DATASET, WARM_UP, finish, memory_bandwidth, need, options, ratio, repeats_of, take_turns, timed

SETS = ("facts_trained", "facts_heldout", "two_hop")
QUESTIONS, QUICK_QUESTIONS = 200, 24
SINGLE, QUICK_SINGLE = 20, 4
APART = 1  # right answers by which kit and peer may differ
SAME = 0.95  # share of the texts that must be the same in float32


@dataclass(frozen=True)
class Told:
    """A peer's answer to one question: seconds from the question to its first and last token, and its tokens."""

    text: str
    first_token_s: float
    total_s: float
    new_tokens: int


class Clock:
    """A streamer that keeps nothing but the time at which the prompt and each token arrived."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        """Is called with the prompt first, then with each token."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Is called after the last token."""


class Peer:
    """LlamaIndex's HuggingFaceLLM on the kit's model, and its query engine where there is a retriever."""

    def __init__(self, fm: FoundationModel, retriever: Any = None):
        from llama_index.core import ChatPromptTemplate
        from llama_index.core.llms import ChatMessage
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llama_index.llms.huggingface import HuggingFaceLLM

        self.clock = Clock()
        self.llm = HuggingFaceLLM(
            model=fm.model, tokenizer=fm.tokenizer, model_name=fm.name, tokenizer_name=fm.name, is_chat_model=True,
            context_window=fm.context_length, max_new_tokens=SHORT_ANSWER, stopping_ids=sorted(fm.stop_ids),
            generate_kwargs={"do_sample": False, "pad_token_id": fm.tokenizer.pad_token_id, "streamer": self.clock},
        )  # fmt: skip
        self.system = ChatMessage(role="system", content=prompts.SYSTEM)
        self.engine = retriever and RetrieverQueryEngine.from_args(
            retriever.llama_index,
            llm=self.llm,
            text_qa_template=ChatPromptTemplate(
                [self.system, ChatMessage(role="user", content=_expanded("{context_str}", "{query_str}"))]
            ),
        )

    def ask(self, question: Question) -> Told:
        """Answers one question as LlamaIndex's users would."""
        from llama_index.core.llms import ChatMessage

        self.clock.times.clear()
        begun = time.perf_counter()
        if self.engine:
            text = str(self.engine.query(question.prompt))
        else:
            messages = [self.system, ChatMessage(role="user", content=prompts.ask(question))]
            text = str(self.llm.chat(messages).message.content)
        ended = time.perf_counter()
        times = self.clock.times
        return Told(text.strip(), times[1] - begun, ended - begun, len(times) - 1)

    def ask_all(self, questions: Sequence[Question]) -> list[Told]:
        """Answers questions one after the other."""
        return [self.ask(question) for question in questions]


def _expanded(passages: str, question: str) -> str:
    return prompts.EXPANDED.format(passages=passages, question=question)


def right_answers(questions: Sequence[Question], texts: Sequence[str], dataset: data.Dataset) -> int:
    """How many replies are right, by the kit's own scoring."""
    right = 0
    for question, text in zip(questions, texts, strict=True):
        rivals = [v for asset, own in dataset.values_by_asset.items() if asset != question.asset for v in own]
        right += metrics.score(question, Answer(question.id, text, ""), rivals)[0] == 1
    return right


def scoring(kit: Assistant, peer: Peer, questions: Sequence[Question], dataset: data.Dataset, repeats: int) -> dict:
    """Answers a second of both, and whether they agree."""
    sides: dict[str, Callable[[], Any]] = {
        "kit": lambda: timed(lambda: kit.ask_all(questions)),
        "peer": lambda: timed(lambda: peer.ask_all(questions)),
    }
    for ask in (kit.ask_all, peer.ask_all):
        ask(questions[:WARM_UP])
    runs = take_turns(sides, repeats)
    seconds = {name: [spent for spent, _ in made] for name, made in runs.items()}
    texts = {name: [answer.text for answer in made[0][1]] for name, made in runs.items()}
    right = {name: right_answers(questions, told, dataset) for name, told in texts.items()}
    found: dict[str, Any] = ratio(seconds["kit"], seconds["peer"]) | {"questions": len(questions)}
    for name, made in runs.items():
        spent, tokens = median(seconds[name]), sum(answer.new_tokens for answer in made[0][1])
        found[name] = {
            "seconds": spent, "answers_per_s": len(questions) / spent, "right": right[name],
            "new_tokens_per_s": tokens / spent,
        }  # fmt: skip
    found["same_texts"] = sum(a == b for a, b in zip(*texts.values(), strict=True))
    alike = kit.model.dtype != "float32" or found["same_texts"] >= SAME * len(questions)
    return found | {"agree": alike and abs(right["kit"] - right["peer"]) <= APART}


def singles(kit: Assistant, peer: Peer, questions: Sequence[Question]) -> dict[str, Any]:
    """Seconds to the first token and in all, one question at a time, the sides in turn; the first is a warm-up."""
    told: dict[str, list[Any]] = {"kit": [], "peer": []}
    for number, question in enumerate([questions[0], *questions]):
        for name, side in list({"kit": kit, "peer": peer}.items())[:: -1 if number % 2 else 1]:
            answer = side.ask(question)
            if number:
                told[name].append(answer)
    found: dict[str, Any] = ratio([a.total_s for a in told["kit"]], [a.total_s for a in told["peer"]])
    for name, answers in told.items():
        each = [(a.total_s - a.first_token_s) / (a.new_tokens - 1) for a in answers if a.new_tokens > 1]
        found[name] = {
            "first_token_s": median(a.first_token_s for a in answers), "total_s": median(a.total_s for a in answers),
            "per_token_s": median(each) if each else None,
        }  # fmt: skip
    return found | {"share_of_peers_time": found["kit"]["total_s"] / found["peer"]["total_s"]}


def measure(
    fm: FoundationModel, embedder: Any, count: int, single: int, repeats: int, documents: int | None = None
) -> dict[str, Any]:
    """All figures, without and with passages; `documents` bounds the number of those that are indexed."""
    from helpers.data import read_documents
    from helpers.rag import RagSettings, build_index, open_store

    dataset = data.open_dataset(DATASET)
    questions = sample([question for name in SETS for question in dataset.questions(name)], count)
    stored = sum(p.numel() * p.element_size() for p in fm.model.parameters())
    bandwidth, bytes_read = memory_bandwidth(), min(stored, 2 * fm.model.num_parameters()) if fm.fast else stored
    most = bandwidth / bytes_read
    limit = {"what": "bytes read a second over the weights' bytes", "bytes_per_s": bandwidth, "weights": bytes_read}
    record: dict[str, Any] = {"limit": limit | {"tokens_per_s": most}}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        papers = read_documents(dataset.documents_folder)[:documents]
        index, _ = build_index(papers, open_store(folder), embedder, RagSettings(), progress=False)
        for name, retriever in (("without_context", None), ("with_passages", index.retriever())):
            kit, peer = Assistant(fm, retriever=retriever), Peer(fm, retriever)
            print(name, flush=True)
            found = scoring(kit, peer, questions, dataset, repeats)
            found["single"] = singles(kit, peer, questions[:single])
            for side in ("kit", "peer"):
                found[side]["share_of_limit"] = found[side]["new_tokens_per_s"] / most
                per_token = found["single"][side]["per_token_s"]
                found["single"][side]["share_of_limit"] = per_token and 1 / per_token / most
            record[name] = found
    plain = record["without_context"]
    shown = {name: plain[name] for name in ("ratio", "ratio_low", "ratio_high")}
    agree = plain["agree"] and record["with_passages"]["agree"]
    return shown | {"agree": agree, "dtype": fm.dtype} | record


def main() -> int:
    """Measures and prints the figures."""
    parser = options(__doc__)
    parser.add_argument("--questions", type=int, help=f"questions that are scored ({QUESTIONS})")
    parser.add_argument("--single", type=int, help=f"questions that are timed alone ({SINGLE})")
    arguments = parser.parse_args()
    need("llama_index.llms.huggingface")
    count = arguments.questions or (QUICK_QUESTIONS if arguments.quick else QUESTIONS)
    single = arguments.single or (QUICK_SINGLE if arguments.quick else SINGLE)
    dtype = arguments.dtype or "float32"
    fm = models.load_model(arguments.model, dtype=dtype)
    record = measure(fm, models.load_embedder(dtype=dtype), count, single, repeats_of(arguments))
    return finish("answering", record, arguments)


if __name__ == "__main__":
    sys.exit(main())
