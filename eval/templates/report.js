"use strict";
const texts = JSON.parse(document.getElementById("texts").textContent);
const STEP = 50;

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function fill(pattern, values) {
  return pattern.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/* Offsets are code points: arrays of characters, not UTF-16 strings. */
function characters(article) {
  article.characters ??= Array.from(article.text);
  return article.characters;
}

/* Where an excerpt around two offsets begins and ends: about 90 characters on either side, whole words. */
function around(text, start, end) {
  const within = (i) => text[i]?.trim() && text[i - 1]?.trim();
  let from = Math.max(0, start - 90);
  let to = Math.min(text.length, end + 90);
  while (from < start && within(from)) from++;
  while (to > end && within(to)) to--;
  return [from, to];
}

/* The text between two offsets, the mentions of each side on a line of its own. */
function marked(article, sides, from, to, here) {
  const text = characters(article);
  const spans = [];
  for (const [, ...parts] of article.cases) {
    parts.forEach((part, number) => {
      for (const [start, end, label, score] of part) spans.push({ start, end, label, score, side: sides[number][0] });
    });
  }
  const inside = spans.filter((span) => span.start < to && span.end > from);
  const cuts = new Set([from, to]);
  for (const span of inside) {
    cuts.add(Math.max(from, span.start));
    cuts.add(Math.min(to, span.end));
  }
  if (here) for (const cut of here) if (cut > from && cut < to) cuts.add(cut);
  const places = [...cuts].sort((a, b) => a - b);
  const result = document.createDocumentFragment();
  for (let i = 0; i + 1 < places.length; i++) {
    const [start, end] = [places[i], places[i + 1]];
    const cover = inside.filter((span) => span.start <= start && span.end >= end);
    const piece = text.slice(start, end).join("");
    const names = [...new Set(cover.map((span) => span.side))];
    if (here && start >= here[0] && end <= here[1]) names.push("here");
    result.append(names.length ? element("i", { class: names.join(" ") }, piece) : piece);
    for (const span of cover.filter((span) => span.end === end)) {
      const score = span.score === undefined || span.score === null ? "" : " " + span.score.toFixed(2);
      result.append(element(span.side === "gold" ? "sub" : "sup", { class: "of-" + span.side }, " " + span.label + score + " "));
    }
  }
  return result;
}

function browse(section) {
  const { sides, kinds, quiet, articles } = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const form = section.querySelector("form");
  const list = section.querySelector("ol.cases");
  const more = section.querySelector("button.more");
  const found = section.querySelector("output");
  const rows = [];
  articles.forEach((article, number) => {
    for (const one of article.cases) {
      const [kind, ...parts] = one;
      const spans = parts.flat();
      const start = Math.min(...spans.map((span) => span[0]));
      const end = Math.max(...spans.map((span) => span[1]));
      const labels = new Set(spans.map((span) => span[2]));
      const score = Math.max(-1, ...spans.map((span) => span[3] ?? -1));
      rows.push({ article, number, kind, parts, start, end, labels, score });
    }
  });
  let chosen = [];
  let shown = 0;

  function item(row) {
    const text = characters(row.article);
    const [from, to] = around(text, row.start, row.end);
    const name = (span) => span[2] + " «" + text.slice(span[0], span[1]).join("") + "»";
    const say = (spans, number) =>
      element("span", {}, spans.length ? sides[number][1] + ": " + spans.map(name).join("، ") : "");
    return element(
      "li", {},
      element("div", { class: "what" },
        element("strong", {}, kinds[row.kind]), ...row.parts.map(say),
        element("button", { type: "button", onclick: () => view(row.number, row) }, texts.open + " " + row.article.id)),
      element("div", { class: "text" }, from > 0 ? "… " : "", marked(row.article, sides, from, to, [row.start, row.end]), to < text.length ? " …" : ""),
    );
  }

  function extend() {
    const next = chosen.slice(shown, shown + STEP);
    list.append(...next.map(item));
    shown += next.length;
    found.textContent = fill(texts.found, { shown, all: chosen.length });
    more.hidden = shown >= chosen.length;
  }

  function refresh() {
    const kind = form.elements.kind.value;
    const type = form.elements.type.value;
    const words = form.elements.words.value.trim();
    chosen = rows.filter((row) =>
      (kind === "*" || (kind === "" ? !quiet.includes(row.kind) : row.kind === kind)) &&
      (type === "" || row.labels.has(type)) &&
      (words === "" || characters(row.article).slice(row.start, row.end).join("").includes(words)));
    if (form.elements.order.value === "score") chosen.sort((a, b) => b.score - a.score);
    list.replaceChildren();
    shown = 0;
    extend();
  }

  const dialog = section.querySelector("dialog");
  const body = dialog.querySelector(".text");
  let current = 0;
  function view(number, row) {
    current = (number + articles.length) % articles.length;
    const article = articles[current];
    dialog.querySelector("h3").textContent = article.id;
    body.replaceChildren(marked(article, sides, 0, characters(article).length, row && [row.start, row.end]));
    if (!dialog.open) dialog.showModal();
    (body.querySelector(".here") ?? dialog).scrollIntoView({ block: "center" });
  }
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.querySelector(".previous").addEventListener("click", () => view(current - 1));
  dialog.querySelector(".next").addEventListener("click", () => view(current + 1));

  for (const event of ["input", "change"]) form.addEventListener(event, refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", extend);
  for (const button of document.querySelectorAll(`button[data-section="${section.id}"]`)) {
    button.hidden = false;
    button.addEventListener("click", () => {
      form.elements.kind.value = button.dataset.kind;
      refresh();
      section.scrollIntoView();
      form.elements.kind.focus();
    });
  }
  form.hidden = false;
  refresh();
}

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = Number.parseFloat(text.replace("−", "-"));
    return Number.isNaN(number) ? text : number;
  };
  heads.forEach((head, column) => {
    const label = head.textContent;
    head.setAttribute("aria-sort", "none");
    head.replaceChildren(element("button", { type: "button", onclick: () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        const order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1;
        return down ? -order : order;
      });
      body.append(...rows);
    } }, label));
  });
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("section.browse").forEach(browse);
