"""Annotate raw articles: which ones first, with what pre-annotated, and what annotators then changed."""

from __future__ import annotations

import hashlib
import heapq
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kayan.agreement import disagreements
from kayan.checkpoint import weights_digest
from kayan.corpus import comparable, light
from kayan.decoding import log_softmax
from kayan.document import Document, Span
from kayan.formats import label_studio, registry
from kayan.schema import Declaration
from kayan.tagger import Tagger
from kayan.terminal import isolate
from kayan.text import normalise
from kayan.words import around, ellipses, words

ORDERS = ("uncertainty", "random", "given")
# Words whose margins make an article's uncertainty.
LEAST = 30
# Articles held for each that is asked for, from which the unlike ones are taken.
CANDIDATES = 10
# What a correction did to a mention, by the kinds of `kayan.agreement`, the corrected articles first.
_KINDS = {
    "type": "type",
    "boundary": "edges",
    "type+boundary": "type+edges",
    "only-first": "added",
    "only-second": "removed",
}
_COLUMNS = ("proposed", "kept", "type", "edges", "type+edges", "removed", "added")
# Characters shown on either side of a mention.
_AROUND = 50


@dataclass(frozen=True)
class Selection:
    """Articles to annotate, in order, and of those that were read how many were left out and why."""

    documents: tuple[Document, ...]
    read: int
    left_out: Mapping[str, int]


def uncertainty(logits: np.ndarray, temperature: float = 1.0) -> float:
    """How uncertain a tagger is of an article, from 0 to 1: the sum of 1 − margin over its `LEAST` least certain words,
    divided by `LEAST`.

    logits: (words, tags), NaN rows for words without sub-words, which are passed over. The margin of a word is the
    probability of its best tag minus that of the second (Scheffer, Decomain & Wrobel, IDA 2001; sums of it over the words
    of a sequence as Settles & Craven, EMNLP 2008, section 3.1, sum entropies). The mean over all words would be that of
    the many that are plainly no name, the sum over all would order articles by length: a fixed number of words is between
    the two, and a text of few words counts what it lacks as certain.
    """
    seen = logits[~np.isnan(logits).any(axis=1)]
    best = np.sort(np.exp(log_softmax(seen, temperature)), axis=1)[:, -2:]
    doubts = np.sort(1 - (best[:, 1] - best[:, 0]))[::-1]
    return float(doubts[:LEAST].sum() / LEAST)


def uncertainties(tagger: Tagger, articles: Iterable[Document]) -> Iterator[tuple[float, Document]]:
    """The articles as they come, each behind its `uncertainty`; few are held at a time."""
    for documents in tagger.chunks(articles):
        tags, _ = tagger.logits(tagger.encoder.encode_batch([document.text for document in documents]))
        for document, logits in zip(documents, tags, strict=True):
            yield uncertainty(logits, tagger.policy.temperature), document


def select(
    articles: Iterable[Document],
    count: int,
    tagger: Tagger | None = None,
    *,
    order: str = "uncertainty",
    seed: int = 0,
    diversity: float = 0.5,
    annotated: Sequence[Document] = (),
) -> Selection:
    """At most `count` articles to annotate next; each holds its uncertainty in `meta` where the order is by it.

    order: "uncertainty", the least certain first, spread out as `spread` says; "random", drawn by `seed` and the text, so
        that neither the order nor the copies of articles change the draw; "given", the first ones.
    diversity: weight of unlikeness against uncertainty, from 0 to 1.
    annotated: articles that are done; these are left out by id and by text (after light normalisation), and what is like
        them comes later. A warning tells the ids that now stand for another text.

    Of articles of the same text the first is taken. Memory grows with `count`, never with the number of articles. Raises
    `ValueError` for a count below 1, another order, a diversity beyond 0 and 1, and for uncertainty without a tagger.
    """
    if count < 1:
        raise ValueError(f"at least one article must be asked for, not {count}")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity must be between 0 and 1, not {diversity}")
    left_out: Counter[str] = Counter()
    fresh = _fresh(articles, annotated, left_out)
    if order == "given":
        chosen = list(islice(_distinct(fresh, left_out), count))
    elif order == "random":
        drawn = ((_draw(seed, document.text), document) for document in fresh)
        chosen = [document for _, document in _largest(drawn, count, left_out)]
    elif tagger is None:
        raise ValueError("the order by uncertainty needs a tagger")
    else:
        found = _largest(uncertainties(tagger, fresh), count * (CANDIDATES if diversity else 1), left_out)
        places = spread([value for value, _ in found], [one.text for _, one in found], count, diversity, annotated)
        chosen = [_with_meta(found[i][1], uncertainty=round(found[i][0], 4)) for i in places]
    read = left_out.pop("read", 0)
    return Selection(tuple(_named_apart(chosen)), read, dict(left_out))


