/* The words of the page in each language, from serve.ar.json and serve.en.json. */
const TEXTS = {"texts": "here"};
const SAMPLE = "مراكش تحتضن المعرض المغاربي للنشر\nاحتضنت مدينة مراكش، يوم السبت 15 نونبر 2025، المعرض المغاربي للنشر، بمبادرة من وزارة الثقافة وبشراكة مع جامعة القاضي عياض ومنظمة الأمم المتحدة للتربية والعلم والثقافة.\nوقالت مديرة المعرض إن الدورة المقبلة ستنظم بأكادير وبطنجة، بدعم من الاتحاد الأوروبي.";
const WORD = /[\p{L}\p{M}\p{N}\u0640]+/gu;

const $ = (id) => document.getElementById(id);
let language = "ar";
let info = { types: ["PER", "ORG", "LOC", "EVENT", "DATE", "MISC"], threshold: 0.5, max_characters: Infinity };
let article = null; // { id, text, spans, found, threshold, history }: offsets are UTF-16 units of text
let finished = []; // corrected articles that were here before
let hidden = new Set(); // types that are filtered out
let chosen = null; // what the editor is about: { start, end } and, where it is one already, its span
let marks = new Map(); // span -> its element
let unsaved = false;
let request = null;
let source = { shown: "", raw: "", name: "" }; // a text box turns \r\n into \n; the file's own text is what is tagged

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const text = (key, values = {}) => (TEXTS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
const number = (value) => value.toLocaleString(TEXTS[language].locale);
const say = (message) => { $("live").textContent = message; };
const typeName = (label) => TEXTS[language].types[label]?.[0] ?? label;

function typeLetter(label) {
  const known = TEXTS[language].types[label]?.[1];
  if (known) return known;
  const taken = new Set(info.types.map((other) => TEXTS[language].types[other]?.[1]));
  for (const other of info.types) {
    if (TEXTS[language].types[other]) continue;
    const letter = [...other, ..."0123456789"].find((char) => !taken.has(char));
    if (other === label) return letter;
    taken.add(letter);
  }
  return "?";
}

/* The six usual types keep their colours whatever the order; others take what is free. */
function tone(label) {
  const usual = Object.keys(TEXTS.ar.types);
  if (usual.includes(label)) return "t" + usual.indexOf(label);
  const free = [6, 7, ...usual.keys()].filter((i) => i > 5 || !info.types.includes(usual[i]));
  const others = info.types.filter((type) => !usual.includes(type));
  return "t" + free[Math.max(0, others.indexOf(label)) % free.length];
}

const badge = (label) => element("span", { class: "badge", "aria-hidden": "true" }, typeLetter(label));

// Offsets: code points of the text before a UTF-16 index, and whole letters with the marks that ride on them.
function codePoints(string) {
  const pairs = [];
  for (let i = 0; i + 1 < string.length; i++) if (string.codePointAt(i) > 0xffff) pairs.push(i++);
  return (index) => {
    let low = 0, high = pairs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[middle] < index) low = middle + 1;
      else high = middle;
    }
    return index - low;
  };
}

function letterStep(index, by) {
  const string = article.text;
  do index += by;
  while (index > 0 && index < string.length && (/[\udc00-\udfff]/.test(string[index]) || /[\p{M}\u0640]/u.test(string[index])));
  return Math.min(Math.max(index, 0), string.length);
}

/* Half-open ranges of the words, found once for an article. */
function articleWords() {
  article.words ??= Array.from(article.text.matchAll(WORD), (match) => [match.index, match.index + match[0].length]);
  return article.words;
}

// Language
function translate() {
  const words = TEXTS[language];
  document.documentElement.lang = language;
  document.documentElement.dir = words.direction;
  document.title = words.title;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = text(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", text(node.dataset.tLabel));
    if (node.tagName === "BUTTON") node.title = text(node.dataset.tLabel);
  }
  for (const node of document.querySelectorAll("[data-t-placeholder]")) node.placeholder = text(node.dataset.tPlaceholder);
  const other = language === "ar" ? "en" : "ar";
  $("language").textContent = words.other;
  $("language").lang = other;
  $("shortcuts").replaceChildren(...words.shortcuts.flatMap(([keys, what]) => [
    element("dt", {}, ...keys.replace("{types}", info.types.length).split(" ").flatMap((key) => [element("kbd", {}, key), " "])),
    element("dd", {}, what),
  ]));
  if (info.model) $("model").textContent = info.ready ? text("model", info) : text("loading");
  buildTypes();
  showSize();
  if (article) draw();
}

