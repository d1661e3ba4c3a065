"""The data doctor: what an annotator should look at in a corpus and between its parts, where it stands, and a proposed fix."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kayan.corpus import Corpus, near_duplicates
from kayan.document import Document, Span
from kayan.schema import Schema
from kayan.text import normalise
from kayan.words import particle_candidates, particle_count, particle_end, sentences, words

_EDGES = frozenset(" \t\n\r\u00a0«»\"“”‘’'،؛:.!؟?,;…()[]{}ـ-–—")
# A name is unambiguous when this share of its mentions has one type, and known when this share of its places is marked.
AGREED = 0.8
# Marked as often elsewhere, an unmarked name is a likely miss.
KNOWN = 3
# A difference between two parts this rare under random division of the articles is reported.
UNLIKELY = 0.01
_DRAWS = 1000


@dataclass(frozen=True)
class Fix:
    """A change that would settle a finding: add `span`, remove it, or put it in the place of the finding's."""

    action: Literal["add", "remove", "replace"]
    span: Span

    def __str__(self) -> str:
        where = f"{self.span.label} {self.span.text!r} [{self.span.start}, {self.span.end})"
        return {"add": f"mark {where}", "remove": f"remove {where}", "replace": f"make it {where}"}[self.action]


@dataclass(frozen=True)
class Finding:
    """Something to look at: the rule that found it, file and line, the article, the mention if any, what is wrong in words,
    and what would mend it."""

    rule: str
    article: str
    message: str
    span: Span | None = None
    fix: Fix | None = None
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        article = f"article {self.article!r}: " if self.article else ""
        return f"{place}{self.rule}: {article}{self.message}" + (f"; {self.fix}" if self.fix else "")

    def to_dict(self) -> dict[str, Any]:
        def shown(span: Span | None) -> dict[str, Any] | None:
            return {"start": span.start, "end": span.end, "label": span.label, "text": span.text} if span else None

        fix = self.fix and {"action": self.fix.action, "span": shown(self.fix.span)}
        return {**vars(self), "span": shown(self.span), "fix": fix}


@dataclass(frozen=True)
class _Place:
    """A document, the file that it came from and the line of each sentence of a CoNLL file, or of the article."""

    document: Document
    file: str
    line: int | None

    def found(self, rule: str, message: str, span: Span | None = None, fix: Fix | None = None) -> Finding:
        line = self.line
        if span and (lines := self.document.meta.get("lines")):
            token = bisect_right(self.document.meta["tokens"], span.start, key=lambda pair: pair[0]) - 1
            sentence = bisect_right(self.document.meta["sentences"], token, key=lambda pair: pair[0]) - 1
            line = lines[sentence] + token - self.document.meta["sentences"][sentence][0]
        return Finding(rule, self.document.id, message, span, fix, self.file, line)


def examine(parts: Mapping[str, Corpus], schema: Schema | None = None) -> list[Finding]:
    """Everything in the corpora, by the file each was read from, that somebody should look at: in order of files and
    articles, then what is between files.

    Within an article: empty-text, empty-id, odd-text (replacement or control characters), unknown-label, overlap, edge (a
    mention begins or ends with a space, a quotation mark, punctuation or tatweel), inside-word (it begins or ends within a
    word and not behind particles), particle-inside (it begins with a particle, and the name stands marked elsewhere
    without), orphan-tag (an I- tag that continues nothing, from CoNLL files).
    Across articles: duplicate-id, duplicate-text (equal after light normalisation), near-duplicate (half of an article's
    eight-word runs stand in another), other-type (the name has another type in nearly all its places), same-sentence (it
    stands twice with other mentions), likely-miss (unmarked, though marked in nearly all its other places).
    Between files: shift (types, density or particles differ by more than chance), compared with the first file.
    """
    places = [place for file, corpus in parts.items() for place in _places(file, corpus)]
    findings = [finding for place in places for finding in _within(place, schema)]
    findings += _copies(places)
    exact = [
        place for file, corpus in parts.items() if corpus.declaration.proclitics for place in _places(file, corpus)
    ]
    findings += _names(places, exact)
    findings += _sentences(places)
    order = {(place.file, place.document.id): i for i, place in reversed(list(enumerate(places)))}
    ordered = sorted(findings, key=lambda finding: order[finding.file, finding.article])
    return ordered + list(_shifts(parts))


