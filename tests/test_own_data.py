"""Your own data: every format, every error, the guessed columns, cloze questions, and a study from end to end."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from conftest import ROOT, make_tiny, run_python, run_pythons

from helpers import arms, compare, profiles, report, tables
from helpers.cloze import PART, cloze_questions
from helpers.data import open_dataset
from helpers.expectations import judge, load_expectations
from helpers.metrics import contains, normalise
from helpers.models import load_model
from helpers.own_data import ARMS, prepare
from helpers.readers import read_documents
from helpers.records import DataError, Document, KitError
from helpers.results import write_result
from helpers.study import Study

KIT = ROOT / "datasets" / "sklearn_descriptions"
TOPICS = ("heron", "anchor", "ladder", "beacon", "rudder", "winch")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page(topic: str, number: int) -> str:
    """A short document with a fact of its own, and text enough for some pieces."""
    body = f"The {topic} was painted in {1900 + number} by the crew of the harbour. " + "It is cleaned in spring. " * 22
    shed = f"Each {topic} is kept in shed {number + 40}, dry and dark."
    return f"# The {topic}\n\n## History\n\n{body}\n\n## Storage\n\n{shed}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six documents of your own, in Markdown, text and HTML."""
    documents = tmp_path / "mine"
    for number, topic in enumerate(TOPICS):
        ending = ("md", "txt", "html")[number % 3]
        text = page(topic, number)
        write(documents / f"{topic}.{ending}", f"<h1>The {topic}</h1><p>{text}</p>" if ending == "html" else text)
    return documents


@pytest.fixture
def questions(tmp_path) -> Path:
    rows = [f"When was the {topic} painted?,{1900 + n},{topic}" for n, topic in enumerate(TOPICS)]
    return write(tmp_path / "questions.csv", "Question,Gold Answer,Doc\n" + "\n".join(rows) + "\n")


