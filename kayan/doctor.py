"""The data doctor: what an annotator should look at in a corpus and between its parts, where it stands, and a proposed fix."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kayan.corpus import Corpus, light, near_duplicates
from kayan.document import Document, Span, ranges
from kayan.formats import conll
from kayan.schema import Declaration, Schema
from kayan.scoring import holm
from kayan.text import normalise
from kayan.words import PAIRS, governs, is_open, particle_candidates, particle_end, sentences, words

_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
# Punctuation that a name may begin or end with: «Yahoo!», «أين المفر؟», «#وسم», «5%».
_OWN = frozenset("!?؟#@%٪&*")
# A name is unambiguous when this share of its mentions has one type, and known when this share of its places is marked.
AGREED = 0.8
# Marked as often elsewhere, an unmarked name is a likely miss.
KNOWN = 3
# A difference between two parts this rare under random division of the articles is reported.
UNLIKELY = 0.01
# So many that the rarest difference is below UNLIKELY after correction for a hundred figures.
_DRAWS = 9_999


@dataclass(frozen=True)
class Fix:
    """A change that would settle a finding: add `span`, remove it, or put it in the place of the finding's."""

    action: Literal["add", "remove", "replace"]
    span: Span

    def __str__(self) -> str:
        return {"add": "mark", "remove": "remove", "replace": "make it"}[self.action] + f" {_shown(self.span)}"


@dataclass(frozen=True)
class Finding:
    """Something to look at: the rule that found it, file and line, the article, the mention if any, what is wrong in words,
    and what would mend it. Of same-sentence, `span` is the whole sentence, labelled "sentence"."""

    rule: str
    article: str
    message: str
    span: Span | None = None
    fix: Fix | None = None
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        article = f"article {quoted(self.article)}: " if self.article else ""
        return f"{place}{self.rule}: {article}{self.message}" + (f"; {self.fix}" if self.fix else "")

    def to_dict(self) -> dict[str, Any]:
        fix = self.fix and {"action": self.fix.action, "span": self.fix.span.to_dict()}
        return {**vars(self), "span": self.span and self.span.to_dict(), "fix": fix}

    def _repr_html_(self) -> str:
        """What a notebook shows: the finding in its text (`kayan.page.finding`)."""
        from kayan.page import finding

        return finding(self)


@dataclass(frozen=True)
class _Place:
    """A document as the rules see it, its number among all, its file, and its lines as in `Corpus.lines`.

    identity: what no other document may have: its id, with the file where the id only counts the articles
    open: the ranges that nobody annotated, or with a label that the corpus leaves unread; its spans are left out
    """

    number: int
    document: Document
    file: str
    lines: tuple[int, ...]
    declaration: Declaration
    identity: tuple[str, str]
    open: list[tuple[int, int]]

    @cached_property
    def words(self) -> list[tuple[int, int]]:
        return words(self.document.text)

    @cached_property
    def columns(self) -> conll.Columns | None:
        return conll.columns(self.document)

    @cached_property
    def token_edges(self) -> tuple[set[int], set[int]]:
        """Where the tokens of a CoNLL file begin, and where they end."""
        tokens = self.columns.tokens if self.columns else []
        return {a for a, _ in tokens}, {b for _, b in tokens}

    def line(self, offset: int | None = None) -> int | None:
        """The line where the character at `offset` stands, or where the article begins; None for no file."""
        if offset is None or not self.columns or len(self.lines) != len(self.columns.tokens):
            return self.lines[0] if self.lines else None
        token = bisect_right(self.columns.tokens, offset, key=lambda token: token[1])
        return self.lines[min(token, len(self.lines) - 1)]

    def found(self, rule: str, message: str, span: Span | None = None, fix: Fix | None = None) -> tuple[int, Finding]:
        line = self.line(span.start if span else None)
        return self.number, Finding(rule, self.document.id, message, span, fix, self.file, line)

    def inside(self, offset: int) -> tuple[int, int] | None:
        """The word that goes on on both sides of `offset`."""
        i = bisect_left(self.words, offset, key=lambda word: word[0]) - 1
        return self.words[i] if i >= 0 and offset < self.words[i][1] else None

    def governed(self, start: int) -> bool:
        """Whether the word at `start` follows a free preposition, so that no particle is attached to it."""
        i = bisect_left(self.words, start, key=lambda word: word[0]) - 1
        text = self.document.text
        return i >= 0 and governs(_light(text[slice(*self.words[i])])) and text[self.words[i][1] : start].isspace()

    def between(self, start: int, end: int) -> list[Span]:
        """The mentions within the range."""
        spans = self.document.spans
        first, last = (bisect_left(spans, edge, key=lambda span: span.start) for edge in (start, end))
        return [span for span in spans[first:last] if span.end <= end]

    def annotates(self, label: str) -> bool:
        return self.declaration.annotates is None or label in self.declaration.annotates


