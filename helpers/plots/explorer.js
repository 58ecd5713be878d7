"use strict";
// The explorer of the report: reads the answers that the page holds as JSON. What models wrote only ever becomes text.
(() => {
  const data = JSON.parse(document.getElementById("answers").textContent);
  const form = document.getElementById("filters"), list = document.getElementById("found");
  const status = document.getElementById("count"), more = document.getElementById("more");
  const STEP = 20;
  let found = [], shown = 0;

  const make = (tag, text = "", parent = null, look = "") => {
    const node = document.createElement(tag);
    node.textContent = text;
    if (look) node.className = look;
    if (parent) parent.append(node);
    return node;
  };
  const choose = (id, any, names) => {
    const select = document.getElementById(id);
    for (const [value, name] of [["", any], ...names.map((name, place) => [place, name])])
      make("option", name, select).value = value;
  };
  choose("method", "any method", data.methods);
  choose("set", "all question sets", data.sets);
  choose("world", "all worlds", data.worlds.map((seed) => `world ${seed}`));
  document.getElementById("world").parentElement.hidden = data.worlds.length < 2;

  const fits = (question, wanted) => {
    if (wanted.set !== "" && question.set !== Number(wanted.set)) return false;
    if (wanted.world !== "" && question.world !== Number(wanted.world)) return false;
    const answers = question.answers.filter((each) => wanted.method === "" || each[0] === Number(wanted.method));
    const asked = answers.filter((each) => !wanted.result || (wanted.result === "right") === (each[2] === 1));
    if (!asked.length) return false;
    const text = [question.prompt, ...question.gold, ...asked.map((each) => data.texts[each[1]])].join("\n");
    return text.toLowerCase().includes(wanted.search.trim().toLowerCase());
  };

  const passages = (cell, question, places) => {
    const box = make("details", "", cell);
    make("summary", places.length === 1 ? "1 passage" : `${places.length} passages`, box);
    box.addEventListener("toggle", () => {
      if (box.childElementCount > 1) return;
      for (const place of places) {
        const [source, title, text] = data.passages[place];
        const gold = question.documents.includes(source) ? " (a document that holds the answer)" : "";
        make("p", `${title || source}${gold}`, box, "source");
        make("p", text, box, "passage");
      }
    });
  };

  const card = (question, all) => {
    const item = make("li", "", list);
    const world = data.worlds.length > 1 ? `, world ${data.worlds[question.world]}` : "";
    make("h3", question.prompt, item);
    make("p", `${data.sets[question.set]}${world}. Accepted: ${question.gold.join(" or ") || "that it does not know"}`
      + (question.documents.length ? `. From: ${question.documents.join(", ")}` : ""), item, "gold");
    const box = make("div", "", item, "wide");
    box.tabIndex = 0;
    const table = make("table", "", box, "words");
    const head = make("tr", "", make("thead", "", table));
    for (const name of ["method", "right?", "answer", "why", "what it saw"]) make("th", name, head).scope = "col";
    const body = make("tbody", "", table);
    for (const [method, text, value, why, places] of question.answers) {
      if (!all && !data.main.includes(method)) continue;
      const row = make("tr", "", body);
      make("th", data.methods[method], row).scope = "row";
      make("td", value === 1 ? "✓ right" : value === 0 ? "✗ wrong" : `${value} of 1`, row, value === 1 ? "right" : "");
      make("td", data.texts[text] || "(nothing)", row, "answer");
      make("td", data.texts[why], row);
      const cell = make("td", places.length ? "" : "no passage", row);
      if (places.length) passages(cell, question, places);
    }
  };

  const page = () => {
    const all = form.elements.rows.value === "";
    for (const question of found.slice(shown, shown + STEP)) card(question, all);
    shown = Math.min(shown + STEP, found.length);
    const of = `${found.length.toLocaleString("en")} of ${data.questions.length.toLocaleString("en")} questions`;
    status.textContent = found.length ? `${of} fit; ${shown} are shown.` : "No question fits. Widen a filter.";
    more.hidden = shown >= found.length;
  };
  const search = () => {
    const wanted = Object.fromEntries(new FormData(form));
    found = data.questions.filter((question) => fits(question, wanted));
    shown = 0;
    list.replaceChildren();
    page();
  };
  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", page);
  search();
})();
