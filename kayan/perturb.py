"""The same article as another desk would have typed it: spelling, digits, marks and punctuation changed, spans carried."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace

from kayan.document import Document
from kayan.text import Rule, View, normalise
from kayan.words import sentences

_LETTER = "[\u0621-\u063a\u0641-\u064a]"
_HARAKAT = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652"


def _marks(draw: random.Random) -> Rule:
    return Rule(
        "diacritics",
        "harakat on three letters of ten, as in a schoolbook or a speech",
        pattern=re.compile(_LETTER),
        replacement=lambda match: match[0] + (draw.choice(_HARAKAT) if draw.random() < 0.3 else ""),
    )


def _tatweel(draw: random.Random) -> Rule:
    return Rule(
        "tatweel",
        "words stretched in a tenth of their letters, as headlines are",
        # Letters that join the next one, within a word.
        pattern=re.compile(f"[بتثجحخسشصضطظعغفقكلمنهيئ](?={_LETTER})"),
        replacement=lambda match: match[0] + ("ـ" * draw.randint(1, 3) if draw.random() < 0.1 else ""),
    )


def _hamza(_: random.Random) -> Rule:
    return Rule("hamza", "alef without its hamza or madda, the commonest of spellings", table=dict.fromkeys("أإآ", "ا"))


def _final(_: random.Random) -> Rule:
    return Rule(
        "final_letters",
        "ى for ي and ه for ة at the ends of words, as Egyptian print and hasty typing have them",
        pattern=re.compile(f"(?<={_LETTER})[ية](?!{_LETTER})"),
        replacement=lambda match: {"ي": "ى", "ة": "ه"}[match[0]],
    )


def _digits(_: random.Random) -> Rule:
    return Rule("arabic_digits", "the Mashriq's digits", table=dict(zip("0123456789", "٠١٢٣٤٥٦٧٨٩", strict=True)))


def _bare(_: random.Random) -> Rule:
    return Rule(
        "no_punctuation",
        "neither stops nor quotation marks nor brackets; a point or comma between two digits stays",
        pattern=re.compile(r"[،؛:!؟?;«»\"“”()…]|(?<!\d)[.,]|[.,](?!\d)"),
        replacement=lambda match: "",
    )


def _quotes(_: random.Random) -> Rule:
    table = {"«": '"', "»": '"', "“": "«", "”": "»", '"': "”"}
    return Rule("quotes", "another desk's quotation marks", table=table)


def _bidi(draw: random.Random) -> Rule:
    return Rule(
        "bidi_marks",
        "invisible marks around numbers and stops, as pasted from pages and word processors",
        pattern=re.compile(r"\d+|[،؛.:()«»\"]"),
        replacement=lambda match: draw.choice(["\u200f{}", "{}\u200f", "\u202b{}\u202c", "{}"]).format(match[0]),
    )


# Rows of the usual Arabic keyboard, from right to left as the keys lie.
_KEYS = "ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤرىةوزظ"
_NEIGHBOURS = {key: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _KEYS for i, key in enumerate(row)}


def _typos(draw: random.Random) -> Rule:
    return Rule(
        "typos",
        "two letters of a hundred hit on the key beside",
        pattern=re.compile(f"[{''.join(_KEYS)}]"),
        replacement=lambda match: draw.choice(_NEIGHBOURS[match[0]]) if draw.random() < 0.02 else match[0],
    )


def _loose(_: random.Random) -> Rule:
    return Rule(
        "loose_waw",
        "a space behind the conjunction, «و المغرب»",
        pattern=re.compile(f"(?<!{_LETTER})و(?=ال{_LETTER})"),
        replacement=lambda match: "و ",
    )


# Letters that differ in their dots alone, which print and scanners lose.
_DOTS = "بتثني", "جحخ", "دذ", "رز", "سش", "صض", "طظ", "عغ", "فق", "هة"
_ALIKE = {letter: group.replace(letter, "") for group in _DOTS for letter in group}


def _scanned(draw: random.Random) -> Rule:
    return Rule(
        "ocr",
        "two letters of a hundred with the dots of another, one space of a hundred lost",
        pattern=re.compile(f"[{''.join(_DOTS)}]|(?<={_LETTER}) (?={_LETTER})"),
        replacement=lambda match: (
            match[0]
            if draw.random() >= (0.01 if match[0] == " " else 0.02)
            else draw.choice(_ALIKE.get(match[0], [""]))
        ),
    )


_RULES: Mapping[str, Callable[[random.Random], Rule]] = {
    "diacritics": _marks,
    "tatweel": _tatweel,
    "hamza": _hamza,
    "final_letters": _final,
    "arabic_digits": _digits,
    "no_punctuation": _bare,
    "quotes": _quotes,
    "bidi_marks": _bidi,
    "typos": _typos,
    "loose_waw": _loose,
    "ocr": _scanned,
}
# Names for `perturb`.
PERTURBATIONS = (*_RULES, "headline")
# Those that damage the text; the others are ways to write it right.
NOISE = ("typos", "ocr")


def perturb(document: Document, name: str, seed: int = 0) -> Document:
    """The document after one of `PERTURBATIONS`, its spans moved along; "headline" keeps its first sentence alone.

    A mention of which nothing is left goes too. What `meta` says of tokens would no longer hold and is left out. Raises
    `ValueError` for an unknown name.
    """
    meta = {key: value for key, value in document.meta.items() if key not in ("tokens", "tags", "sentences")}
    if name == "headline":
        end = next((stop for _, stop in sentences(document.text)), 0)
        return Document(document.text[:end], (s for s in document.spans if s.end <= end), document.id, meta)
    if name not in _RULES:
        raise ValueError(f"unknown perturbation {name!r}: known are {', '.join(PERTURBATIONS)}")
    view: View = normalise(document.text, "raw").then([_RULES[name](random.Random(f"{seed} {document.id}"))])
    places = ((span, view.to_view(span.start, span.end)) for span in document.spans)
    kept = ((span, _visible(view.text, *place)) for span, place in places if place)
    spans = (replace(span, start=start, end=end, source=None) for span, (start, end) in kept if start < end)
    return Document(view.text, spans, document.id, meta)


def _visible(text: str, start: int, end: int) -> tuple[int, int]:
    """The mention without the invisible marks at its ends, which belong to no word."""
    while start < end and unicodedata.category(text[start]) == "Cf":
        start += 1
    while start < end and unicodedata.category(text[end - 1]) == "Cf":
        end -= 1
    return start, end