def check(documents: Sequence[Document], schema: Schema | None = None) -> list[Finding]:
    """`examine` for documents that come from no file."""
    return examine({"": Corpus("", tuple(documents))}, schema)


def _places(file: str, corpus: Corpus) -> Iterator[_Place]:
    for i, document in enumerate(corpus.documents):
        lines = document.meta.get("lines") or corpus.lines[i : i + 1]
        yield _Place(document, file, lines[0] if lines else None)


def _within(place: _Place, schema: Schema | None) -> Iterator[Finding]:
    document = place.document
    if not document.id:
        yield place.found("empty-id", "the article has no id")
    if not document.text.strip():
        yield place.found("empty-text", "the article has no text")
        return
    odd = [i for i, char in enumerate(document.text) if char == "\ufffd" or (ord(char) < 32 and char not in "\n\t\r")]
    if odd:
        more = f", and {len(odd) - 1} more such characters" if odd[1:] else ""
        yield place.found("odd-text", f"character U+{ord(document.text[odd[0]]):04X} at {odd[0]}{more}")
    yield from _spans(place, schema)
    tags, breaks = document.meta.get("tags", ()), {first for first, _ in document.meta.get("sentences", ())}
    for i, tag in enumerate(tags):
        if tag.startswith("I-") and (i == 0 or i in breaks or tags[i - 1][1:] != tag[1:]):
            a, b = document.meta["tokens"][i]
            span = Span(a, b, tag[2:], source=document.text)
            yield place.found("orphan-tag", f"{tag} on {span.text!r} continues nothing", span)


def _spans(place: _Place, schema: Schema | None) -> Iterator[Finding]:
    document = place.document
    pieces = words(document.text)
    starts = {a for a, _ in pieces}
    ends = {b for _, b in pieces}
    tokens = document.meta.get("tokens")
    if tokens:  # A CoNLL token may begin or end anywhere in a written word.
        starts.update(a for a, _ in tokens)
        ends.update(b for _, b in tokens)
    last: Span | None = None
    for span in document.spans:
        where = _shown(span)
        if schema and span.label not in schema.types:
            yield place.found("unknown-label", f"{where}: the types are {' '.join(schema.types)}", span)
        if last and last.end > span.start:
            message = f"{where} overlaps {last.text!r} [{last.start}, {last.end})"
            shorter = min(span, last, key=lambda one: one.end - one.start)
            yield place.found("overlap", message, span, Fix("remove", shorter))
        last = span if last is None or span.end > last.end else last
        if span.text[0] in _EDGES or (span.text[-1] in _EDGES and not _closed(span.text)):
            message = f"{where} begins or ends with a space, a quotation mark, punctuation or tatweel"
            yield place.found("edge", message, span, _trimmed(span))
        word = next(((a, b) for a, b in pieces if a < span.start < b), None)
        if span.start not in starts and word:
            text = document.text[slice(*word)]
            if particle_count(text, span.start - word[0]) is None:
                fix = Fix("replace", replace(span, start=word[0]))
                yield place.found("inside-word", f"{where} begins inside {text!r}, not behind particles", span, fix)
        word = next(((a, b) for a, b in pieces if a < span.end < b), None)
        if span.end not in ends and word:
            yield place.found(
                "inside-word", f"{where} ends inside a word", span, Fix("replace", replace(span, end=word[1]))
            )


def _shown(span: Span) -> str:
    return f"{span.label} {span.text!r} [{span.start}, {span.end})"


def _closed(text: str) -> bool:
    """Whether the last character belongs: a bracket opened inside, or the tatweel of «1446هـ»."""
    return text.endswith("هـ") or (text.endswith(")") and text.count("(") == text.count(")"))


def _trimmed(span: Span) -> Fix:
    start, end, text = span.start, span.end, span.text
    while start < end and text[start - span.start] in _EDGES:
        start += 1
    while (
        end > start
        and text[end - span.start - 1] in _EDGES
        and not _closed(text[start - span.start : end - span.start])
    ):
        end -= 1
    return Fix("replace", replace(span, start=start, end=end)) if start < end else Fix("remove", span)