def examine(parts: Mapping[str, Corpus], schema: Schema | None = None) -> list[Finding]:
    """Everything in the corpora, by the file each was read from, that somebody should look at: in order of files and
    articles, then what is between files. Labels that a corpus leaves unread are passed over, and nothing is proposed in
    a part that it does not annotate.

    Within an article: empty-text, empty-id, odd-text (replacement or control characters, halves of characters),
    odd-meta (meta["open"] lists no ranges), unknown-label, overlap, edge (a mention begins or ends with a space, an
    invisible character, punctuation that is not the name's own, or tatweel), inside-word (it begins or ends within a
    word and not behind particles), particle-inside (it begins with a particle, and the name stands marked elsewhere
    without), orphan-tag (an I- or E- tag that continues nothing, from CoNLL files).
    Across articles: duplicate-id, duplicate-text (equal after light normalisation), near-duplicate (half of the shorter
    one's eight-word runs stand in both), other-type (the name has another type in nearly all its places), same-sentence
    (it stands twice with other mentions), likely-miss (unmarked, though marked in nearly all its other places; the
    name is compared as it is written, so «للأمم» is not found by «الأمم»).
    Between files: shift (types or density differ by more than chance), compared with the first file.
    """
    places = list(_places(parts))
    found = [pair for place in places for pair in _within(place, schema)]
    found += [*_copies(places), *_names(places), *_sentences(places)]
    found.sort(key=lambda pair: pair[0])
    return [finding for _, finding in found] + list(_shifts(parts))


def check(documents: Sequence[Document], schema: Schema | None = None) -> list[Finding]:
    """`examine` for documents that come from no file."""
    return examine({"": Corpus("", tuple(documents))}, schema)


def _places(parts: Mapping[str, Corpus]) -> Iterator[_Place]:
    number = 0
    for file, corpus in parts.items():
        unread = corpus.declaration.unread
        for i, document in enumerate(corpus.documents):
            lines = corpus.lines[i] if corpus.lines else ()
            counts = document.id in (*map(str, lines[:1]), f"{Path(file).stem}-{i + 1}")
            gaps = ranges(document.meta.get("open"), len(document.text)) or []
            gaps += [(span.start, span.end) for span in document.spans if span.label in unread]
            yield _Place(
                number,
                document.with_spans(span for span in document.spans if span.label not in unread),
                file,
                lines,
                corpus.declaration,
                (file if counts else "", document.id),
                gaps,
            )
            number += 1


def _within(place: _Place, schema: Schema | None) -> Iterator[tuple[int, Finding]]:
    document = place.document
    if not document.id:
        yield place.found("empty-id", "the article has no id")
    if "open" in document.meta and ranges(document.meta["open"], len(document.text)) is None:
        yield place.found("odd-meta", 'meta["open"] must be a list of [start, end] within the text')
    if not document.text.strip():
        yield place.found("empty-text", "the article has no text")
        return
    if odd := list(_ODD.finditer(document.text)):
        more = f", and {len(odd) - 1} more such characters" if odd[1:] else ""
        yield place.found("odd-text", f"character U+{ord(odd[0][0]):04X} at {odd[0].start()}{more}")
    yield from _spans(place, schema)
    yield from _orphans(place)