@pytest.fixture
def pairs(tmp_path) -> Path:
    told = [(f"In which shed is the {topic}?", f"{n + 40}", topic) for n, topic in enumerate(TOPICS)]
    told += [(f"State the shed of the {topic}.", f"{n + 40}", topic) for n, topic in enumerate(TOPICS)]
    rows = [json.dumps({"instruction": a, "output": b, "source": c}) for a, b, c in told]
    return write(tmp_path / "pairs.jsonl", "\n".join(rows))


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """What must not change: time and hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


# ---- documents


def test_every_format_becomes_documents_with_the_same_text(tmp_path):
    import docx
    from fpdf import FPDF

    folder = tmp_path / "mixed"
    write(folder / "deep" / "page.html", "<h1>Mooring</h1><p>Tie it twice.</p>")
    write(folder / "note.md", "---\nid: my-note\n---\n# Note\n\nA line with --- in it.\n\n---\n\nAnd one below a rule.")
    write(folder / "plain.txt", "Only text.")
    write(folder / "table.csv", "id,place,text\nr1,Gullow,The north quay.\nr2,Hern,\n")
    paper = docx.Document()
    paper.add_paragraph("Typed in a word processor.")
    paper.save(folder / "paper.docx")
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(text="Printed on a page.")
    pdf.output(str(folder / "print.pdf"))
    before = state(folder)
    own = prepare(folder, write(tmp_path / "q.csv", "question,answer\nWhich quay?,north\n"), out=tmp_path / "out")
    assert state(folder) == before, "originals are only read"
    originals = {document.id: document.text for document in read_documents(folder)}
    made = {document.id: document.text for document in read_documents(own.folder / "documents")}
    assert set(made) == {
        "deep/page.html", "my-note", "plain.txt", "table.csv#r1", "table.csv#r2", "paper.docx", "print.pdf",
    }  # fmt: skip
    assert made == {id: text.strip() for id, text in originals.items()}
    assert made["table.csv#r1"] == "place: Gullow\n\nThe north quay." and made["table.csv#r2"] == "place: Hern"
    assert "Printed on a page." in made["print.pdf"] and "word processor" in made["paper.docx"]


def test_faults_of_several_files_are_told_together(tmp_path, folder):
    write(folder / "empty.md", "")
    with zipfile.ZipFile(folder / "broken.docx", "w") as archive:
        archive.writestr("nothing.xml", "")
    write(folder / "broken.pdf", "no pdf")
    write(folder / "wide.csv", "a,b\n1,2,3\n")
    with pytest.raises(DataError) as caught:
        prepare(folder, out=tmp_path / "out")
    told = str(caught.value)
    assert all(name in told for name in ("empty.md", "broken.docx", "broken.pdf", "wide.csv:2: more cells"))
    assert not (tmp_path / "out").exists(), "nothing is written where something is wrong"


def test_results_do_not_go_into_the_folder_of_documents(folder):
    with pytest.raises(KitError, match="only read: choose another folder"):
        prepare(folder, out=folder / "results")
    with pytest.raises(DataError, match="is not a folder"):
        prepare(folder / "nowhere", out=folder.parent / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the file is empty"),
        ("a,a\n1,2\n", "1: two columns are named 'a'"),
        ("a,b\n", "no row below the names"),
        ('a,b\n1,"2\n', "not valid CSV"),
        ("a,b\n1,2\n,\n", "3: all cells of this row are empty"),
        ("id,b\n1,2\n1,3\n", "3: the id '1' is used twice"),
        ('id,b\n\n1,"2\n3"\n\n\n1,3\n', "7: the id '1' is used twice"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_by_line(tmp_path, text, message):
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match=message) as caught:
        tables.table_documents(path, "t.csv")
    assert str(path) in str(caught.value)


def test_separators_quotes_and_lines_within_a_cell(tmp_path):
    path = write(tmp_path / "t.csv", '\ufeffFrage;Antwort\n"Was; wo?";"zwei\nZeilen"\nWer?;Orla\n')
    assert tables.csv_rows(path) == [
        (f"{path}:2", {"Frage": "Was; wo?", "Antwort": "zwei\nZeilen"}),
        (f"{path}:4", {"Frage": "Wer?", "Antwort": "Orla"}),
    ]


def test_a_cell_may_be_long_and_no_column_of_text_is_lost(tmp_path):
    long = "The tide turns. " * 15_000
    path = write(tmp_path / "t.csv", f"title,text,body\nTides,A teaser.,{long}\nWinds,,A gale.\n")
    tides, winds = tables.table_documents(path, "t.csv")
    assert "A teaser." in tides.text and long.strip() in tides.text
    assert winds.text.endswith("\n\nA gale.")


# ---- questions and pairs


def test_questions_among_the_documents_are_not_read_as_documents(tmp_path, folder, questions, pairs):
    plain = prepare(folder, questions, pairs, out=tmp_path / "plain")
    inside = write(folder / "asked.csv", questions.read_text(encoding="utf-8"))
    own = prepare(folder, inside, pairs, out=tmp_path / "out")
    assert open_dataset(own.folder).hash == open_dataset(plain.folder).hash
    assert any("asked.csv lies among the documents and is not read as one" in note for note in own.notes)


def test_columns_are_guessed_shown_and_overridden(tmp_path, folder, questions, pairs):
    own = prepare(folder, questions, pairs, out=tmp_path / "out")
    shown = [str(each) for each in own.columns]
    assert shown[0] == "questions: prompt from 'Question', answers from 'Gold Answer', documents from 'Doc'"
    assert shown[1] == "pairs: prompt from 'instruction', response from 'output', documents from 'source'"
    assert shown[0] in (own.folder / "README.md").read_text(encoding="utf-8")

    german = write(tmp_path / "fragen.csv", "Frage,Antwort,Note\nWann?,1900|neunzehnhundert,gut\n")
    with pytest.raises(
        DataError, match=r"fragen.csv: no column .* 'prompt'. Its columns: Frage, Antwort, Note"
    ) as caught:
        prepare(folder, german, out=tmp_path / "out")
    assert "questions.prompt=COLUMN" in str(caught.value)
    named = {"questions.prompt": "Frage", "questions.answers": "Antwort"}
    own = prepare(folder, german, out=tmp_path / "out", columns=named)
    assert str(own.columns[0]).endswith("not used: Note")
    (asked,) = open_dataset(own.folder).questions("facts_heldout")
    assert asked.answers == ("1900", "neunzehnhundert")
    with pytest.raises(DataError, match="no column 'Fragen' for questions.prompt"):
        prepare(folder, german, out=tmp_path / "out", columns=named | {"questions.prompt": "Fragen"})
    with pytest.raises(DataError, match="Got 'prompt'"):
        prepare(folder, german, out=tmp_path / "out", columns={"prompt": "Frage"})

    made_by = write(tmp_path / "by.csv", "prompt,response,source\nWhen?,In spring.,a-model\n")
    with pytest.raises(DataError, match="by.csv:2: .*'source' names 'a-model'.*say `pairs.documents=`"):
        prepare(folder, questions, made_by, out=tmp_path / "out")
    own = prepare(folder, questions, made_by, out=tmp_path / "out", columns={"pairs.documents": ""})
    assert str(own.columns[1]) == "pairs: prompt from 'prompt', response from 'response'; not used: source"
    with pytest.raises(DataError, match="no column '' for pairs.response"):
        prepare(folder, questions, made_by, out=tmp_path / "out", columns={"pairs.response": ""})


def test_every_format_of_questions_says_the_same(tmp_path, folder):
    asked = {"id": "a", "question": "When was the heron painted?"}
    passage = "The heron was painted in 1900 by the crew"
    squad = {"title": "x", "paragraphs": [{"context": passage, "qas": [{**asked, "answers": [{"text": "1900"}]}]}]}
    squad["paragraphs"][0]["qas"].append({"id": "b", "question": "Who paid?", "answers": [], "is_impossible": True})
    unknown = {"id": "b", "question": "Who paid?", "is_impossible": True}
    files = [
        write(tmp_path / "q.json", json.dumps({"data": [squad]})),
        write(tmp_path / "list.json", json.dumps([{**asked, "answer": "1900", "document": "heron"}, unknown])),
        write(
            tmp_path / "q.jsonl",
            json.dumps({**asked, "answers": {"text": ["1900"]}, "context": passage}) + "\n\n" + json.dumps(unknown),
        ),
        write(  # as the Hub has SQuAD 2: no column says that a question has no answer
            tmp_path / "hub.jsonl",
            json.dumps({**asked, "answers": {"text": ["1900"]}, "context": passage})
            + "\n"
            + json.dumps({"id": "b", "question": "Who paid?", "answers": {"text": [], "answer_start": []}}),
        ),
        write(
            tmp_path / "q.csv",
            "id,question,answer,document,unanswerable\n"
            "a,When was the heron painted?,1900,heron.md,\nb,Who paid?,,,yes\n",
        ),
    ]
    made = [open_dataset(prepare(folder, file, out=tmp_path / "out").folder) for file in files]
    assert len({dataset.hash for dataset in made}) == 1
    (question,), (other,) = made[0].questions("facts_heldout"), made[0].questions("unanswerable")
    assert (question.answers, question.documents, other.answers) == (("1900",), ("heron.md",), ())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.csv", "question,answer\n,1\n", "q.csv:2: the field 'question' is empty"),
        ("q.csv", "question,answer\nWhen?,\n", "q.csv:2: the field 'answer' is empty.*`unanswerable`"),
        ("q.csv", "question,answer\nWhich?,A\n", "q.csv:2: the answer 'A' holds no word"),
        ("q.csv", "id,question,answer\na,When?,1\na,Who?,2\n", "q.csv:3: the id 'a' is used twice"),
        ("q.csv", "question,answer,document\nWhen?,1,herron.md\n", "q.csv:2: .*'document' names 'herron.md'.*heron.md"),
        (
            "q.jsonl",
            '{"question": "When?", "answer": "1"}\n{"question": 5, "answer": "1"}',
            "q.jsonl:2: .*must be a text",
        ),
        ("q.jsonl", '{"question": "When?"', "q.jsonl:1: not valid JSON"),
        ("q.json", '{"data": [\n}', "q.json:2: not valid JSON"),
        ("q.json", '{"rows": []}', "neither SQuAD's format"),
        ("q.json", '{"data": [{"paragraphs": [{"qas": [{}]}]}]}', r"data\[0\] is not as in SQuAD"),
        ("q.json", "[1]", "entry 1: expected an object"),
        ("q.xlsx", "PK", "the ending '.xlsx' is not one of .csv"),
    ],
)
def test_a_question_that_cannot_be_read_is_named_by_file_line_and_field(tmp_path, folder, name, text, message):
    with pytest.raises(DataError, match=message):
        prepare(folder, write(tmp_path / name, text), out=tmp_path / "out")


def test_a_missing_file_and_a_bad_pair_are_named(tmp_path, folder, questions):
    with pytest.raises(DataError, match="nowhere.csv: there is no such file"):
        prepare(folder, tmp_path / "nowhere.csv", out=tmp_path / "out")
    bad = write(tmp_path / "pairs.csv", "prompt,response\nWhere?,\n")
    with pytest.raises(DataError, match="pairs.csv:2: the field 'response' is empty"):
        prepare(folder, questions, bad, out=tmp_path / "out")


# ---- the Hub


@pytest.fixture
def viewer(monkeypatch) -> Iterator[list[str]]:
    """A server on loopback that answers as the Hub's viewer does; yields the requests that it got."""
    rows = [{"question": f"When {n}?", "answers": {"text": [str(n)]}, "context": "none"} for n in range(130)]
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            query = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
            reply = {"splits": [{"config": "main", "split": name} for name in ("train", "validation")]}
            if self.path.startswith("/rows"):
                start = int(query["offset"])
                part = rows[start : start + int(query["length"])]
                reply = {"rows": [{"row_idx": start + i, "row": row} for i, row in enumerate(part)]}
            self.send_response(200 if query["dataset"] == "owner/asked" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(tables.hub_rows, "__defaults__", (address,))
        yield seen
        server.shutdown()
        thread.join()


def test_a_data_set_of_the_hub_is_read_by_its_id(viewer):
    rows = tables.read_table("owner/asked")
    assert len(rows) == 130 and rows[129][1]["question"] == "When 129?"
    assert rows[0][0] == "owner/asked (validation): row 0"
    assert len(tables.read_table("owner/asked", limit=20)) == 20
    with pytest.raises(DataError, match="did not give a data set of that name"):
        tables.read_table("owner/unknown")


def test_a_path_that_looks_like_an_id_is_not_sent_anywhere(viewer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "private").mkdir()
    for path in ("private/questions", "private/questions.csv", "questions"):
        with pytest.raises(DataError, match="there is no such file"):
            tables.read_table(path)
    assert viewer == []


def test_without_a_network_the_error_says_so(tmp_path, folder):
    command = ["-m", "helpers", "study", "--documents", folder, "--questions", "owner/asked", "--out", tmp_path / "out"]
    run = run_python(*command, PYTHONPATH=str(ROOT / "tests" / "blocked_network"))
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "owner/asked" in run.stderr and "network" in run.stderr and "give the file" in run.stderr


# ---- what is made of them


def test_sets_leaks_and_held_out_parts(tmp_path, folder, questions, pairs):
    with questions.open("a", encoding="utf-8") as file:
        file.write("Where is the heron kept?,40,heron\nState the shed of the heron.,40,heron\n")
    own = prepare(folder, questions, pairs, out=tmp_path / "out")
    dataset = open_dataset(own.folder)
    trained, heldout = dataset.questions("facts_trained"), dataset.questions("facts_heldout")
    assert {q.prompt for q in trained} == {"Where is the heron kept?", "State the shed of the heron."}
    assert len(heldout) == 6 and {q.documents for q in heldout} == {(d.id,) for d in read_documents(folder)}
    train, held = dataset.examples("answers"), dataset.examples("answers", "validation")
    assert len(train) + len(held) == 11 and held, "the pair that asks a question of the test is left out"
    assert any("1 labelled pairs ask a question" in note for note in own.notes)
    prompts = {normalise(q.prompt) for q in trained + heldout}
    assert not prompts & {normalise(pair.prompt) for pair in train + held}
    corpus, watched = dataset.corpus("train"), dataset.corpus("validation")
    assert corpus and watched and not set(corpus) & set(watched)
    gold = {answer for q in trained + heldout for answer in q.answers}
    assert not any(contains(text, sorted(gold)) for text in watched), "no asked fact is hidden from the training"
    assert {text.split(".")[0] for text in corpus} == {document.title for document in read_documents(folder)}
    assert len(dataset.questions("general")) > 50


def test_the_same_data_make_the_same_folder_and_others_another(tmp_path, folder, questions):
    first, again = (prepare(folder, questions, out=tmp_path / "out") for _ in range(2))
    assert first.folder == again.folder and first.out.name.startswith("mine-")
    write(folder / "new.md", "# New\n\nOne more document.")
    assert prepare(folder, questions, out=tmp_path / "out").folder != first.folder
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(folders) == 2, "nothing half-made is left behind"


def test_a_large_folder_is_sampled_in_quick_and_whole_in_workshop(tmp_path):
    documents = tmp_path / "many"
    for number in range(1000):
        write(documents / f"d{number:04}.md", f"# Paper {number}\n\nThe code of paper {number} is K-{number + 5000}.")
    rows = "".join(f"What is the code of paper {n}?,K-{n + 5000},d{n:04}\n" for n in range(0, 1000, 2))
    asked = write(tmp_path / "q.csv", "question,answer,document\n" + rows)
    quick = prepare(documents, asked, profile="quick", out=tmp_path / "out")
    asks = profiles.PROFILES["quick"].questions_per_set
    sampled, few = read_documents(quick.folder / "documents"), open_dataset(quick.folder).questions("facts_heldout")
    assert len(sampled) == profiles.PROFILES["quick"].own_documents and len(few) == asks
    assert {name for q in few for name in q.documents} <= {document.id for document in sampled}
    assert any("takes 100 of the 1000 documents" in note for note in quick.notes)
    assert any(f"asks {asks} of the 500 questions" in note for note in quick.notes)
    whole = prepare(documents, asked, profile="workshop", out=tmp_path / "out")
    assert len(list((whole.folder / "documents").iterdir())) == 1000
    assert len(open_dataset(whole.folder).questions("facts_heldout")) == 500
    words = sum(len(text.split()) for text in open_dataset(whole.folder).corpus())
    assert words <= profiles.PROFILES["workshop"].own_words + 100


def test_cloze_questions_have_their_answer_in_the_document(tmp_path, folder):
    documents = read_documents(folder)
    made = cloze_questions(documents)
    texts = {document.id: document.text for document in documents}
    assert made and made == cloze_questions(documents) and len({q.id for q in made}) == len(made)
    for question in made:
        assert question.part == PART and contains(texts[question.documents[0]], question.answers)
        assert "____" not in question.prompt or not contains(question.prompt, question.answers)
    assert any("heading" in question.prompt for question in made)
    own = prepare(folder, out=tmp_path / "out")
    assert any("weak evidence" in note for note in own.notes)
    assert {q.part for q in open_dataset(own.folder).questions("facts_heldout")} == {PART}
    assert cloze_questions([Document("a", "A", "no sentence, only words")]) == []
    with pytest.raises(DataError, match="no whole sentence was found"):
        prepare(write(tmp_path / "bare" / "a.md", "only words").parent, out=tmp_path / "out")


def test_the_kits_own_folder_is_as_its_card_says(tmp_path):
    card = (KIT / "README.md").read_text(encoding="utf-8")
    own = prepare(KIT / "documents", KIT / "questions.csv", KIT / "pairs.jsonl", out=tmp_path / "out")
    dataset = open_dataset(own.folder)
    documents = {document.id: document.text for document in read_documents(KIT / "documents")}
    heldout, trained = dataset.questions("facts_heldout"), dataset.questions("facts_trained")
    unanswerable = dataset.questions("unanswerable")
    assert own.out.name.startswith("sklearn_descriptions-")
    assert f"{len(heldout) + len(trained)} with a gold answer and its document, {len(unanswerable)} that no" in card
    assert f"{len(trained)} questions ask in other words" in card and f"the other {len(heldout)} ask" in card
    assert f"{len(documents)} descriptions" in card
    pairs = dataset.examples("answers") + dataset.examples("answers", "validation")
    assert f"| {len(pairs)} |" in card
    for question in heldout + trained:
        assert contains(documents[question.documents[0]], question.answers[:1]), question
    assert not set(own.notes), "nothing is left out of it"


# ---- a study, end to end


@pytest.fixture
def study(monkeypatch, tmp_path, embedder):
    """Makes studies of own data with a tiny model and the shortest of trainings."""
    few = replace(
        profiles.PROFILES["quick"], questions_per_set=4, latency_questions=1, batch_size=4, training_share=0.01
    )
    monkeypatch.setitem(profiles.PROFILES, "quick", few)
    llama = load_model(make_tiny("Llama", tmp_path / "llama"), device="cpu", dtype="float32")

    def make(own) -> Study:
        made = Study(own.folder, "quick", out=own.out / "quick", model=llama, progress=False)
        made.embedder = embedder
        return made

    return make


def test_a_study_of_your_own_data_runs_from_end_to_end(study, tmp_path, folder, questions, pairs):
    own = prepare(folder, questions, pairs, "quick", tmp_path / "out")
    frame = study(own)
    assert arms.left_out(ARMS, frame.dataset, frame.question_sets) == {}
    made = frame.run(ARMS)
    assert {(r.arm, r.question_set) for r in made} == {(arm, name) for arm in ARMS for name in frame.question_sets}
    by = {(result.arm, result.question_set): result for result in made}
    found = by["rag", "facts_heldout"]
    assert all(score.answer.passages for score in found.scores) and 0 <= found.metrics["retrieval"]["mrr"] <= 1
    sources = {passage.document_id for score in found.scores for passage in score.answer.passages}
    assert sources <= {document.id for document in read_documents(folder)}
    assert by["customization", "general"].effort.labelled_examples == len(frame.dataset.examples("answers"))
    assert by["domain_adaptation", "facts_heldout"].metrics["perplexity"] > 0
    told = compare.caveats(made)
    assert any("`facts_heldout` has 4 questions: too few" in line for line in told)
    older = replace(made[0], experiment="e" * 64, seed=8)  # of another model or an older kit, in the same folder
    write_result(frame.out, older)
    page = report.write_report(frame.out, tmp_path / "page.html", results=made).read_text(encoding="utf-8")
    assert f"{sum(len(r.scores) for r in made):,} scored answers" in page
    with pytest.raises(DataError, match="experiment|compared"):
        report.write_report(frame.out, tmp_path / "page.html")
    verdicts = judge(made, expectations=load_expectations(name="own_data"))
    assert {v.expectation.id for v in verdicts if v.verdict == "not measured"} == {"own-customization-trained"}
    text = report.page(made, expectations=load_expectations(name="own_data"))
    assert (
        "Before you conclude" in text and "too few to conclude" in text and "invented" not in text.split("textbook")[0]
    )


def test_without_pairs_and_text_the_arms_that_need_them_are_left_out(study, tmp_path):
    folder = write(
        tmp_path / "short" / "a.md", "# A\n\nThe anchor of the old harbour was painted in the year 1901."
    ).parent
    frame = study(prepare(folder, profile="quick", out=tmp_path / "out"))
    left = arms.left_out(ARMS, frame.dataset, frame.question_sets)
    assert set(left) == {"base:few_shot", "customization", "domain_adaptation"}
    assert "instructions/answers.train.jsonl" in left["customization"] and "corpus/" in left["domain_adaptation"]
    told = compare.caveats(frame.run(["base", "rag"]))
    assert any("cloze questions" in line and "weak evidence" in line for line in told)


def test_the_command_refuses_what_does_not_go_together(tmp_path, folder):
    study = ["-m", "helpers", "study", "--out", tmp_path / "out"]
    for run in run_pythons([*study, "--questions", "q.csv"], [*study, "--documents", folder, "--data", tmp_path]):
        assert run.returncode == 2 and "--documents" in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()