def _copies(places: Sequence[_Place]) -> Iterator[Finding]:
    ids: set[str] = set()
    texts: dict[str, _Place] = {}
    for place in places:
        if place.document.id in ids:
            yield place.found("duplicate-id", "another article has this id")
        ids.add(place.document.id)
        key = " ".join(normalise(place.document.text).text.split())
        if key and key in texts:
            yield place.found("duplicate-text", f"the text is that of article {_whose(texts[key], place)}")
        texts.setdefault(key, place)
    for i, j, share in near_duplicates([place.document for place in places]):
        message = f"{share:.0%} of its eight-word runs stand in article {_whose(places[j], places[i])}"
        yield places[i].found("near-duplicate", message)


def _whose(place: _Place, seen_from: _Place) -> str:
    return f"{place.document.id!r}" + (f" of {place.file}" if place.file != seen_from.file else "")


def _key(text: str) -> tuple[str, ...]:
    """A name's words in light spelling."""
    plain = normalise(text).text
    return tuple(plain[a:b] for a, b in words(plain))


def _names(places: Sequence[_Place], exact: Sequence[_Place]) -> Iterator[Finding]:
    """other-type, particle-inside and likely-miss; the last two where particles stand outside the mentions."""
    labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for place in places:
        for span in place.document.spans:
            labels[_key(span.text)][span.label] += 1
    for place in places:
        for span in place.document.spans:
            counts = labels[_key(span.text)]
            [(usual, most)] = counts.most_common(1)
            if span.label != usual and most >= KNOWN and most >= AGREED * counts.total():
                message = f"{_shown(span)} is {usual} in {most} of its {counts.total()} places"
                yield place.found("other-type", message, span, Fix("replace", replace(span, label=usual)))
    for place in exact:
        for span in place.document.spans:
            text = place.document.text
            first = next((b for a, b in words(text) if a <= span.start < b), span.end)
            for count in particle_candidates(text[span.start : first])[1:]:
                bare = span.start + particle_end(text[span.start : first], count)
                known = labels.get(_key(text[bare : span.end]), Counter())
                own = labels[_key(span.text)].total()
                if bare < span.end and known[span.label] >= KNOWN and known[span.label] >= 4 * own:
                    message = f"{_shown(span)}: {text[bare : span.end]!r} is marked {known[span.label]} times elsewhere"
                    yield place.found("particle-inside", message, span, Fix("replace", replace(span, start=bare)))
    yield from _misses(exact, labels)


def _misses(places: Sequence[_Place], labels: Mapping[tuple[str, ...], Counter[str]]) -> Iterator[Finding]:
    """Places of marked names that are not marked, where nearly all others are."""
    starts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for key, counts in labels.items():
        if key and counts.total() >= KNOWN and counts.most_common(1)[0][1] >= AGREED * counts.total():
            starts[key[0]].add(key)
    bare: dict[tuple[str, ...], list[tuple[_Place, Span]]] = defaultdict(list)
    for place in places:
        text = place.document.text
        pieces = words(text)
        plain = [normalise(text[a:b]).text for a, b in pieces]
        taken = [(span.start, span.end) for span in place.document.spans]
        taken += [(a, b) for a, b in place.document.meta.get("open", ())]
        for i, word in enumerate(plain):
            for count in particle_candidates(word):
                keys = [key for key in starts.get(word[count:], ()) if tuple(plain[i + 1 : i + len(key)]) == key[1:]]
                if not keys:
                    continue
                key = max(keys, key=len)
                a = pieces[i][0] + particle_end(text[slice(*pieces[i])], count)
                b = pieces[i + len(key) - 1][1]
                if not any(start < b and a < end for start, end in taken):
                    label = labels[key].most_common(1)[0][0]
                    bare[key].append((place, Span(a, b, label, source=text)))
                break
    for key, places_bare in bare.items():
        marked = labels[key].total()
        if marked >= AGREED * (marked + len(places_bare)):
            for place, span in places_bare:
                message = f"{span.text!r} at {span.start} is not marked; {marked} of its {marked + len(places_bare)} places are"
                yield place.found("likely-miss", message, span, Fix("add", span))