def _orphans(place: _Place) -> Iterator[tuple[int, Finding]]:
    if not place.columns:
        return
    for i in sorted(place.columns.orphans):
        a, b = place.columns.tokens[i]
        span = Span(a, b, place.columns.tags[i][2:], source=place.document.text)
        # Where no mention begins there any more, it was mended after the columns were read.
        first, last = (bisect_left(place.document.spans, edge, key=lambda span: span.start) for edge in (a, b))
        if any(other.label == span.label for other in place.document.spans[first:last]):
            yield place.found("orphan-tag", f"the {span.label} tag of {quoted(span.text)} continues nothing", span)


def _spans(place: _Place, schema: Schema | None) -> Iterator[tuple[int, Finding]]:
    text = place.document.text
    last: Span | None = None
    for span in place.document.spans:
        where = _shown(span)
        if schema and span.label not in schema.types:
            yield place.found("unknown-label", f"{where}: the types are {' '.join(schema.types)}", span)
        if last and last.end > span.start:
            shorter = min(span, last, key=_length)
            fix = Fix("remove", shorter) if _length(span) != _length(last) else None
            message = f"{where} overlaps {quoted(last.text)} [{last.start}, {last.end})"
            yield place.found("overlap", message, span, fix)
        last = span if last is None or span.end > last.end else last
        start, end = _trimmed(text, span.start, span.end)
        begins, ends = _cut_word(place, start, 0), _cut_word(place, end, 1)
        fix = _mended(span, _start(place, begins, start) if begins else start, ends[1] if ends else end)
        if (start, end) != (span.start, span.end):
            message = f"{where} begins or ends with a space, a quotation mark, punctuation or tatweel"
            yield place.found("edge", message, span, fix)
        if start < end and begins:
            message = f"{where} begins inside {quoted(text[slice(*begins)])}, not behind particles"
            yield place.found("inside-word", message, span, fix)
        if start < end and ends:
            yield place.found("inside-word", f"{where} ends inside a word", span, fix)


def _mended(span: Span, start: int | None, end: int) -> Fix | None:
    if start is None:
        return None
    return Fix("replace", replace(span, start=start, end=end)) if start < end else Fix("remove", span)


def _cut_word(place: _Place, offset: int, side: int) -> tuple[int, int] | None:
    """The word that an edge of a mention at `offset` cuts where it may not: its start (side 0) or its end (1)."""
    word, text = place.inside(offset), place.document.text
    # A CoNLL token may begin or end anywhere in a written word.
    if not word or offset in place.token_edges[side]:
        return None
    if side == 0:
        return None if offset - word[0] in dict(particle_cuts(text[slice(*word)])).values() else word
    # A tatweel behind the name is no part of it.
    return word if text[offset : word[1]].strip("ـ") else None


def _start(place: _Place, word: tuple[int, int], offset: int) -> int | None:
    """Where a mention that cuts `word` at `offset` should begin: behind its particle, or with it where it can bear none;
    None where that cannot be told."""
    written = place.document.text[slice(*word)]
    particles = [] if place.governed(word[0]) else particle_cuts(written)[1:]
    cuts = [word[0] + end for _, end in particles if word[0] + end < offset]
    return word[0] if not cuts else cuts[0] if len(cuts) == 1 else None


def _shown(span: Span) -> str:
    return f"{span.label} {quoted(span.text)} [{span.start}, {span.end})"


def quoted(text: str) -> str:
    """The text in single quotation marks, with escapes as `repr` writes them, whatever marks it holds itself.

    >>> print(quoted("كوت د'إيفوار"))
    'كوت د\\'إيفوار'
    """
    # A double quotation mark inside is what makes `repr` take single ones.
    return "'" + repr('"' + text)[2:]