function buildTypes() {
  const button = (label, i, onclick) => element("button", { type: "button", class: tone(label), "data-label": label, onclick }, badge(label), typeName(label));
  $("legend").replaceChildren(...info.types.map((label, i) => {
    const node = button(label, i, () => toggle(label));
    node.append(element("span", { class: "count" }, "0"));
    node.setAttribute("aria-pressed", !hidden.has(label));
    return node;
  }));
  $("types").replaceChildren(...info.types.map((label, i) => {
    const node = button(label, i, () => assign(label));
    if (i < 9) node.append(" ", element("kbd", { "aria-hidden": "true" }, i + 1));
    return node;
  }));
}

// Input
function showSize() {
  const string = $("text").value;
  const characters = codePoints(string)(string.length);
  const words = string.match(WORD)?.length ?? 0;
  const limit = info.max_characters;
  $("text").dir = string ? "auto" : TEXTS[language].direction;
  $("size").textContent = string && Number.isFinite(limit) ? text("size", { words: number(words), characters: number(characters), limit: number(limit) }) : "";
  $("size").classList.toggle("over", characters > limit);
}

function fail(message) {
  $("alert").textContent = message;
  $("alert").hidden = !message;
}

function put(raw, name) {
  $("text").value = raw;
  source = { shown: $("text").value, raw, name };
  fail("");
  showSize();
}

async function read(file) {
  try {
    put(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()), file.name.replace(/\.[^.]*$/, ""));
  } catch {
    fail(text("not_text", { file: file.name }));
  }
}

function busy(on) {
  $("tag").disabled = on;
  $("cancel").hidden = !on;
  $("progress").hidden = !on;
  $("result").setAttribute("aria-busy", on);
  if (on) say(text("working"));
}

async function tag() {
  if (request) return;
  const shown = $("text").value;
  const own = shown === source.shown;
  const raw = own ? source.raw : shown;
  fail("");
  if (!raw.trim()) return fail(text("empty"));
  request = new AbortController();
  busy(true);
  try {
    const answer = await fetch("v1/tag?offsets=utf16&threshold=0", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: raw }), signal: request.signal,
    });
    const body = await answer.json().catch(() => ({ error: { code: "", message: answer.statusText } }));
    if (!answer.ok) {
      const known = TEXTS[language].errors[body.error.code];
      const wait = answer.headers.get("Retry-After");
      return fail(known ? known.replace("{wait}", wait).replace("{limit}", number(info.max_characters)) : body.error.message);
    }
    show(raw, body.spans, own && source.name);
  } catch (error) {
    fail(text(error.name === "AbortError" ? "cancelled" : "unreachable"));
  } finally {
    request = null;
    busy(false);
  }
}

function show(raw, spans, name) {
  if (article && corrections(article)) finished.push(article);
  const ids = new Set(finished.map((one) => one.id));
  const stem = name || new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  let id = stem;
  for (let i = 2; ids.has(id); i++) id = `${stem}-${i}`;
  article = { id, text: raw, spans, found: spans, threshold: Number($("threshold").value), history: [] };
  hidden = new Set();
  $("search").value = "";
  $("result").hidden = false;
  buildTypes();
  draw();
  say(spans.some(visible) ? text("found", { count: number(spans.filter(visible).length) }) : text("none"));
  $("result-title").focus({ preventScroll: true });
  $("result").scrollIntoView();
}

// Output
const kept = (span) => span.mine || span.score >= article.threshold;
const visible = (span) => kept(span) && !hidden.has(span.label);