def suggest(
    articles: Iterable[Document], count: int, tagger: Tagger, *, model_version: str | None = None, **options: Any
) -> Selection:
    """`select` (`options` are its own), the articles tagged: with the spans of the tagger, scored, and `model_version` and
    uncertainty in `meta`."""
    selection = select(articles, count, tagger, **options)
    documents = list(tagger.stream(selection.documents))
    if documents and "uncertainty" not in documents[0].meta:
        documents = [_with_meta(one, uncertainty=round(value, 4)) for value, one in uncertainties(tagger, documents)]
    if model_version is not None:
        documents = [_with_meta(document, model_version=model_version) for document in documents]
    return replace(selection, documents=tuple(documents))


def spread(
    values: Sequence[float], texts: Sequence[str], count: int, diversity: float, annotated: Sequence[Document] = ()
) -> list[int]:
    """Places of `count` texts: again and again the one with the largest (1 − diversity) · value − diversity · similarity to
    the nearest that is taken or annotated (maximal marginal relevance, Carbonell & Goldstein, SIGIR 1998).

    Values are scaled to 0…1; similarity is the cosine of TF-IDF vectors of words. Of equals the first is taken.
    """
    scaled = np.asarray(values, dtype=np.float64)
    if len(scaled) and scaled.max() > scaled.min():
        scaled = (scaled - scaled.min()) / (scaled.max() - scaled.min())
    index = _Index(texts if diversity else [""] * len(texts))
    nearest = np.zeros(len(texts))
    for document in annotated if diversity else ():
        nearest = np.maximum(nearest, index.similarity(document.text))
    left = np.ones(len(texts), dtype=bool)
    taken = []
    for _ in range(min(count, len(texts))):
        i = int(np.where(left, (1 - diversity) * scaled - diversity * nearest, -np.inf).argmax())
        taken.append(i)
        left[i] = False
        nearest = np.maximum(nearest, index.similarity(texts[i]))
    return taken


class _Index:
    """Words of texts, for the cosine of TF-IDF vectors: (1 + log tf) · log((N + 1) / df), Manning et al. 2008, section 6.4."""

    def __init__(self, texts: Sequence[str]):
        frequencies = Counter(word for text in texts for word in set(_tokens(text)))
        self.size = len(texts)
        self.idf = {word: math.log((self.size + 1) / n) for word, n in frequencies.items()}
        postings: dict[str, tuple[list[int], list[float]]] = {word: ([], []) for word in self.idf}
        for i, text in enumerate(texts):
            for word, weight in self._vector(text).items():
                postings[word][0].append(i)
                postings[word][1].append(weight)
        self.postings = {word: (np.array(rows), np.array(weights)) for word, (rows, weights) in postings.items()}

    def similarity(self, text: str) -> np.ndarray:
        """Of shape (texts,), from 0 to 1."""
        cosines = np.zeros(self.size)
        for word, weight in self._vector(text).items():
            if word in self.postings:
                rows, weights = self.postings[word]
                cosines[rows] += weight * weights
        return cosines

    def _vector(self, text: str) -> dict[str, float]:
        rare = math.log(self.size + 1)
        weights = {w: (1 + math.log(n)) * self.idf.get(w, rare) for w, n in Counter(_tokens(text)).items()}
        norm = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {word: weight / norm for word, weight in weights.items()}


def _tokens(text: str) -> list[str]:
    plain = normalise(text).text
    return [plain[a:b] for a, b in words(plain) if plain[a].isalnum()]


