"""The data card: what is in a world, counted from the files themselves."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping

from .world import CHANGING, NEW_IN, ROUNDS, World

# Measured with SmolLM2's tokenizer on the default world; a test compares.
TOKENS_A_WORD = 1.45
ASKS = {
    "facts_heldout": "a value of a machine that no labelled pair names",
    "facts_trained": "a value that some labelled pair states",
    "general": "common knowledge, as in `datasets/general`",
    "terms": "the meaning of a house word in a chat, one of four",
    "terms_completion": "the meaning of a house word as a sentence to complete, one of four",
    "terms_free": "the meaning of a house word in free words",
    "terms_unread": "which word fits a sentence that nobody trained on, one of four",
    "triage": "the JSON record of an incident report",
    "twins": "a value that a document states, and one that none does, in the same words",
    "two_hop": "a value whose page does not hold the clue in the question",
    "updates": "facts after the rounds of updates",
}


def card(world: World, restatements: int, files: Mapping[str, str]) -> str:
    """Writes the data card of a world.

    Args:
        world: The table of facts.
        restatements: In how many notes each fact is stated.
        files: Texts by path within the folder.

    Returns:
        Markdown; every number in it is counted.
    """
    parts = [_origin(world, restatements), _documents(files), _corpus(files), _instructions(files), _questions(files)]
    return "\n\n".join([*parts, _facts(files), _limits(), _sums(files)]) + "\n"


def corpus_words(text: str) -> int:
    """How many words the notes of a corpus file have together."""
    return sum(len(json.loads(line)["text"].split()) for line in text.splitlines())


def folder_sum(files: Mapping[str, str], folder: str) -> str:
    """SHA-256 over the sorted names and checksums of the files in a folder, as `sha256sum` would list them."""
    total = hashlib.sha256()
    for name in sorted(name for name in files if name.startswith(f"{folder}/")):
        total.update(f"{hashlib.sha256(files[name].encode()).hexdigest()}  {name}\n".encode())
    return total.hexdigest()


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def _origin(world: World, restatements: int) -> str:
    splits = Counter(asset.split for asset in world.assets)
    command = f"python -m tools.world --seed {world.seed} --assets {world.size} --restatements {restatements}"
    changed = Counter(fact for changes in world.rounds for fact in changes)
    twice = sum(times > 1 for times in changed.values())
    return f"""# Tidewater: data card

This file is generated with the data; every count in it was taken from the files.

Tidewater is an invented operator of tidal-power machines. Every machine, place, person and house word is
invented, so a model can know them only from this repository. A program filled hand-written templates from one table of
facts:

    {command} --out FOLDER

The same command gives the same bytes on every platform. Names and numbers are drawn at random; anyone who shares a
name with one of the invented people does so by chance.

- Licence: CC-BY-4.0. Language: English. No personal data.
- Machines: {len(world.assets)}. {splits["trained"]} are `trained` and {splits["heldout"]} are `heldout` (together
  the {world.size} of the command); no labelled pair names a held-out one. {splits["check"]} more of the split `check`
  serve to choose when a training stops.
- Updates: {ROUNDS} rounds change {", ".join(CHANGING)} ({len(changed)} facts, {twice} of them twice).
  Round {NEW_IN} adds a machine, and the last one withdraws a policy.
- Use it to compare retrieval with fine-tuning. It says nothing about real tidal power."""


def _documents(files: Mapping[str, str]) -> str:
    kinds: dict[str, list[int]] = {}
    for name, text in files.items():
        if name.startswith("documents/"):
            kind = text.split("\ntype: ")[1].split("\n")[0]
            kinds.setdefault(kind, []).append(len(text.split("---\n", 2)[2].split()))
    rows = [(kind, len(sizes), f"{min(sizes)} to {max(sizes)}") for kind, sizes in sorted(kinds.items())]
    rows.append(("all", sum(row[1] for row in rows), sum(sum(sizes) for sizes in kinds.values())))
    revised = [sum(name.startswith(f"updates/{n}/documents/") for name in files) for n in range(1, ROUNDS + 1)]
    return f"""## Documents

`documents/*.md`: Markdown under front matter (id, title, type, revision, date).

{_table(("type", "documents", "words each, or in all"), rows)}