def _length(span: Span) -> int:
    return span.end - span.start


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The mention without white space, invisible characters, punctuation and tatweel at its edges; marks stay whose
    partner stands inside («بيت «الحكمة»»), unless they enclose the whole."""
    # Each step looks at the whole mention; what is left after so many is a finding all the same.
    for _ in range(200):
        if start == end:
            break
        name = text[start:end]
        close = PAIRS.get(name[0])
        if _is_edge(name[-1]) and not _closed(name):
            end -= 1
        elif _is_edge(name[0]) and (close is None or close not in name[1:]):
            start += 1
        elif close == name[-1] and close not in name[1:-1]:
            start, end = start + 1, end - 1
        else:
            break
    return start, end


def _is_edge(char: str) -> bool:
    return char == "ـ" or (char not in _OWN and unicodedata.category(char)[0] in "ZCP")


def _closed(name: str) -> bool:
    """Whether the last character belongs: it closes what opened inside, or ends an abbreviation («1446هـ», «ش.م.م.»)."""
    closes = any(name[-1] == close and is_open(name[:-1], mark) for mark, close in PAIRS.items())
    return closes or re.search(r"هـ$|\.\w\.$", name[-3:]) is not None


def _copies(places: Sequence[_Place]) -> Iterator[tuple[int, Finding]]:
    ids: dict[tuple[str, str], _Place] = {}
    texts: dict[str, _Place] = {}
    for place in places:
        if (first := ids.setdefault(place.identity, place)) is not place:
            yield place.found("duplicate-id", f"another article has this id: {_whose(first)}")
        text = light(place.document.text)
        if text and (first := texts.setdefault(text, place)) is not place:
            yield place.found("duplicate-text", f"the text is that of article {_whose(first)}")
    pairs: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for i, j, share in near_duplicates([place.document for place in places]):
        pairs[i].append((j, share))
    for i, [(j, share), *others] in pairs.items():
        more = f", and {len(others)} more are as near" if others else ""
        message = (
            f"{share:.0%} of the eight-word runs of the shorter of this and article {_whose(places[j])} are in both"
        )
        yield places[i].found("near-duplicate", message + more)


def _whose(place: _Place, offset: int | None = None) -> str:
    line = place.line(offset)
    at = f" ({place.file}:{line})" if line else f" ({place.file})" if place.file else ""
    return quoted(place.document.id) + at


@lru_cache(1 << 16)
def _light(word: str) -> str:
    return normalise(word).text


@lru_cache(1 << 16)
def particle_cuts(word: str) -> tuple[tuple[int, int], ...]:
    """Where in a written word a mention may begin: the letters before it, which could be particles, and its offset. Letters
    drawn in one position are the ones that they show; none begins within a ligature.

    >>> particle_cuts("وبـالرباط"), particle_cuts("ﺑﻼﻫﺎﻱ")
    (((0, 0), (1, 1), (2, 3)), ((0, 0), (1, 1)))
    """
    view = normalise(word)
    ends = [(count, particle_end(view.text, count)) for count in particle_candidates(view.text)[1:]]
    return (0, 0), *((count, int(view.starts[i])) for count, i in ends if view.starts[i - 1] < view.starts[i])


@lru_cache(1 << 16)
def _key(text: str) -> tuple[str, ...]:
    """A name's words in light spelling."""
    plain = normalise(text).text
    return tuple(plain[a:b] for a, b in words(plain))


def _names(places: Sequence[_Place]) -> Iterator[tuple[int, Finding]]:
    """other-type, particle-inside and likely-miss; the last two where particles stand outside the mentions."""
    labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for place in places:
        for span in place.document.spans:
            labels[_key(span.text)][span.label] += 1
    for place in places:
        for span in place.document.spans:
            counts = labels[_key(span.text)]
            [(usual, most)] = counts.most_common(1)
            rare = span.label != usual and most >= KNOWN and most >= AGREED * counts.total()
            if rare and place.annotates(usual):
                message = f"{_shown(span)} is {usual} in {most} of its {counts.total()} places"
                yield place.found("other-type", message, span, Fix("replace", replace(span, label=usual)))
    exact = [place for place in places if place.declaration.proclitics]
    yield from _particles(exact, labels)
    yield from _misses(exact, labels)


