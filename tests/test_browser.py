"""The kit as a learner meets it: real JupyterLab in a real browser, with every widget moved and its output read.

Screenshots are kept in `tests/screenshots/` (ignored by git): look at them after a change.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import nbformat
import pytest
from conftest import ROOT, make_tiny

from helpers.data import table

sync_api = pytest.importorskip("playwright.sync_api")
sync_api.expect.set_options(timeout=120_000)  # a busy machine draws slowly; the default is five seconds

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = Path(__file__).parent / "screenshots"
BLOCKED = Path(__file__).parent / "blocked_network"
KERNEL_S, RUN_S = 180, 240
LOOPBACK = {"127.0.0.1", "localhost", "::1", None}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: `apt-get install chromium`")

CELLS = table(Path(__file__).with_name("cases") / "browser.yaml")
WIDGETS = ("retrieval", "tokens", "answers", "costs", "advice", "training", "quiz")
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # every cell is on the page, in sight or not
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small world, a tiny model, and the first notebook with a cell for every widget at its end."""
    from tools.world import generate

    folder = tmp_path_factory.mktemp("browser")
    generate(folder / "world", seed=3, assets=12)
    make_tiny("Llama", folder / "tiny")
    for name in ("datasets", "results"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "notebooks").mkdir()
    first = nbformat.read(ROOT / "notebooks" / "00_five_minutes.ipynb", 4)
    first.cells += [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    nbformat.write(first, folder / "notebooks" / "first.ipynb")
    for name, text in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(place):
    """The address of a JupyterLab that serves the folder and whose kernels reach nothing but this machine."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(place / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = os.environ | own | {
        "PYTHONPATH": os.pathsep.join([str(BLOCKED), str(ROOT), str(ROOT / "tests")]),
        "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
        "KIT_RESULTS": str(place / "own"),
        "KIT_TEST_PLACE": str(place),
        "KIT_BLOCKED_LOG": str(place / "blocked"),
    }  # fmt: skip
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.root_dir": place, "IdentityProvider.token": "",
        "LabApp.news_url": "None", "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }  # fmt: skip
    flags = ["--no-browser", "--allow-root", "--expose-app-in-browser", *(f"--{n}={v}" for n, v in options.items())]
    address, log = f"http://127.0.0.1:{port}", place / "lab.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "jupyterlab", *flags]
        server = subprocess.Popen(command, env=environment, stderr=file, stdout=file)
    try:
        for _ in range(200):
            try:
                urlopen(f"{address}/api/status", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.3)
        yield address
        blocked = place / "blocked"
        assert not blocked.exists(), f"a kernel tried to reach {blocked.read_text(encoding='utf-8').split()}"
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(scope="module")
def browser():
    options = ["--no-sandbox", "--disable-dev-shm-usage"]  # it sees no pages but ours
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield chromium
        chromium.close()


class Notebook:
    """A page with the notebook, run once; the errors in its console, and the hosts that it asked."""

    def __init__(self, page, lab):
        self.page, self.errors, self.hosts = page, [], set()
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        page.goto(f"{lab}/lab/tree/notebooks/first.ipynb?reset")
        ready = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        page.wait_for_function(ready, timeout=1000 * KERNEL_S)
        page.evaluate(
            "() => { window.ran = false; "
            "jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true }) }"
        )
        page.wait_for_function("() => window.ran", timeout=1000 * RUN_S)

    def output(self, name):
        """The output of the cell of this name in CELLS."""
        cells = self.page.locator(".jp-CodeCell")
        return cells.nth(cells.count() - len(CELLS) + list(CELLS).index(name)).locator(".jp-Cell-outputArea")

    def drag(self, bar, start, end):
        """Drags along a slider, from one share of its length to another."""
        bar.scroll_into_view_if_needed()
        box = bar.bounding_box()
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + start * box["width"] + 1, middle)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + end * box["width"], middle, steps=8)
        self.page.mouse.up()

    def raised(self):
        """The errors that cells of the notebook ended in."""
        return self.page.evaluate(
            "() => jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells.flatMap("
            "cell => cell.outputs || []).filter(each => each.output_type === 'error').map(each => each.evalue)"
        )


@pytest.fixture(scope="module")
def notebook(lab, browser):
    """The notebook; the tests below move its widgets one after the other."""
    return Notebook(browser.new_page(viewport={"width": 1400, "height": 1000}), lab)


def faults(page, selector):
    """Serious and critical faults that axe finds inside the outputs, as sentences."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context={"include": [[selector]]}).response["violations"]
    grave = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [f"{fault['id']}: {node['html'][:200]}" for fault in grave for node in fault["nodes"]]


def button(area, name):
    return area.get_by_role("button", name=name, exact=True)


def expect(area, text, seconds=120):
    """Waits until the text can be seen in the output."""
    sync_api.expect(area.get_by_text(text).locator("visible=true").first).to_be_visible(timeout=1000 * seconds)


def enter(area, label, text):
    area.get_by_label(label, exact=True).fill(text)
    area.get_by_label(label, exact=True).press("Tab")


def test_the_first_notebook_runs_and_shows_its_picture(notebook):
    assert notebook.raised() == []
    prompts = [text.strip() for text in notebook.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()]
    assert prompts == [f"[{n}]:" for n in range(1, len(prompts) + 1)] and len(prompts) >= 10 + len(CELLS)
    expect(notebook.page, "✓ right")
    sync_api.expect(notebook.page.locator(".jp-RenderedMermaid svg, .jp-RenderedMermaid img").first).to_be_attached()


def test_static_parts_give_way_to_live_ones_and_checks_have_an_outcome(notebook):
    for name in WIDGETS:
        static = notebook.output(name).locator("[class*=kit-static]")
        assert static.count() == 1 and not static.is_visible(), name
        assert static.text_content().strip(), f"{name} leaves nothing behind for a page without a kernel"
    expect(notebook.output("unsolved"), "Not attempted.")
    expect(notebook.output("solved"), "Right.")


def test_retrieval_follows_its_fields_and_sliders(notebook):
    area = notebook.output("retrieval")
    rows = area.locator(".widget-html table tbody tr")
    assert rows.count() == area.locator(".widget-html img").count() == 1
    enter(area, "passages (k)", "4")
    expect(area, "have changed")
    button(area, "Search").click()
    sync_api.expect(rows).to_have_count(4)
    area.get_by_label("kind of search").select_option("bm25")
    enter(area, "question", "Which channel?")
    area.get_by_label("question", exact=True).press("Enter")
    expect(area.locator("mark"), "channel")
    bar, field = area.locator(".slider").first, area.get_by_label("passages (k)")
    enter(area, "passages (k)", "1")
    notebook.drag(bar, 0, 1)
    sync_api.expect(field).to_have_value("8")
    enter(area, "passages (k)", "1")
    place = "bar => bar.querySelector('.noUi-handle').getBoundingClientRect().x - bar.getBoundingClientRect().x"
    notebook.page.wait_for_function(f"bar => ({place})(bar) < 10", arg=bar.element_handle())


def test_the_mask_follows_its_fields(notebook):
    area = notebook.output("tokens")
    expect(area, "Instruction tuning reads")
    enter(area, "plain text", "The watch keeps a record.")
    expect(area, re.compile("Continued pretraining reads [1-9] tokens"))


def test_all_arms_answer_a_typed_question(notebook):
    area = notebook.output("answers")
    sync_api.expect(area.locator(".widget-html table tbody tr")).to_have_count(2)
    enter(area, "question", "Who wrote <b>this</b>?")
    button(area, "Ask all arms").click()
    expect(area, "Who wrote <b>this</b>?")
    expect(area, "not scored")
    area.locator("summary").first.press("Enter")


def test_costs_follow_at_once_and_the_questionnaire_ends_in_advice(notebook):
    area = notebook.output("costs")
    picture = area.locator(".widget-html img")
    before = picture.get_attribute("src")
    enter(area, "a label, $", "8")
    enter(area, "queries a month", "12345")
    expect(area, "One month with 12,345 queries")
    queries = area.get_by_label("queries a month")
    sync_api.expect(queries).to_have_value("12345")  # as it was typed, though the slider has steps
    queries.press("ArrowUp")
    expect(area, "One month with 13,000 queries")
    sync_api.expect(picture).not_to_have_attribute("src", before)
    changed = picture.get_attribute("src")
    notebook.drag(area.locator(".slider").nth(2), 0.8, 0.1)
    sync_api.expect(area.get_by_label("a label, $")).not_to_have_value("8")
    sync_api.expect(picture).not_to_have_attribute("src", changed)
    area = notebook.output("advice")
    reasons = area.locator(".widget-html table")
    first = reasons.inner_text()
    area.get_by_role("combobox").first.select_option(index=1)
    button(area, "Advise me").click()
    sync_api.expect(reasons).not_to_have_text(first, use_inner_text=True)
    expect(area, "Take neither")


def test_a_training_is_started_stopped_and_resumed(notebook):
    area = notebook.output("training")
    assert button(area, "Stop").is_disabled()
    enter(area, "epochs", "6")
    button(area, "Start").click()
    expect(area, re.compile("Step [1-9]"))
    assert button(area, "Start").is_disabled()
    button(area, "Stop").click()
    expect(area, "What was learned is kept")
    button(area, "Start").click()
    expect(area, "Done.")
    assert area.locator(".widget-html img").count() == 1
    assert area.locator(".widget-html thead th").all_inner_texts() == ["question", "wanted", "before", "after"]


def test_the_quiz_can_be_taken_with_the_keyboard(notebook):
    from helpers.lessons import exercises

    area = notebook.output("quiz")
    question = exercises.load("02").quiz.questions[0]
    first, check = area.locator("input[type=radio]").first, button(area, "Check question 1")
    first.focus()
    notebook.page.keyboard.press("Space")
    for _ in question.choices:
        if not check.evaluate("element => element === document.activeElement"):
            notebook.page.keyboard.press("Tab")
    assert check.evaluate("element => element === document.activeElement")
    notebook.page.keyboard.press("Enter")
    expect(area, "Right." if question.choices[0] == question.right else "Not yet.")
    area.get_by_label(question.right, exact=True).check()
    check.click()
    expect(area, "Right.")


def test_the_outputs_have_no_serious_faults_and_nothing_left_this_machine(notebook):
    SCREENSHOTS.mkdir(exist_ok=True)
    for name in WIDGETS:
        notebook.output(name).screenshot(path=SCREENSHOTS / f"{name}.png")
    assert faults(notebook.page, ".jp-Cell-outputArea") == [] and notebook.errors == [] and notebook.raised() == []
    assert notebook.hosts <= LOOPBACK and "127.0.0.1" in notebook.hosts


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("0*.ipynb")), ids=lambda path: path.stem)
def test_committed_outputs_have_no_serious_faults(path, browser, tmp_path):
    """As a page without a kernel shows them: nbconvert's, without the script that it would fetch."""
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter(template_name="lab").from_filename(str(path))
    file = tmp_path / "page.html"
    file.write_text(re.sub(r"<script\b[^>]*\bsrc=[^>]*>.*?</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    with browser.new_page() as page:
        page.goto(file.as_uri())
        assert faults(page, ".jp-OutputArea-output") == []


def test_the_report_shows_its_finding_first_prints_short_and_explores_answers_as_text(browser, tmp_path):
    from pypdf import PdfReader
    from synthetic import make_results

    from helpers.analysis import Comparison
    from helpers.plots import report

    made, evil = make_results(), "</script><script>document.title = 'run'</script><img src=x onerror=\"alert(1)\">"
    for result in made:
        result.scores[0] = replace(result.scores[0], answer=replace(result.scores[0].answer, text=evil))
    (file := tmp_path / "report.html").write_text(report.page(Comparison(made)), encoding="utf-8")
    page, asked = browser.new_page(viewport={"width": 1440, "height": 900}), []
    page.on("request", lambda request: asked.append(urlsplit(request.url).scheme))
    page.on("dialog", lambda dialog: asked.append("dialog"))
    page.goto(file.as_uri())
    picture = page.locator("figure img").first.bounding_box()
    assert picture["y"] + picture["height"] < 900 and page.locator(".verdict").bounding_box()["y"] < picture["y"]
    assert evil in page.locator("#found").inner_text() and page.title().startswith("RAG or fine-tuning?")
    page.select_option("#method", label="RAG")
    page.select_option("select[name=result]", "wrong")
    page.locator("#found summary").first.click()
    assert "passage" in page.locator("#found .passage").first.inner_text()
    page.fill("input[name=search]", "nothing says this")
    assert "No question fits" in page.inner_text("#count") and page.locator("#found li").count() == 0
    page.screenshot(path=SCREENSHOTS / "report.png")
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert len(PdfReader(tmp_path / "report.pdf").pages) <= 12
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "tables scroll by themselves"
    assert set(asked) <= {"file", "data"} and asked.count("file") == 1
