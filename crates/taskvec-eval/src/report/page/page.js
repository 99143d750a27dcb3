"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data");
  const byId = (id) => document.getElementById(id);

  // Text becomes text nodes only: whatever a model wrote, nothing here can turn it into markup.
  const element = (name, className, ...children) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };

  // Characters that cannot be seen, or that turn the direction of those around them, are named.
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;
  const visible = (text) => {
    const nodes = [];
    let plain = "";
    for (const character of text) {
      if (hidden.test(character)) {
        nodes.push(plain);
        plain = "";
        const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
        nodes.push(element("span", "control", `⟨U+${code}⟩`));
      } else {
        plain += character;
      }
    }
    nodes.push(plain);
    return nodes.filter((node) => node !== "");
  };

  // Answers.
  const OUTCOMES = [
    ["all", "all"],
    ["gained", "gained"],
    ["lost", "lost"],
    ["right", "both right"],
    ["wrong", "both wrong"],
  ];
  const PAGE = 25;
  const outcome = (before, after) => {
    if (before.correct) return after.correct ? "right" : "lost";
    return after.correct ? "gained" : "wrong";
  };

  const option = (select, value, label) => {
    const made = element("option", "", label);
    made.value = value;
    select.append(made);
  };
  const [before, after, cell, kind, text] = ["before", "after", "cell", "kind", "text"].map(byId);
  data.models.forEach((model, index) => {
    option(before, index, model.label);
    option(after, index, model.label);
  });
  const baseline = data.models.findIndex((model) => model.label === data.report.baseline);
  before.value = baseline < 0 ? 0 : baseline;
  after.value = data.headline_model;
  data.cells.forEach((cell_, index) => {
    option(cell, index, cell_.condition === "clean" ? cell_.task : `${cell_.task} ${cell_.condition}`);
  });
  const counts = {};
  for (const [value, label] of OUTCOMES) {
    const radio = element("input");
    radio.type = "radio";
    radio.name = "outcome";
    radio.value = value;
    radio.checked = value === "all";
    counts[value] = element("span", "faint");
    byId("outcomes").append(element("label", "", radio, label, counts[value]));
  }

  const kinds = () => {
    const chosen = kind.value;
    const known = [...new Set(data.cells[cell.value].questions.map((question) => question.kind))].filter(Boolean);
    kind.replaceChildren();
    option(kind, "", "all");
    for (const name of known) option(kind, name, name);
    kind.value = known.includes(chosen) ? chosen : "";
    kind.disabled = known.length === 0;
  };

  // The longest common subsequence of words tells what changed; beyond this many words both are shown plain.
  const WORDS = 600;
  const changes = (one, other) => {
    const [a, b] = [one, other].map((text_) => text_.split(/(\s+)/).filter(Boolean));
    if (a.length > WORDS || b.length > WORDS) return [[["same", one]], [["same", other]]];
    const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
      }
    }
    const [left, right] = [[], []];
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        left.push(["same", a[i++]]);
        right.push(["same", b[j++]]);
      } else if (j >= b.length || (i < a.length && length[i + 1][j] >= length[i][j + 1])) {
        left.push(["del", a[i++]]);
      } else {
        right.push(["ins", b[j++]]);
      }
    }
    return [left, right];
  };
  const marked = (parts) => {
    const line = element("p", "answer");
    line.dir = "auto";
    let run = null;
    for (const [name, words] of parts) {
      if (name === "same") {
        run = null;
        line.append(...visible(words));
      } else {
        if (!run) {
          run = element(name);
          line.append(run);
        }
        run.append(...visible(words));
      }
    }
    if (parts.length === 0) line.append(element("span", "faint", "(nothing)"));
    return line;
  };
  const answer = (model, given, parts) => {
    const made = element("div", "", element("h4", "", element("bdi", "", ...visible(data.models[model].label))));
    made.append(marked(parts));
    const reading = element("p", "reading", given.correct ? "right" : "wrong", ", read as ");
    reading.append(given.strict === null ? "nothing" : element("bdi", "", "“", ...visible(given.strict), "”"));
    if (given.finish === "length") reading.append(", cut off");
    made.append(reading);
    if (given.prompt !== null) made.append(element("p", "reading", "was asked: ", ...visible(given.prompt)));
    return made;
  };
  const sample = ([question, result]) => {
    const names = Object.fromEntries(OUTCOMES);
    const heading = element("h3", "", `${names[result]} · ${question.id}`, question.kind ? ` · ${question.kind}` : "");
    const asked = element("p", "question", ...visible(question.prompt));
    asked.dir = "auto";
    const item = element("li", `is-${result}`, heading, asked);
    if (question.choices.length) item.append(element("p", "reading", "choices: ", ...visible(question.choices.join(" | "))));
    item.append(element("p", "reading", "reference: ", element("bdi", "", ...visible(question.reference))));
    const [one, other] = [question.answers[before.value], question.answers[after.value]];
    const [left, right] = changes(one.text, other.text);
    const pair = element("div", "pair", answer(before.value, one, left));
    if (before.value !== after.value) pair.append(answer(after.value, other, right));
    item.append(pair);
    return item;
  };

  let found = [];
  let shown = 0;
  const more = () => {
    const next = found.slice(shown, shown + PAGE);
    byId("list").append(...next.map(sample));
    shown += next.length;
    byId("more").hidden = shown >= found.length;
  };
  const filter = () => {
    const wanted = document.querySelector("input[name=outcome]:checked").value;
    const words = text.value.toLowerCase();
    const tally = { all: 0, gained: 0, lost: 0, right: 0, wrong: 0 };
    found = [];
    for (const question of data.cells[cell.value].questions) {
      const [one, other] = [question.answers[before.value], question.answers[after.value]];
      if (!one || !other) continue;
      if (kind.value && question.kind !== kind.value) continue;
      const texts = [question.prompt, question.reference, question.id, one.text, other.text];
      if (words && !texts.some((part) => part.toLowerCase().includes(words))) continue;
      const result = outcome(one, other);
      tally[result]++;
      tally.all++;
      if (wanted === "all" || wanted === result) found.push([question, result]);
    }
    for (const [name, count] of Object.entries(tally)) counts[name].textContent = count;
    byId("count").textContent = `${found.length} of ${data.cells[cell.value].questions.length} questions`;
    byId("list").replaceChildren();
    shown = 0;
    more();
  };
  for (const control of [before, after, kind]) control.addEventListener("change", filter);
  cell.addEventListener("change", () => {
    kinds();
    filter();
  });
  text.addEventListener("input", filter);
  byId("outcomes").addEventListener("change", filter);
  byId("more").addEventListener("click", () => {
    // Focus goes to the first of the new answers, where a reader by keyboard wants to go on.
    const first = byId("list").children.length;
    more();
    const item = byId("list").children[first];
    if (item) {
      item.tabIndex = -1;
      item.focus();
    }
  });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  kinds();
  filter();
})();