def _particles(
    places: Sequence[_Place], labels: Mapping[tuple[str, ...], Counter[str]]
) -> Iterator[tuple[int, Finding]]:
    # «من كسلا»: behind a preposition the first letter is the name's own, there and everywhere.
    whole = {_key(span.text) for place in places for span in place.document.spans if place.governed(span.start)}
    for place in places:
        for span in place.document.spans:
            key = _key(span.text)
            first = span.text.split()[0] if key and key not in whole else ""
            for _, end in particle_cuts(first)[1:]:
                bare = replace(span, start=span.start + span.text.index(first) + end)
                known = labels.get(_key(bare.text), Counter())[span.label]
                if known >= KNOWN and known >= 4 * labels[key].total():
                    message = f"{_shown(span)}: {quoted(bare.text)} is marked {known} times elsewhere"
                    yield place.found("particle-inside", message, span, Fix("replace", bare))


def _misses(places: Sequence[_Place], labels: Mapping[tuple[str, ...], Counter[str]]) -> Iterator[tuple[int, Finding]]:
    """Places of marked names that are not marked, where nearly all others are."""
    starts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for key, counts in labels.items():
        if key and counts.total() >= KNOWN and counts.most_common(1)[0][1] >= AGREED * counts.total():
            starts[key[0]].add(key)
    bare: dict[tuple[str, ...], list[tuple[_Place, Span]]] = defaultdict(list)
    for place in places:
        text, pieces = place.document.text, place.words
        plain = [_light(text[a:b]) for a, b in pieces]
        taken = bytearray(len(text))
        for a, b in [*((span.start, span.end) for span in place.document.spans), *place.open]:
            taken[a:b] = b"\1" * (b - a)
        until = 0
        for i, word in enumerate(plain):
            # Inside a longer name that is missing already.
            if pieces[i][0] < until:
                continue
            for count, end in particle_cuts(text[slice(*pieces[i])])[: 1 if place.governed(pieces[i][0]) else None]:
                keys = [key for key in starts.get(word[count:], ()) if tuple(plain[i + 1 : i + len(key)]) == key[1:]]
                if not keys:
                    continue
                key = max(keys, key=len)
                a = pieces[i][0] + end
                b = pieces[i + len(key) - 1][1]
                if not any(taken[a:b]):
                    until = b
                    [(label, _)] = labels[key].most_common(1)
                    if place.annotates(label):
                        bare[key].append((place, Span(a, b, label, source=text)))
                break
    for key, found in bare.items():
        marked = labels[key].total()
        if marked >= AGREED * (marked + len(found)):
            for place, span in found:
                share = f"{marked} of its {marked + len(found)} places are"
                message = f"{quoted(span.text)} at {span.start} is not marked; {share}"
                yield place.found("likely-miss", message, span, Fix("add", span))


def _sentences(places: Sequence[_Place]) -> Iterator[tuple[int, Finding]]:
    """Sentences of at least five words that stand twice with other mentions; the rarer annotation is reported."""
    seen: dict[tuple[str, ...], list[tuple[_Place, int, int, frozenset[Any]]]] = defaultdict(list)
    for place in places:
        text, columns = place.document.text, place.columns
        if columns:
            found = [(columns.tokens[a][0], columns.tokens[b - 1][1]) for a, b in columns.sentences if a < b]
        else:
            found = sentences(text)
        for a, b in found:
            key = _key(text[a:b])
            if len(key) >= 5 and not any(start < b and a < end for start, end in place.open):
                seen[key].append((place, a, b, frozenset(_marks(place, a, b))))
    for copies in seen.values():
        counts = Counter(marks for *_, marks in copies)
        usual = max(counts, key=lambda marks: (counts[marks], len(marks)))
        where, offset = next((place, a) for place, a, _, marks in copies if marks == usual)
        for place, a, b, marks in copies:
            if marks != usual:
                named = ", ".join(map(_shown, place.between(a, b))) or "no mention"
                other = f"in article {_whose(where, offset)} at {offset} it is marked otherwise"
                message = f"the sentence at {a} has {named}; {other}"
                yield place.found("same-sentence", message, Span(a, b, "sentence", source=place.document.text))


