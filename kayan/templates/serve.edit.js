/* Corrections and their export; put in front of serve.js, which holds the article and shows it. */
"use strict";

/* Other spans, told in the live region; focus: the span to go to, null for the first mark. */
function change(spans, message, focus) {
  article.history.push(article.spans);
  unsaved = true;
  patch(spans);
  say(message);
  const mark = focus && marks.get(focus);
  if (mark) focusMark(mark);
  else if (focus === null) ($("article").querySelector('mark[tabindex="0"]') ?? $("article")).focus();
}

/* Shows other spans by changing only their marks: in a long line all of them take a second. */
function patch(spans) {
  const [before, after] = [new Set(article.spans), new Set(spans)];
  article.spans = spans;
  const touched = new Set();
  for (const span of before) {
    if (after.has(span)) continue;
    const mark = marks.get(span);
    touched.add(mark.parentElement);
    mark.replaceWith(mark.textContent);
    marks.delete(span);
  }
  for (const paragraph of touched) paragraph.normalize();
  for (const span of after) {
    if (before.has(span)) continue;
    const [node, offset] = pointAt(span.start);
    const range = document.createRange();
    range.setStart(node, offset);
    range.setEnd(node, Math.min(offset + span.end - span.start, node.length));
    const mark = element("mark");
    mark.span = span;
    range.surroundContents(mark);
    ended(mark);
    mark.parentElement.normalize();
    marks.set(span, mark);
  }
  refresh();
}

/* A name for a mention that the server has not named: the server's for the same words, else without marks and spaces. */
function nameOf(start, end) {
  const surface = article.text.slice(start, end);
  const after = article.text[start - 1] === "ل";
  const same = article.found.find((span) => span.text === surface && (article.text[span.start - 1] === "ل") === after);
  const plain = surface.replace(/[\u0640\u064b-\u0652\u0670]/g, "").replace(/\s+/g, " ").trim();
  return same?.name ?? (after && plain.startsWith("ل") ? "ا" + plain : plain);
}

function assign(label, range = chosen) {
  if (!range) return;
  const { start, end } = range;
  const span = { start, end, label, score: null, text: article.text.slice(start, end), name: nameOf(start, end), mine: true };
  const [others, replaced] = [[], []];
  for (const one of article.spans) (one !== range.span && (one.end <= start || one.start >= end) ? others : replaced).push(one);
  const count = replaced.filter((one) => one !== range.span && kept(one)).length;
  hidden.delete(label);
  closeEditor();
  getSelection().removeAllRanges();
  const spans = [...others, span].sort((a, b) => a.start - b.start);
  change(spans, text(count ? "replaced" : "marked", { text: span.text, type: typeName(label), count: number(count) }), span);
}

function remove(span) {
  const shown = article.spans.filter(visible);
  const next = shown[shown.indexOf(span) + 1] ?? shown[shown.indexOf(span) - 1] ?? null;
  closeEditor();
  change(article.spans.filter((one) => one !== span), text("removed", { text: span.text }), next);
}

function move(span, edge, to) {
  const range = { start: span.start, end: span.end, span, [edge]: to };
  if (range.start >= range.end) return;
  const open = $("editor").matches(":popover-open");
  assign(span.label, range);
  if (open) edit(article.spans.find((one) => one.start === range.start));
}

function undo() {
  if (!article?.history.length) return;
  const before = new Set(article.spans);
  unsaved = true;
  closeEditor();
  patch(article.history.pop());
  say(text("undone"));
  const mark = marks.get(article.spans.find((span) => !before.has(span)));
  if (mark?.role) focusMark(mark);
}

// The editor: of a mark, or of selected text
function edit(span) {
  openEditor({ start: span.start, end: span.end, span }, marks.get(span).getBoundingClientRect());
  $("types").querySelector("[aria-pressed=true]").focus();
}

function openEditor(range, box) {
  chosen = range;
  const { span } = range;
  $("editor-text").textContent = article.text.slice(range.start, range.end);
  $("editor-score").textContent = span ? trust(span) : "";
  $("edges").hidden = $("remove").hidden = !span;
  for (const node of $("types").children) node.setAttribute("aria-pressed", node.dataset.label === span?.label);
  const editor = $("editor");
  if (!editor.matches(":popover-open")) editor.showPopover();
  const { width, height } = editor.getBoundingClientRect();
  const below = box.bottom + 8 + height < innerHeight || box.top < height + 16;
  editor.style.setProperty("inset", "auto");
  editor.style.setProperty("top", `${Math.max(8, Math.min(below ? box.bottom + 8 : box.top - height - 8, innerHeight - height - 8))}px`);
  editor.style.setProperty("left", `${Math.max(8, Math.min(box.left + box.width / 2 - width / 2, document.documentElement.clientWidth - width - 8))}px`);
  const hides = box.bottom + 8 - editor.getBoundingClientRect().top;
  if (box.top < innerHeight && hides > 0 && matchMedia("(max-width: 40rem)").matches) scrollBy({ top: hides, behavior: "instant" });
}

