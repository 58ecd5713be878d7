"""`retrieval_explorer`: the passages that a question finds, on a map of all chunks and in a table."""

import re
from itertools import cycle

import ipywidgets
import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from ... import plots
from ...data import KitError, Question, contains
from ...models import FoundationModel, prompts
from ...rag import MODES, Index, embed_questions
from .frame import Panel, escape, labelled, number, table


def retrieval_explorer(index: Index, question: Question, fm: FoundationModel | None = None) -> Panel:
    """Type a question and see which passages are found in the index, and where they lie among all chunks.

    It begins with `question`, and points out the passages that hold its answer; with `fm` it shows the whole prompt.
    """
    stored = index.store.client.get(include=["embeddings"])
    by_id = dict(zip(stored["ids"], stored["embeddings"], strict=True))
    vectors = normalize([by_id[node.node_id] for node in index.nodes])
    components = PCA(2).fit(vectors)
    points, share = components.transform(vectors), components.explained_variance_ratio_.sum()
    kinds = [str(node.metadata.get("type", "document")) for node in index.nodes]
    places = {node.node_id: place for place, node in enumerate(index.nodes)}

    def draw(question_text: str, found: list[int]) -> str:
        asked = components.transform(normalize(embed_questions(index.embed_model, [question_text])))
        ax = plots.new_axes(None, 7.8, 4.0)
        for kind, marker, colour in zip(sorted(set(kinds)), cycle("osD^"), cycle(plots.OKABE_ITO), strict=False):
            ax.scatter(*points[np.array(kinds) == kind].T, s=20, marker=marker, color=colour, label=kind)
        ax.scatter(*points[found].T, s=120, facecolors="none", edgecolors="black", label="found")
        ax.scatter(*asked.T, s=180, marker="*", color="black", label="question")
        ax.set(xticks=[], yticks=[])
        ax.legend(frameon=False, ncols=6, loc="upper center", bbox_to_anchor=(0.5, 0))
        note = f"Two dimensions of {vectors.shape[1]} show {share:.0%} of the chunks' variance: chunks that are close "
        note += "on the map may be far apart."
        about = f"Map of {len(points)} chunks and the question, with the {len(found)} that were found ringed"
        return f"{plots.image(ax, about).data}<p>{note}</p>"

    def search(question_text: str, k: int, mode: str) -> str:
        if not question_text.strip():
            raise KitError("Type a question first.")
        passages = index.retriever(min(k, len(places)), mode).retrieve(question_text)
        if not passages:
            return "<p>Nothing was found: no chunk shares a word with this question. Try another kind of search.</p>"
        known, rows = bool(question.answers) and question_text == question.prompt, []
        for passage in passages:
            right = ("yes" if contains(passage.text, question.answers) else "no") if known else "unknown"
            text = highlight(passage.text, question_text)
            rows.append((f"{passage.score:.3f}", escape(passage.document_id), right, text))
        caption = f"Passages found, best first, of {len(places)} chunks; words shared with the question are marked"
        shown = table(caption, ["score", "document", "holds the answer", "passage"], rows)
        if fm:
            prompt = fm.chat(prompts.expand(Question("explorer", "own", question_text), passages))
            told = f"The expanded prompt has {fm.count_tokens(prompt)} tokens"
            shown += f"<details><summary>{told}</summary><code>{escape(prompt)}</code></details>"
        return shown + draw(question_text, [places[passage.node_id] for passage in passages])

    controls = {
        "question_text": labelled(ipywidgets.Text, "question", "760px", value=question.prompt),
        "k": number("passages (k)", 1, 8, 1, index.settings.k),
        "mode": labelled(ipywidgets.Dropdown, "kind of search", options=MODES, value=index.settings.mode),
    }
    return Panel("Retrieval explorer", controls, search, "Search").refresh()


def highlight(text: str, question: str) -> str:
    """A text as HTML in which the question's numbers and words of four letters or more are marked."""
    words = set(re.findall(r"\w{4,}|\d+", question.lower()))
    pieces = re.split(r"(\w+)", text)
    return "".join(f"<mark>{escape(piece)}</mark>" if piece.lower() in words else escape(piece) for piece in pieces)