/* A paragraph for each line, so that a browser lays out only those in sight; each knows where it starts. */
function draw() {
  marks = new Map();
  const paragraphs = [];
  let at = 0, next = 0;
  article.text.split(/(\r\n|\n|\r)/).forEach((part, i) => {
    if (i % 2 === 0) { // the odd ones are line breaks
      const node = element("p", { dir: "auto" });
      node.start = at;
      next = fill(node, part, next);
      paragraphs.push(node);
    }
    at += part.length;
  });
  $("article").replaceChildren(...paragraphs);
  refresh();
}

/* The line with its mentions; returns the index of the first span behind it. */
function fill(node, line, next) {
  const { spans } = article;
  const end = node.start + line.length;
  let at = node.start;
  while (next < spans.length && spans[next].start < end) {
    const span = spans[next++];
    const mark = ended(element("mark", {}, article.text.slice(span.start, Math.min(span.end, end))));
    mark.span = span;
    marks.set(span, mark);
    node.append(article.text.slice(at, span.start), mark);
    at = Math.min(span.end, end);
  }
  node.append(article.text.slice(at, end));
  node.normalize();
  return next;
}

/* The mark with its last character, behind which the letter of the type stands, in a span. */
function ended(mark) {
  const { textContent } = mark;
  const last = Math.max(0, textContent.search(/\P{M}\p{M}*$/u));
  mark.replaceChildren(textContent.slice(0, last), element("span", {}, textContent.slice(last)));
  return mark;
}

/* What is shown of the spans: under the score or filtered out, a mark is plain text. */
function refresh() {
  const counts = Object.fromEntries(info.types.map((label) => [label, 0]));
  let first = null;
  for (const span of article.spans) {
    const mark = marks.get(span);
    if (kept(span)) counts[span.label] = (counts[span.label] ?? 0) + 1;
    const shown = visible(span);
    if (shown) first ??= mark;
    if (mark.shown === (shown && language)) continue;
    mark.shown = shown && language;
    if (!shown) {
      for (const name of ["role", "tabindex", "class", "aria-label", "aria-haspopup"]) mark.removeAttribute(name);
      continue;
    }
    mark.className = tone(span.label) + (span.mine ? " mine" : "");
    mark.lastElementChild.dataset.letter = typeLetter(span.label);
    mark.setAttribute("role", "button");
    mark.setAttribute("aria-haspopup", "dialog");
    mark.setAttribute("aria-label", `${article.text.slice(span.start, span.end)}، ${typeName(span.label)}، ${trust(span)}`);
    mark.tabIndex = -1;
  }
  const stop = $("article").querySelector('mark[tabindex="0"]') ?? first;
  if (stop) stop.tabIndex = 0;
  $("article").tabIndex = stop ? -1 : 0;
  for (const node of $("legend").children) {
    node.querySelector(".count").textContent = number(counts[node.dataset.label]);
    node.setAttribute("aria-pressed", !hidden.has(node.dataset.label));
  }
  const counted = [...finished, article].map(corrections).filter(Boolean);
  const articles = counted.length > 1 ? text("articles", { count: number(counted.length) }) : "";
  $("corrections").textContent = counted.length ? text("corrections", { count: number(counted.reduce((a, b) => a + b)) }) + articles : "";
  $("undo").disabled = !article.history.length;
  listNames();
}

/* Mentions that somebody marked, and those that were deleted without another in their place. */
function corrections({ spans, found }) {
  const now = new Set(spans);
  const mine = spans.filter((span) => span.mine);
  const gone = found.filter((span) => !now.has(span) && !mine.some((one) => one.start < span.end && span.start < one.end));
  return mine.length + gone.length;
}

const trust = (span) => span.mine ? text("mine") : text("score", { score: span.score.toFixed(2) });