def _marks(place: _Place, start: int, end: int) -> Iterator[tuple[int, int, int, str]]:
    """The mentions of a sentence by their words, since copies may differ in spaces and marks: number of the first,
    letters of it that stand before the mention, number of the last, label."""

    def word(offset: int) -> int:
        return bisect_right(place.words, offset, key=lambda word: word[0]) - 1

    for span in place.between(start, end):
        before = place.document.text[place.words[word(span.start)][0] : span.start]
        letters = sum(char.isalpha() and char != "ـ" for char in before)
        yield word(span.start) - word(start), letters, word(span.end - 1) - word(start), span.label


def _shifts(parts: Mapping[str, Corpus]) -> Iterator[Finding]:
    """What differs between the first file and each other more than between random divisions of their articles."""
    files = list(parts.items())
    for file, corpus in files[1:]:
        first, base = files[0]
        if base.declaration != corpus.declaration or not base.documents or not corpus.documents:
            continue
        for message, chance in shift(base.documents, corpus.documents, first):
            if chance < UNLIKELY:
                how = f"p = {chance:.3f} by permutation of articles, corrected for the number of figures"
                yield Finding("shift", "", f"{message} ({how})", file=file)


def shift(
    base: Sequence[Document], other: Sequence[Document], name: str = "the first", seed: int = 0
) -> list[tuple[str, float]]:
    """What is different in `other`, in words, with `name` for `base`, and how probable so large a difference is when
    articles are divided at random (permutation test, `_DRAWS` draws): mentions a hundred words, and the share of each
    type among the mentions. The probabilities are Holm-corrected (Holm 1979) for the number of figures.
    """
    both = [*base, *other]
    types = sorted({span.label for document in both for span in document.spans})
    table = np.array(
        [[len(d.text.split()), len(d.spans), *(sum(s.label == t for s in d.spans) for t in types)] for d in both], float
    )
    rng = np.random.default_rng(seed)
    drawn = (rng.permutation(len(both))[: len(base)] for _ in range(_DRAWS))
    # Row 0 is the division as it is.
    sums = np.array([table[: len(base)].sum(0), *(table[chosen].sum(0) for chosen in drawn)])

    def rates(sums: np.ndarray) -> np.ndarray:
        words_, mentions_ = np.maximum(sums[:, :1], 1), np.maximum(sums[:, 1:2], 1)
        return np.concatenate([100 * sums[:, 1:2] / words_, sums[:, 2:] / mentions_], axis=1)

    one, two = rates(sums), rates(table.sum(0) - sums)
    far = np.abs(two - one)
    chances = (far[1:] >= far[0] - 1e-12).sum(0) + 1
    p = chances / (_DRAWS + 1)
    told = [f"{two[0, 0]:.1f} mentions a hundred words, in {name} {one[0, 0]:.1f}"]
    told += [
        f"{t} is {b:.1%} of the mentions, in {name} {a:.1%}"
        for t, a, b in zip(types, one[0, 1:], two[0, 1:], strict=True)
    ]
    return list(zip(told, holm(p.tolist()), strict=True))


def mended(document: Document, findings: Iterable[Finding]) -> Document:
    """The document with the fixes that `findings` propose for the article of its id: take those that you agree with.

    A mention that a fix took away is past mending by the next: check the result again.
    """
    spans = set(document.spans)
    for finding in findings:
        fix = finding.fix
        if fix is None or finding.article != document.id:
            continue
        gone = {"add": None, "remove": fix.span, "replace": finding.span}[fix.action]
        if gone is None or gone in spans:
            spans.discard(gone)
            spans |= {fix.span} if fix.action != "remove" else set()
    return document.with_spans(spans)


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings each rule has, the most first."""
    return dict(Counter(finding.rule for finding in findings).most_common())


def named(files: Iterable[str | Path], corpora: Iterable[Corpus]) -> dict[str, Corpus]:
    """The corpora by their files. Raises `ValueError` for a file that is named twice, by whatever path."""
    parts: dict[str, Corpus] = {}
    seen: set[Path] = set()
    for file, corpus in zip(files, corpora, strict=True):
        path = Path(file).resolve()
        if path in seen:
            raise ValueError(f"{file} is named twice")
        seen.add(path)
        parts[str(file)] = corpus
    return parts