def _fresh(articles: Iterable[Document], annotated: Sequence[Document], left_out: Counter[str]) -> Iterator[Document]:
    """Those that are not annotated and have words; the others, and all that are read, are counted in `left_out`."""
    texts = {_hash(document.text) for document in annotated}
    ids = {document.id for document in annotated}
    changed: list[str] = []
    for document in articles:
        left_out["read"] += 1
        if not words(document.text):
            left_out["without words"] += 1
        elif _hash(document.text) in texts:
            left_out["annotated, by text"] += 1
        elif document.id in ids:
            left_out["annotated, by id"] += 1
            changed += [document.id][: 5 - len(changed)]
        else:
            yield document
    if changed:
        warnings.warn(
            f"{left_out['annotated, by id']} articles have the id of an annotated one and another text; they are left out, "
            f"give them other ids if they are others: {', '.join(map(repr, changed))}",
            stacklevel=2,
        )


def _distinct(documents: Iterable[Document], left_out: Counter[str]) -> Iterator[Document]:
    seen = set()
    for document in documents:
        if (text := _hash(document.text)) in seen:
            left_out["copies"] += 1
        else:
            seen.add(text)
            yield document


def _largest(
    valued: Iterable[tuple[float, Document]], size: int, left_out: Counter[str]
) -> list[tuple[float, Document]]:
    """The `size` articles of the largest values, the largest first, the earlier of equals; copies of them are left out."""
    # A copy has the value of its original: where that was pushed out, so is the copy.
    heap: list[tuple[float, int, bytes, Document]] = []
    held: set[bytes] = set()
    for number, (value, document) in enumerate(valued):
        if (text := _hash(document.text)) in held:
            left_out["copies"] += 1
            continue
        held.add(text)
        heapq.heappush(heap, (value, -number, text, document))
        if len(heap) > size:
            held.remove(heapq.heappop(heap)[2])
    return [(value, document) for value, _, _, document in sorted(heap, key=lambda item: item[:2], reverse=True)]


@lru_cache(maxsize=256)  # an article is asked for a few times soon after another
def _hash(text: str) -> bytes:
    return hashlib.sha256(light(text).encode()).digest()


def _draw(seed: int, text: str) -> float:
    return float(int.from_bytes(hashlib.sha256(f"{seed}\0".encode() + _hash(text)).digest()[:6], "big"))


def _with_meta(document: Document, **values: Any) -> Document:
    return Document(document.text, document.spans, document.id, {**document.meta, **values})


def _named_apart(documents: Sequence[Document]) -> Iterator[Document]:
    """The articles with ids of their own: the files of two folders may have the same names."""
    used, given, renamed = {document.id for document in documents}, set(), []
    for document in documents:
        name, number = document.id, 1
        while name in given or (number > 1 and name in used):
            number += 1
            name = f"{document.id}-{number}"
        given.add(name)
        renamed += [name] if number > 1 else []
        yield document if number == 1 else Document(document.text, document.spans, name, document.meta)
    if renamed:
        warnings.warn(
            f"{len(renamed)} articles have the id of another and got a number: {', '.join(map(repr, renamed[:5]))}",
            stacklevel=2,
        )


def version_of(checkpoint: str | Path) -> str:
    """A name for the weights of a checkpoint folder: that of the folder (of the run, for RUN/best) and a hash of them.

    >>> from kayan.checkpoint import resolve
    >>> version_of(resolve(None)).rpartition("-")[0]
    'starter'
    """
    path = Path(checkpoint).absolute()
    return f"{path.parent.name if path.name == 'best' else path.name}-{weights_digest(path)[:8]}"


def write(
    path: str | Path, documents: Iterable[Document], format: str | None = None, model_version: str | None = None
) -> None:
    """Write pre-annotated articles in a format of `kayan.formats.registry` (by the ending where None): for Label Studio as
    predictions of `model_version`; what a format has no place for is told as a warning."""
    path = Path(path)
    if (format or registry.ENDINGS.get(path.suffix.lower())) == "label_studio":
        label_studio.write(path, documents, predictions=True, model_version=model_version)
    else:
        registry.write(path, documents, format)