function closeEditor() {
  if ($("editor").matches(":popover-open")) $("editor").hidePopover();
  chosen = null;
}

/* The place of a point of the selection in the text; null outside the article. */
function placeOf(node, offset) {
  if (node === $("article")) {
    const child = node.children[offset];
    return child ? child.start : article.text.length;
  }
  const paragraph = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest?.("#article > p");
  if (!paragraph) return null;
  const range = document.createRange();
  range.setStart(paragraph, 0);
  range.setEnd(node, offset);
  return paragraph.start + range.toString().length;
}

function selected() {
  const selection = getSelection();
  if (!article || !selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  let [start, end] = [placeOf(range.startContainer, range.startOffset), placeOf(range.endContainer, range.endOffset)];
  if (start === null || end === null) return null;
  while (start < end && /\s/.test(article.text[start])) start++;
  while (start < end && /\s/.test(article.text[end - 1])) end--;
  return start < end ? { start, end } : null;
}

/* The text node that holds the character at a place, and its offset there; with `behind`, the one before the place. */
function pointAt(place, behind = false) {
  const paragraphs = [...$("article").children];
  const paragraph = paragraphs.findLast((node) => node.start <= place);
  const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
  let left = place - paragraph.start;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (left < node.length + behind) return [node, left];
    left -= node.length;
  }
  return [paragraph, paragraph.childNodes.length];
}

function select({ start, end }) {
  $("article").tabIndex = -1;
  $("article").focus({ preventScroll: true });
  getSelection().setBaseAndExtent(...pointAt(start), ...pointAt(end, true));
  getSelection().getRangeAt(0).startContainer.parentElement.scrollIntoView({ block: "nearest" });
  say(article.text.slice(start, end));
}

/* The end of the word before or behind a place, to move an end by words. */
function wordEnd(place, by) {
  const ends = articleWords().map(([, end]) => end);
  return by > 0 ? ends.find((end) => end > place) ?? place : ends.findLast((end) => end < place) ?? place;
}

function keys(event) {
  const mark = event.target.closest("mark[role]");
  const span = mark?.span;
  const range = span ? null : selected();
  const line = mark?.parentElement ?? (range && getSelection().getRangeAt(0).startContainer.parentElement);
  const leftwards = line && getComputedStyle(line).direction === "rtl" ? 1 : -1;
  const forward = { ArrowDown: 1, ArrowUp: -1, ArrowLeft: leftwards, ArrowRight: -leftwards }[event.key];
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
  const label = info.types[digit - 1];
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const shown = () => [...$("article").querySelectorAll("mark[role]")];
  if (forward && event.shiftKey && (span || range)) {
    const { start, end } = span ?? range;
    const moved = event.ctrlKey || event.metaKey ? { start: letterStep(start, forward), end } : { start, end: wordEnd(end, forward) };
    if (moved.start >= moved.end) return;
    if (span) move(span, moved.start === start ? "end" : "start", moved.start === start ? moved.end : moved.start);
    else select(moved);
  } else if (forward && plain && range) {
    const list = articleWords();
    const next = forward > 0 ? list.find(([start]) => start >= range.end) : list.findLast(([, end]) => end <= range.start);
    if (next) select({ start: next[0], end: next[1] });
  } else if (forward && plain && span) {
    const list = shown();
    const next = list[list.indexOf(mark) + forward];
    if (next) focusMark(next);
  } else if ((event.key === "Home" || event.key === "End") && plain && span) {
    focusMark(shown().at(event.key === "Home" ? 0 : -1));
  } else if ((event.key === "Enter" || event.key === " ") && span) {
    edit(span);
  } else if (event.key === "Enter" && range) {
    offer();
    $("types").firstElementChild.focus();
  } else if ((event.key === "Delete" || event.key === "Backspace") && span) {
    remove(span);
  } else if (label && plain && (span || range)) {
    assign(label, span ? { start: span.start, end: span.end, span } : range);
  } else if (event.code === "KeyN" && plain) {
    const from = span?.end ?? range?.end ?? 0;
    const next = articleWords().find(([start]) => start >= from) ?? articleWords().at(-1);
    if (next) select({ start: next[0], end: next[1] });
  } else if (event.key === "Escape" && range) {
    getSelection().removeAllRanges();
    const before = article.spans.findLast((one) => visible(one) && one.start <= range.start) ?? article.spans.find(visible);
    if (before) focusMark(marks.get(before));
  } else return;
  event.preventDefault();
}