function listNames() {
  const groups = new Map();
  const words = $("search").value.trim();
  let total = 0;
  for (const span of article.spans) {
    if (!visible(span)) continue;
    total++;
    if (words && !span.name.includes(words) && !span.text.includes(words)) continue;
    const key = `${span.label}\n${span.name}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(span);
  }
  const rows = [...groups.values()].sort((a, b) => b.length - a.length);
  $("total").textContent = number(total);
  $("search").hidden = !total;
  if (!rows.length) return $("names").replaceChildren(element("p", { class: "note" }, text("none")));
  $("names").replaceChildren(...info.types.flatMap((label) => {
    const own = rows.filter((spans) => spans[0].label === label);
    if (!own.length) return [];
    return [
      element("h4", { class: tone(label) }, badge(label), typeName(label), " ", element("span", { class: "note" }, number(own.length))),
      element("ul", {}, ...own.map((spans) => {
        const best = spans.some((span) => span.mine) ? "✓" : Math.max(...spans.map((span) => span.score)).toFixed(2);
        let turn = 0;
        return element("li", {}, element("button", { type: "button", onclick: () => go(marks.get(spans[turn++ % spans.length])) },
          element("bdi", { lang: "ar" }, spans[0].name), element("span", { class: "note" }, spans.length > 1 ? `×${number(spans.length)} · ` : "", element("bdi", { dir: "ltr" }, best))));
      })),
    ];
  }));
}

function go(mark) {
  if (!mark) return;
  mark.scrollIntoView({ block: "center" });
  focusMark(mark);
}

function focusMark(mark) {
  const before = $("article").querySelector('mark[tabindex="0"]');
  if (before) before.tabIndex = -1;
  $("article").tabIndex = -1;
  mark.tabIndex = 0;
  mark.focus({ preventScroll: mark.getBoundingClientRect().height > innerHeight });
}

function toggle(label) {
  if (hidden.has(label)) hidden.delete(label);
  else hidden.add(label);
  refresh();
  say(text("found", { count: number(article.spans.filter(visible).length) }));
}

// Start
$("input").addEventListener("submit", (event) => { event.preventDefault(); tag(); });
$("text").addEventListener("input", showSize);
$("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); tag(); } });
$("cancel").addEventListener("click", () => request?.abort());
$("file").addEventListener("change", () => { if ($("file").files.length) read($("file").files[0]); $("file").value = ""; });
$("sample").addEventListener("click", () => put(SAMPLE, ""));
const drop = document.querySelector(".drop");
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { if (event.dataTransfer.types.includes("Files")) { event.preventDefault(); drop.classList.add("drag"); } });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("drag"));
drop.addEventListener("drop", (event) => { if (event.dataTransfer.files.length) { event.preventDefault(); read(event.dataTransfer.files[0]); } });

let waiting = 0;
$("threshold").addEventListener("input", () => {
  $("threshold-value").textContent = Number($("threshold").value).toFixed(2);
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => {
    if (!article) return;
    article.threshold = Number($("threshold").value);
    refresh();
  });
});
$("threshold").addEventListener("change", () => { if (article) say(text("found", { count: number(article.spans.filter(visible).length) })); });
$("search").addEventListener("input", listNames);
$("undo").addEventListener("click", undo);
$("copy").addEventListener("click", copy);
$("download").addEventListener("click", () => save(asJson(), `${article.id}.json`, "application/json"));
$("export").addEventListener("click", () => {
  save(asJsonl(), `${article.id}.jsonl`, "application/x-ndjson");
  unsaved = false;
  say(text("exported", { count: number(finished.length + 1) }));
});

bindEditor();
document.addEventListener("keydown", (event) => {
  if (event.code === "KeyZ" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !/^(?:TEXTAREA|INPUT)$/.test(event.target.tagName)) { event.preventDefault(); undo(); }
});
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
$("language").addEventListener("click", () => {
  language = language === "ar" ? "en" : "ar";
  try { localStorage.setItem("language", language); } catch { /* it is only a convenience */ }
  translate();
});

async function begin() {
  try {
    const known = localStorage.getItem("language");
    if (known in TEXTS) language = known;
  } catch { /* as above */ }
  translate();
  try {
    for (;;) {
      info = await (await fetch("v1/model")).json();
      translate();
      if (info.ready) break;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    $("threshold").value = info.threshold;
    $("threshold-value").textContent = Number($("threshold").value).toFixed(2);
  } catch {
    fail(text("unreachable"));
  }
}
begin();