`updates/1` to `updates/{ROUNDS}`: one folder a round, each on top of the last, with revised and new documents
({", ".join(map(str, revised))}), `facts.csv` as it is after the round, and the ids of withdrawn documents in
`withdrawn.txt`. `updates/withdrawn.jsonl` holds the question that only the withdrawn document answers.
`other_documents/`: as many documents of another world, the control of the arm `rag:wrong_papers`."""


def _corpus(files: Mapping[str, str]) -> str:
    rows = []
    for part in ("train", "validation"):
        text = files[f"corpus/{part}.jsonl"]
        words = corpus_words(text)
        tokens = round(words * TOKENS_A_WORD, -2)
        rows.append((part, len(_rows(text)), words, f"{tokens:.0f}"))
    genres = Counter(row["genre"] for row in _rows(files["corpus/train.jsonl"]))
    listed = ", ".join(f"{genre} {count}" for genre, count in sorted(genres.items()))
    return f"""## Corpus

`corpus/*.jsonl` (id, genre, text): unlabelled notes. Those on machines say in other words what the documents state, two
or three facts a note; the others use the house words. The two parts share no text. A word is about {TOKENS_A_WORD}
tokens of SmolLM2's tokenizer.

{_table(("part", "notes", "words", "tokens, about"), rows)}

Genres of the training part: {listed}."""


def _instructions(files: Mapping[str, str]) -> str:
    rows = [
        (name.split("/")[1].split(".")[0], name.split(".")[1], len(_rows(text)))
        for name, text in files.items()
        if name.startswith("instructions/") and name.count(".") == 2
    ]
    return f"""## Instructions

`instructions/TASK.PART.jsonl` (id, task, prompt, response, asset). `answers`: a question and its short answer, on
trained machines and on the house words that `glossary.csv` marks as named. `triage`: a report and its JSON by the rules
in `documents/triage-rules.md`.

{_table(("task", "part", "pairs"), rows)}

`instructions/checks.jsonl`: {len(_rows(files["instructions/checks.jsonl"]))} questions on facts and words outside every
question set, which choose when a training stops."""


def _questions(files: Mapping[str, str]) -> str:
    rows = []
    for name, text in files.items():
        if name.startswith("questions/"):
            asked = _rows(text)
            parts = Counter(row.get("part", "") for row in asked)
            listed = ", ".join(f"{part} {count}" for part, count in sorted(parts.items()) if part)
            wordings = len({row["wording"] for row in asked if "wording" in row})
            name = name.split("/")[1].removesuffix(".jsonl")
            rows.append((name, ASKS[name], len(asked), wordings or "-", listed or "-"))
    return f"""## Questions

`questions/SET.jsonl` (id, set, prompt, answers with the canonical one first, ids of the documents that hold the answer,
and where they apply choices, asset, field, part, wording, and as `bridge` the documents that name the machine).

{_table(("set", "asks", "questions", "wordings", "parts"), rows)}"""


def _facts(files: Mapping[str, str]) -> str:
    rows = list(csv.DictReader(io.StringIO(files["facts.csv"])))
    fields = dict.fromkeys(row["field"] for row in rows)
    table = []
    for field in fields:
        own = [row for row in rows if row["field"] == field]
        often = Counter(row["value"] for row in own).most_common(1)[0][1] / len(own)
        held = Counter(len(row["documents"].split(";")) for row in own)
        table.append((field, own[0]["value"], f"{often:.3f}", min(held), max(held)))
    return f"""## Facts

`facts.csv` (asset, field, value, split, documents): {len(rows)} facts before the updates. `kinds.csv` (field, pattern):
what the right kind of answer looks like. `glossary.csv` (term, kind, meaning, named):
{len(files["glossary.csv"].splitlines()) - 1} house words.

{
        _table(
            ("field", "an example", "share of the most frequent value", "fewest documents", "most"),
            table,
        )
    }"""


def _limits() -> str:
    return """## Limits

- The texts come from templates: two machines are described in the same words where their templates agree. Real papers
  vary more, contradict each other and leave things out.
- A fact has one value at a time. Units, dates and spellings never disagree, except between a document and its revision.
- The questions ask for short values. They do not measure long answers, summaries or advice.
- Wordings of questions and of the sentences that state a fact were tried with SmolLM2-135M-Instruct reading the right
  passage, on worlds 13 and 14 (other seeds, on which nothing is reported); those that it hardly ever understood were
  replaced. That favours retrieval.
- Beyond the default size several machines share some numbers (years, intervals, channels)."""


def _sums(files: Mapping[str, str]) -> str:
    folders = sorted({name.split("/")[0] for name in files if "/" in name})
    rows = [(f"`{folder}/`", folder_sum(files, folder)) for folder in folders]
    rows += [(f"`{name}`", hashlib.sha256(files[name].encode()).hexdigest()) for name in files if "/" not in name]
    return f"""## Checksums

SHA-256; that of a folder is taken over the list that `sha256sum` prints for its sorted files. `world.json` has one for
each file.

{_table(("what", "sha256"), rows)}"""