@dataclass(frozen=True)
class Change:
    """A correction: kind is type, edges, type+edges, added (before is None) or removed (after is None)."""

    article: str
    kind: str
    before: Span | None
    after: Span | None

    @property
    def label(self) -> str:
        """The type before the correction, of an added mention the one after it."""
        return next(span.label for span in (self.before, self.after) if span)

    @property
    def around(self) -> tuple[str, str, str]:
        """The text before, of and behind what either marks, without line breaks, cut at whole words."""
        spans = [span for span in (self.before, self.after) if span]
        text = spans[0].source or ""
        start, end = min(span.start for span in spans), max(span.end for span in spans)
        first, last = around(text, start, end, _AROUND)
        left, middle, right = (
            " ".join(part.split("\n")) for part in (text[first:start], text[start:end], text[end:last])
        )
        before, behind = ellipses(text, first, last)
        return before + left, middle, right + behind

    def to_dict(self) -> dict[str, Any]:
        sides = {
            name: span and span.to_dict() | ({} if span.score is None else {"score": round(span.score, 4)})
            for name, span in (("before", self.before), ("after", self.after))
        }
        return {"article": self.article, "kind": self.kind, **sides, "around": list(self.around)}


@dataclass(frozen=True)
class Review:
    """What annotators did to pre-annotations.

    articles: counts of proposed, kept, type, edges, type+edges, removed and added mentions of each article
    types: the same of each type, `added` and `corrected` (all mentions after correction) by the type after it, the others
        by that before
    unmatched: ids of corrected articles that have no pre-annotation
    """

    articles: tuple[tuple[str, Counter[str]], ...]
    types: Mapping[str, Counter[str]]
    changes: tuple[Change, ...]
    unmatched: tuple[str, ...] = ()

    @property
    def total(self) -> Counter[str]:
        """The counts of all types together."""
        return sum(self.types.values(), Counter[str]())

    def frequent(self, limit: int | None = 10) -> dict[str, list[dict[str, Any]]]:
        """The most frequent corrections, the earlier of equals first: by mention, by pair of types, and the words that
        edges took in (+) or left out (−)."""
        mentions: Counter[tuple[Any, ...]] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        edges: Counter[tuple[str, str, str]] = Counter()
        for change in self.changes:
            sides = [(span.label, span.name) if span else None for span in (change.before, change.after)]
            mentions[(change.kind, *sides)] += 1
            if change.before and change.after:
                if change.before.label != change.after.label:
                    pairs[change.before.label, change.after.label] += 1
                edges.update(_moves(change.before, change.after))
        return {
            "mentions": [
                {"kind": kind, "before": before and list(before), "after": after and list(after), "count": n}
                for (kind, before, after), n in mentions.most_common(limit)
            ],
            "types": [{"before": a, "after": b, "count": n} for (a, b), n in pairs.most_common(limit)],
            "edges": [{"edge": e, "move": m, "text": t, "count": n} for (e, m, t), n in edges.most_common(limit)],
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "articles": [{"article": name, **_row(counts)} for name, counts in self.articles],
            "types": {label: {**_row(counts), "rates": _rates(counts)} for label, counts in self.types.items()},
            "total": {**_row(self.total), "rates": _rates(self.total)},
            "frequent": self.frequent(None),
            "changes": [change.to_dict() for change in self.changes],
            "unmatched": list(self.unmatched),
        }

    def lines(self, limit: int = 50, most: int = 10) -> Iterator[str]:
        """The review for a terminal, at most `limit` changes and `most` frequent ones of a sort; text of articles is
        isolated (Unicode bidi), so that Arabic does not turn the lines around."""
        total, rates = self.total, _rates(self.total)
        untouched = sum(not any(counts[kind] for kind in _KINDS.values()) for _, counts in self.articles)
        yield (
            f"{len(self.articles)} articles, {untouched} unchanged; {total['proposed']} mentions proposed, "
            f"{total['corrected']} after correction: {_share(rates['kept'])} of the proposed kept, "
            f"{_share(rates['added'])} of the corrected added"
        )
        head = " ".join(f"{name:>10}" for name in _COLUMNS)
        yield f"\n{head}  article"
        for name, counts in self.articles:
            yield " ".join(f"{counts[column]:>10}" for column in _COLUMNS) + f"  {isolate(name)}"
        yield f"\n{head}  type"
        for label, counts in self.types.items():
            shares = _rates(counts)
            yield " ".join(f"{counts[column]:>10}" for column in _COLUMNS) + f"  {isolate(label)}"
            cells = [shares.get(column) for column in _COLUMNS]
            yield " ".join(f"{'' if cell is None else f'{cell:.0%}':>10}" for cell in cells)
        if self.changes:
            frequent = self.frequent(most)
            yield "\nmost frequent"
            for row in (row for row in frequent["mentions"] if row["count"] > 1):
                sides = " → ".join(_named(row[side]) for side in ("before", "after") if row[side])
                yield f"{row['count']:>6} {row['kind']}: {sides}"
            for row in frequent["types"]:
                yield f"{row['count']:>6} types: {isolate(row['before'])} → {isolate(row['after'])}"
            for row in frequent["edges"]:
                yield f"{row['count']:>6} edges: {row['edge']} {row['move']} {isolate(row['text'])}"
            if limit:
                yield f"\nchanges ({min(limit, len(self.changes))} of {len(self.changes)})"
        for change in self.changes[:limit]:
            sides = " → ".join(_named((s.label, s.text), s.score) for s in (change.before, change.after) if s)
            left, middle, right = change.around
            yield f"article {isolate(change.article)}: {change.kind}: {sides}"
            yield f"  {isolate(f'{left}[{middle}]{right}')}"


