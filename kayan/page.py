"""HTML: an article with its mentions marked, for notebooks, and findings of the data doctor in their articles, as one file
that needs no network and no script of others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise

from kayan.corpus import Corpus
from kayan.doctor import Finding, Fix, summary
from kayan.document import Document, Span
from kayan.terminal import visible
from kayan.words import around, ellipses

# Characters shown on either side of a mention at most, and of the mention itself.
AROUND, LONGEST = 90, 300
_ARABIC = re.compile("[\u0620-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]")
# Letter, tone and ground of the usual types, as the page of `kayan serve` has them; other types take what is free.
_LOOKS = {
    "PER": ("P", "#0b5cad", "#d9e9fb"),
    "ORG": ("O", "#9a4a00", "#fde5cf"),
    "LOC": ("L", "#0a6b4a", "#d3f0e2"),
    "EVENT": ("E", "#8a1f7a", "#f7dcf2"),
    "DATE": ("D", "#6b5d00", "#f5edb8"),
    "MISC": ("M", "#4a5560", "#e2e6ea"),
}
_SPARE = (("#00696f", "#cdeff0"), ("#a3231f", "#fbdedb"))
# Notebooks would typeset what stands between two dollar signs.
_NO_FORMULA = 'class="tex2jax_ignore mathjax_ignore"'
# Notebooks put all text to the left, and paragraphs by themselves.
_BLOCK = "max-width:50em;text-align:start;margin-bottom:1em"

_STYLE = """\
:root { color-scheme: light dark; --line: #8886; --mark: #ffd54a; --fix: #7fd18b; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
[hidden] { display: none; }
h1 { font-size: 1.4rem; } code, .place { font: .85rem ui-monospace, monospace; overflow-wrap: anywhere; }
.place { opacity: .8; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; padding: .5rem 0; border-block: 1px solid var(--line); }
label { display: flex; gap: .4rem; align-items: baseline; max-width: 100%; } select { min-width: 0; max-width: 100%; }
input[type=search] { min-width: 12rem; font: inherit; }
ol { padding: 0; list-style: none; } li { border-bottom: 1px solid var(--line); padding: .7rem 0; }
li p { margin: .2rem 0; } .text { font-size: 1.1rem; overflow-wrap: anywhere; }
mark, ins { color: #000; padding: 0 .15em; border-radius: .2em; print-color-adjust: exact; text-decoration: none; }
mark { background: var(--mark); border-bottom: 2px dotted; } ins { background: var(--fix); border-bottom: 2px solid; }
.rule { font-weight: 600; } table { border-collapse: collapse; } td, th { padding: .1rem .7rem; text-align: start; }
"""
_SCRIPT = """\
const rows = [...document.querySelectorAll("li")], count = document.getElementById("count");
const form = document.querySelector("form");
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("input", () => {
  const rule = form.rule.value, file = form.file.value, text = form.text.value.trim();
  let shown = 0;
  for (const row of rows) {
    row.hidden = (rule && row.dataset.rule !== rule) || (file && row.dataset.file !== file)
      || (text && !row.textContent.includes(text));
    shown += !row.hidden;
  }
  count.textContent = `${shown || "none"} of ${rows.length} findings shown`;
});
"""


def article(document: Document) -> str:
    """The article with its mentions marked, as HTML for a notebook: right to left where it holds Arabic, each mention in the
    colour of its type with the type's letter behind it (the score shows under the pointer), and the types with the numbers
    of their mentions below.

    Where mentions overlap, characters have the colour of the shortest. Text and labels are escaped. There is no script and
    no style sheet: viewers of notebooks strip both, and what is left without the colours can still be read.
    """
    looks = looks_of(span.label for span in document.spans)
    waiting, open_ = list(document.spans[::-1]), list[Span]()
    edges = sorted({0, len(document.text), *(edge for span in document.spans for edge in (span.start, span.end))})
    pieces = []
    for a, b in pairwise(edges):
        open_ = [span for span in open_ if span.end > a]
        while waiting and waiting[-1].start <= a:
            open_.append(waiting.pop())
        pieces.append(_piece(document.text[a:b], b, open_, looks))
    direction = "rtl" if _ARABIC.search(document.text) else "auto"
    counts = Counter(span.label for span in document.spans)
    legend = " &ensp; ".join(
        f"<bdi>{_badge(looks[label])} {escape(visible(label))} {counts[label]}</bdi>" for label in looks
    )
    return _storable(
        f'<div {_NO_FORMULA} dir="{direction}" style="{_BLOCK};line-height:2;font-size:110%">'
        f'{"".join(pieces)}<div style="font-size:85%;margin-top:.5em">{legend}</div></div>'
    )


def looks_of(labels: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """Letter, tone and ground of each type, the usual ones first, then the others by name.

    >>> {label: look[0] for label, look in looks_of(["TEAM", "LOC", "TITLE", "TEAM"]).items()}
    {'LOC': 'L', 'TEAM': 'T', 'TITLE': 'I'}
    """
    used = set(labels)
    looks = {label: look for label, look in _LOOKS.items() if label in used}
    tones = [*_SPARE, *(look[1:] for label, look in _LOOKS.items() if label not in used)] or [_SPARE[0]]
    taken = {look[0] for look in _LOOKS.values()}
    for number, label in enumerate(sorted(used - looks.keys())):
        letter = next((char for char in label if char.isalnum() and char not in taken), label)
        taken.add(letter)
        looks[label] = (letter, *tones[number % len(tones)])
    return looks


def _piece(text: str, end: int, spans: Sequence[Span], looks: Mapping[str, tuple[str, str, str]]) -> str:
    """Text within all of `spans`, with the letters of those that end at `end` behind it."""
    shown = escape(visible(text)).replace("\n", "<br>")
    if not spans:
        return shown
    inner = min(spans, key=lambda span: span.end - span.start)
    told = ", ".join(span.label if span.score is None else f"{span.label} {span.score:.2f}" for span in spans)
    letters = "".join(_badge(looks[span.label]) for span in spans if span.end == end)
    _, tone, ground = looks[inner.label]
    style = f"color:#1c1c1c;background:{ground};border-bottom:2px solid {tone};padding:.1em 0"
    return f'<mark title="{escape(visible(told))}" style="{style}">{shown}{letters}</mark>'


def _badge(look: tuple[str, str, str]) -> str:
    letter, tone, _ = look
    style = f"color:#fff;background:{tone};border-radius:.25em;padding:.1em .3em;margin:0 .2em;font:bold 60% sans-serif"
    return f'<sup dir="ltr" style="{style}">{escape(visible(letter))}</sup>'


def findings_page(parts: Mapping[str, Corpus], findings: Sequence[Finding]) -> str:
    """An HTML page of the findings, each with some words around it, the mention marked and the proposed fix; filtered by
    rule, file and text. Texts of articles are escaped."""
    rules = summary(findings)
    options = "".join(f'<option value="{escape(rule)}">{escape(rule)} ({n})</option>' for rule, n in rules.items())
    files = "".join(f'<option value="{escape(file)}">{escape(file)}</option>' for file in parts if file)
    sizes = "".join(
        f"<tr><th scope=row><code>{escape(file)}</code></th><td>{len(part)}</td>"
        f"<td>{sum(len(document.spans) for document in part.documents)}</td>"
        f"<td>{sum(finding.file == file for finding in findings)}</td></tr>"
        for file, part in parts.items()
    )
    items = "\n".join(map(_item, findings))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>kayan data check</title><style>{_STYLE}</style></head><body><main>
<h1>kayan data check</h1><p role="status" id="count">{len(findings) or "no"} findings</p>
<p><mark>marked now</mark> <ins>proposed</ins></p>
<table><thead><tr><th scope=col>file</th><th scope=col>articles</th><th scope=col>mentions</th><th scope=col>findings</th></tr>
</thead><tbody>{sizes}</tbody></table>
<form role="search" aria-label="Filter the findings" autocomplete="off">
<label>rule <select name="rule"><option value="">all</option>{options}</select></label>
<label>file <select name="file"><option value="">all</option>{files}</select></label>
<label>text <input type="search" name="text" dir="auto"></label></form>
<ol role="list">{items}</ol></main><script>{_SCRIPT}</script></body></html>
"""


def _item(finding: Finding) -> str:
    return f'<li data-rule="{escape(finding.rule)}" data-file="{escape(finding.file)}">{_told_in_full(finding)}</li>'


def finding(one: Finding) -> str:
    """A finding as HTML for a notebook: the rule, the place, the mention in its text, what is wrong and what would mend it."""
    style = f"{_BLOCK};border-left:3px solid #ffd54a;padding-left:.8em"
    return _storable(f'<div {_NO_FORMULA} style="{style}">{_told_in_full(one)}</div>')


def _storable(html: str) -> str:
    """Without halves of characters, which no notebook can be written with."""
    return html.encode("utf-8", "replace").decode()


def _told_in_full(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    fix = f'<p dir="ltr">→ {_told(str(finding.fix))}</p>' if finding.fix else ""
    shown = _shown(finding.span, finding.fix) if finding.span else ""
    return (
        f'<p><b class="rule">{escape(finding.rule)}</b> <span class="place"><bdi>{escape(place)}</bdi> '
        f"{_isolated(finding.article)}</span></p>"
        f'{shown}<p dir="ltr">{_told(finding.message)}</p>{fix}'
    )


def _told(message: str) -> str:
    """The message, with the Arabic that it quotes or names kept from turning the line around."""
    plain, *pieces = re.split(r"'((?:[^'\\]|\\.)*)'", message)  # as `kayan.doctor.quoted` writes them
    told = [_plain(plain)]
    for name, plain in zip(pieces[::2], pieces[1::2], strict=True):
        told += ["«", _isolated(name.replace("\\'", "'")), "»", _plain(plain)]
    return "".join(told)


def _plain(text: str) -> str:
    """What no quotation marks enclose: a word of Arabic in it is a type or in the name of a file."""
    pieces = re.split(r"([\s'():]+)", text)
    return "".join(_isolated(piece) if _ARABIC.search(piece) else escape(piece) for piece in pieces)


def _isolated(text: str) -> str:
    language = ' lang="ar"' if _ARABIC.search(text) else ""
    return f"<bdi{language}>{escape(text)}</bdi>"


def _shown(span: Span, proposed: Fix | None) -> str:
    """The text around the mention: what is marked, or is to be removed, and underlined what the fix would mark."""
    text = span.source or ""
    if proposed and proposed.action == "remove":
        span, proposed = proposed.span, None
    fix = proposed.span if proposed else None
    start, end = (min(span.start, fix.start), max(span.end, fix.end)) if fix else (span.start, span.end)
    first, last = around(text, start, min(end, start + LONGEST), AROUND)
    edges = sorted({first, last, *(e for s in (span, fix) if s for e in (s.start, s.end) if first < e < last)})
    pieces = []
    for a, b in pairwise(edges):
        piece = escape(text[a:b])
        inside = fix and fix.start <= a and b <= fix.end
        pieces.append(f"<ins>{piece}</ins>" if inside else f"<mark>{piece}</mark>" if _within(span, a, b) else piece)
    before, after = ellipses(text, first, last)
    return f'<p class="text" dir="rtl" lang="ar" style="text-align:start">{before}{"".join(pieces)}{after}</p>'


def _within(span: Span, a: int, b: int) -> bool:
    return span.start <= a and b <= span.end