/* The editor for the selected text, which keeps the focus where it is. */
function offer() {
  const range = selected();
  if (range) openEditor(range, getSelection().getRangeAt(0).getBoundingClientRect());
}

// Export: code points, checked against the words that they quote
function record(one, spans) {
  const points = codePoints(one.text);
  const characters = Array.from(one.text);
  return {
    id: one.id,
    text: one.text,
    spans: spans.map((span) => {
      const [start, end] = [points(span.start), points(span.end)];
      if (characters.slice(start, end).join("") !== one.text.slice(span.start, span.end)) throw new Error(`offsets ${start}, ${end}`);
      return { start, end, label: span.label, text: one.text.slice(span.start, span.end) };
    }),
  };
}

function asJson() {
  const spans = article.spans.filter(visible);
  const plain = record(article, spans);
  plain.spans.forEach((span, i) => Object.assign(span, { name: spans[i].name, score: spans[i].score }));
  return JSON.stringify(plain, null, 1) + "\n";
}

function asJsonl() {
  const all = [...finished, article];
  return all.map((one) => {
    const spans = one.spans.filter((span) => span.mine || span.score >= one.threshold);
    const meta = { tagger: `${info.model} ${info.version}`, threshold: one.threshold, corrections: corrections(one) };
    return JSON.stringify({ ...record(one, spans), meta }) + "\n";
  }).join("");
}

function save(content, name, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(asJson());
    say(text("copied"));
    $("copy").textContent = text("copied");
    setTimeout(() => { $("copy").textContent = text("copy"); }, 2000);
  } catch {
    fail(text("not_copied"));
  }
}

function bindEditor() {
  $("article").addEventListener("keydown", keys);
  $("article").addEventListener("click", (event) => {
    const mark = event.target.closest("mark[role]");
    if (mark && getSelection().isCollapsed) { focusMark(mark); edit(mark.span); }
  });
  let pointer = false;
  document.addEventListener("pointerdown", (event) => { pointer = $("article").contains(event.target); });
  document.addEventListener("pointerup", () => { if (pointer) setTimeout(offer); pointer = false; });
  let settled = 0;
  document.addEventListener("selectionchange", () => { clearTimeout(settled); settled = setTimeout(() => { if (matchMedia("(pointer: coarse)").matches) offer(); }, 400); });
  $("editor").addEventListener("mousedown", (event) => event.preventDefault()); // the selection stays
  $("editor").addEventListener("keydown", (event) => {
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    const { activeElement } = document;
    if (digit && info.types[digit - 1]) assign(info.types[digit - 1]);
    else if (event.key === "Delete" && chosen?.span) remove(chosen.span);
    else if (/^Arrow/.test(event.key)) {
      const buttons = [...$("editor").querySelectorAll("button")].filter((node) => node.offsetParent);
      const ahead = event.key === "ArrowDown" || event.key === (TEXTS[language].direction === "rtl" ? "ArrowLeft" : "ArrowRight");
      buttons.at((buttons.indexOf(activeElement) + (ahead ? 1 : -1)) % buttons.length).focus();
    } else return;
    event.preventDefault();
  });
  $("editor").addEventListener("toggle", (event) => {
    if (event.newState !== "closed" || !chosen?.span) return;
    const mark = marks.get(chosen.span);
    if (mark?.role && (document.activeElement === document.body || $("editor").contains(document.activeElement))) focusMark(mark);
  });
  $("close").addEventListener("click", closeEditor);
  $("remove").addEventListener("click", () => { if (chosen?.span) remove(chosen.span); });
  for (const node of document.querySelectorAll("[data-edge]")) {
    node.addEventListener("click", () => {
      const { span } = chosen;
      const step = Number(node.dataset.step);
      const { edge } = node.dataset;
      move(span, edge, letterStep(span[edge], step));
      node.focus();
    });
  }
}