def review(
    corrected: Sequence[Document], proposed: Iterable[Document], declaration: Declaration | None = None
) -> Review:
    """What was changed in `proposed`, pre-annotations with scores or without, to get `corrected`.

    Articles go together by text (and id where several share one), since tools give ids of their own. Pre-annotated articles
    that nobody corrected are passed over; corrected ones that were not pre-annotated are listed. declaration: what the
    corrections annotate, as in `kayan.agreement.agree`. Raises `ValueError` where no article goes with another.
    """
    by_text: dict[str, dict[str, Document]] = {}
    for document in proposed:
        by_text.setdefault(document.text, {})[document.id] = document
    articles, changes, unmatched = [], list[Change](), []
    types: dict[str, Counter[str]] = {}
    for document in corrected:
        if not (candidates := by_text.get(document.text)):
            unmatched.append(document.id)
            continue
        other = candidates.get(document.id) or next(iter(candidates.values()))
        both = document.with_spans([*document.spans, *other.spans])
        after, before = (comparable(side, declaration or Declaration(), both) for side in (document, other))
        found = _changes(after, before)
        counts: Counter[str] = Counter()
        for span in _plain(before):
            counts["proposed"] += 1
            types.setdefault(span.label, Counter())["proposed"] += 1
        for span in _plain(after):
            counts["corrected"] += 1
            types.setdefault(span.label, Counter())["corrected"] += 1
        for change in found:
            counts[change.kind] += 1
            types[change.label][change.kind] += 1
        for span in _plain(before).keys() & _plain(after).keys():
            counts["kept"] += 1
            types[span.label]["kept"] += 1
        articles.append((document.id, counts))
        changes += found
    if not articles:
        raise ValueError(
            f"none of the {len(corrected)} corrected articles has the text of one of the {len(by_text)} pre-annotated: "
            "are these the pre-annotations that were corrected?"
        )
    return Review(tuple(articles), dict(sorted(types.items())), tuple(changes), tuple(unmatched))


def _plain(document: Document) -> dict[Span, Span]:
    """Each mention once, without its score, to the mention with it."""
    return {replace(span, score=None): span for span in document.spans}


def _changes(after: Document, before: Document) -> list[Change]:
    scored = _plain(before)
    return [
        Change(after.id, _KINDS[one.kind], scored[one.second] if one.second else None, one.first)
        for one in disagreements(after, before)
    ]


def _moves(before: Span, after: Span) -> Iterator[tuple[str, str, str]]:
    """Which edge of a mention moved, + outwards or − inwards, and over what text."""
    text = before.source or ""
    for edge, inner, a, b in (
        ("start", before.start < after.start, before.start, after.start),
        ("end", after.end < before.end, before.end, after.end),
    ):
        if a != b:
            yield edge, "−" if inner else "+", " ".join(text[min(a, b) : max(a, b)].split())


def _row(counts: Counter[str]) -> dict[str, int]:
    return {column: counts[column] for column in (*_COLUMNS, "corrected")}


def _rates(counts: Counter[str]) -> dict[str, Any]:
    """Shares of the proposed mentions, and of the corrected ones for those added; None of none."""
    rates: dict[str, Any] = {}
    for kind in _COLUMNS[1:]:
        whole = counts["corrected" if kind == "added" else "proposed"]
        rates[kind] = round(counts[kind] / whole, 4) if whole else None
    return rates


def _share(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.0%}"


def _named(side: Sequence[str], score: float | None = None) -> str:
    return f"{isolate(side[0])} {isolate(side[1])}" + ("" if score is None else f" {score:.2f}")