def _sentences(places: Sequence[_Place]) -> Iterator[Finding]:
    """Sentences of at least five words that stand twice with other mentions; the rarer annotation is reported."""
    seen: dict[tuple[str, ...], list[tuple[_Place, int, int, frozenset[tuple[int, int, str]]]]] = defaultdict(list)
    for place in places:
        text = place.document.text
        for a, b in sentences(text):
            key = _key(text[a:b])
            if len(key) < 5:
                continue
            inside = [span for span in place.document.spans if a <= span.start and span.end <= b]
            # Compared by words: the copies may differ in spaces and marks.
            edges = [(start, end) for start, end in words(text[a:b])]
            marks = frozenset((_word(edges, s.start - a), _word(edges, s.end - a - 1), s.label) for s in inside)
            seen[key].append((place, a, b, marks))
    for copies in seen.values():
        counts = Counter(marks for *_, marks in copies)
        if len(counts) < 2:
            continue
        usual = max(counts, key=lambda marks: (counts[marks], len(marks)))
        [where] = [place for place, *_, marks in copies if marks == usual][:1]
        for place, a, b, marks in copies:
            if marks != usual:
                named = ", ".join(_shown(span) for span in place.document.spans if a <= span.start and span.end <= b)
                line = f"{where.file}:{where.line}" if where.line else f"article {where.document.id!r}"
                message = f"the sentence at {a} has {named or 'no mention'}; at {line} it is marked otherwise"
                yield place.found("same-sentence", message, Span(a, b, "sentence", source=place.document.text))


def _word(edges: Sequence[tuple[int, int]], offset: int) -> int:
    return bisect_right(edges, offset, key=lambda edge: edge[0]) - 1


def _shifts(parts: Mapping[str, Corpus]) -> Iterator[Finding]:
    """What differs between the first file and each other more than between random divisions of their articles."""
    (first, base), *others = parts.items()
    for file, corpus in others:
        if base.declaration != corpus.declaration or not base.documents or not corpus.documents:
            continue
        for message, chance in shift(base.documents, corpus.documents):
            if chance < UNLIKELY:
                told = message.format(first)
                yield Finding("shift", "", f"{told} (p = {chance:.3f} by permutation of articles)", file=file)


def shift(base: Sequence[Document], other: Sequence[Document], seed: int = 0) -> list[tuple[str, float]]:
    """What is different in `other`, in words with `{}` for the name of `base`, and how probable so large a difference is
    when articles are divided at random (permutation test, `_DRAWS` draws): mentions a hundred words, and the share of each
    type among the mentions. The probabilities are Holm-corrected (Holm 1979) for the number of figures.
    """
    both = [*base, *other]
    types = sorted({span.label for document in both for span in document.spans})
    table = np.array(
        [[len(d.text.split()), len(d.spans), *(sum(s.label == t for s in d.spans) for t in types)] for d in both], float
    )
    rng = np.random.default_rng(seed)
    first = np.zeros((_DRAWS + 1, len(both)), bool)
    first[0, : len(base)] = True
    for row in first[1:]:
        row[rng.permutation(len(both))[: len(base)]] = True

    def rates(chosen: np.ndarray) -> np.ndarray:
        sums = chosen.astype(float) @ table
        words_, mentions_ = np.maximum(sums[:, :1], 1), np.maximum(sums[:, 1:2], 1)
        return np.concatenate([100 * sums[:, 1:2] / words_, sums[:, 2:] / mentions_], axis=1)

    one, two = rates(first), rates(~first)
    far = np.abs(two - one)
    chances = (far[1:] >= far[0] - 1e-12).sum(0) + 1
    p = chances / (_DRAWS + 1)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    names = ["{:.1f} mentions a hundred words, in {{}} {:.1f}"]
    names += [f"{t} is {{:.1%}} of the mentions, in {{{{}}}} {{:.1%}}" for t in types]
    return [(name.format(b, a), float(c)) for name, a, b, c in zip(names, one[0], two[0], corrected, strict=True)]


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings each rule has, the most first."""
    return dict(Counter(finding.rule for finding in findings).most_common())


def named(files: Iterable[str | Path], corpora: Iterable[Corpus]) -> dict[str, Corpus]:
    """The corpora by their files. Raises `ValueError` for a file that is named twice."""
    parts: dict[str, Corpus] = {}
    for file, corpus in zip(files, corpora, strict=True):
        if str(file) in parts:
            raise ValueError(f"{file} is named twice")
        parts[str(file)] = corpus
    return parts
