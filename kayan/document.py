"""Span and Document: raw text and half-open character spans, the one currency of the project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Real
from typing import Any

_LETTER = "\u0621-\u063a\u0641-\u064a\u066e-\u066f\u0671-\u06d3"
_FREE_BEFORE = re.compile(f"(?:^|[^{_LETTER}])[وفبك]?$")
_FOLLOWING = re.compile(f"[{_LETTER}]")
_RUN = re.compile(f"[{_LETTER}]+")
_MARKS = re.compile("[\u0640\u064b-\u0652\u0670]+")
# First words that begin with their own lam: after the particle ل they read «للبنان», and no alef was dropped.
LAM_INITIAL = frozenset(
    "لبنان لندن ليبيا لاهاي ليون ليل ليلى ليفربول ليبرفيل ليبيريا ليتوانيا ليما ليوبليانا لشبونة لوس لاس لوران لويس لويزا "
    "لوكسمبورغ لوكسمبورج لوزان لوساكا لومي لوغانو لواندا لاوس لاتفيا لاغوس لاهور لايبزيغ لارام لاماب لاليغا لطيفة لطفي "
    "لينا لؤي لقمان لوط لبنى لمياء لكوس لكصر لعيون لارباع لكناو لودريان لوبان لافروف لوموند لوفيغارو لوفتهانزا لينكس "
    "لجنة لجان لواء لغة".split()
)


class DocumentError(ValueError):
    """A span or document that contradicts itself; the message names the document, the span and what is accepted.

    `message` leaves the document out, for those that name it in their own way.
    """

    def __init__(self, message: str, document: str | None = None):
        self.message = message
        super().__init__(message if document is None else f"document {document!r}: {message}")


@dataclass(frozen=True, slots=True)
class Span:
    """A mention: half-open offsets `[start, end)` in Unicode code points of the raw text, and its entity type.

    `score` is the calibrated probability that the span is right, `None` for gold. A span inside a `Document` knows
    the document's text, so that `span.text` and `span.name` work; a free one raises `DocumentError` there.

    >>> Document("بمراكش", [Span(1, 6, "LOC")]).spans[0].text
    'مراكش'
    """

    start: int
    end: int
    label: str
    score: float | None = None
    source: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Millions are made while scores are counted; what is plainly right is looked at once.
        start, end, label, score = self.start, self.end, self.label, self.score
        if (
            type(start) is type(end) is int
            and 0 <= start < end
            and type(label) is str
            and label.strip()
            and (score is None or (type(score) is float and abs(score) < 1e300))
        ):
            return
        for name in ("start", "end"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise DocumentError(f"span {name} must be an integer, not {value!r}")
        if not 0 <= self.start < self.end:
            raise DocumentError(f"span [{self.start}, {self.end}) must satisfy 0 <= start < end")
        if not isinstance(self.label, str) or not self.label.strip():
            raise DocumentError(
                f"span [{self.start}, {self.end}) needs a label, a non-empty string, not {self.label!r}"
            )
        if score is not None and (not isinstance(score, Real) or isinstance(score, bool) or not abs(score) < 1e300):
            raise DocumentError(
                f"span [{self.start}, {self.end}) must have a finite number as its score, not {score!r}"
            )

    @property
    def text(self) -> str:
        """The mention as it stands in the raw text."""
        return self._bound()[self.start : self.end]

    @property
    def name(self) -> str:
        """The canonical form: no diacritics, tatweel or doubled spaces, and the article restored after a removed ل."""
        return canonical_name(self._bound(), self.start, self.end)

    def to_dict(self) -> dict[str, Any]:
        """Offsets, label and the quoted mention, ready for JSON."""
        return {"start": self.start, "end": self.end, "label": self.label, "text": self.text}

    def overlaps(self, other: Span) -> bool:
        """Whether the two spans share at least one character."""
        return self.start < other.end and other.start < self.end

    def _bound(self) -> str:
        if self.source is None:
            raise DocumentError("this span belongs to no document, so its text is not known")
        return self.source


@dataclass(frozen=True, slots=True, init=False)
class Document:
    """An article: raw text, spans in reading order, an id and free metadata.

    `spans` are sorted by start on construction. Overlapping spans are allowed here (corpora have them, and
    `kayan data check` reports them); spans outside the text raise `DocumentError`.
    """

    text: str
    spans: tuple[Span, ...] = ()
    id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __init__(
        self, text: str, spans: Iterable[Span] = (), id: str = "", meta: Mapping[str, Any] | None = None
    ) -> None:
        if not isinstance(text, str):
            raise DocumentError(f"text must be a string, not {type(text).__name__}", id)
        bound = []
        for span in spans:
            if span.end > len(text):
                raise DocumentError(
                    f"span [{span.start}, {span.end}) {span.label} is outside the text, which has {len(text)} characters",
                    id,
                )
            # An equal text need not be the same one: predictions are read from a file of their own.
            own = span.source == text
            bound.append(span if own else Span(span.start, span.end, span.label, span.score, text))
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "spans", tuple(sorted(bound, key=lambda s: (s.start, s.end, s.label))))
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "meta", dict(meta or {}))

    def with_spans(self, spans: Iterable[Span]) -> Document:
        """The same article with other spans."""
        return Document(self.text, spans, self.id, self.meta)

    def _repr_html_(self) -> str:
        """What a notebook shows: the article with its mentions marked (`kayan.page.article`)."""
        from kayan.page import article

        return article(self)


def ranges(value: Any, end: int) -> list[tuple[int, int]] | None:
    """The half-open ranges that a value of `Document.meta` lists, or None where it is no list of pairs within [0, end]:
    `meta` is free, and another program may mean something else by the same name.

    >>> ranges([[0, 2], [3, 9]], 9), ranges([[0, 2]], 1), ranges(12, 9)
    ([(0, 2), (3, 9)], None, None)
    """
    if not isinstance(value, list | tuple) or not all(isinstance(item, list | tuple) for item in value):
        return None
    whole = all(len(item) == 2 and all(type(edge) is int for edge in item) for item in value)
    return [(a, b) for a, b in value] if whole and all(0 <= a <= b <= end for a, b in value) else None


def canonical_name(text: str, start: int, end: int) -> str:
    """The canonical form of the mention `text[start:end]`.

    Arabic drops the alef of «ال» after the particle ل: «للأمم المتحدة» is ل + «الأمم المتحدة», annotated from its second
    letter. There the alef is put back. «للبنان» is ل + «لبنان»: the rest of the article decides where one of the two
    forms stands in it alone, then `LAM_INITIAL`; otherwise the article is restored, the far more frequent case.

    >>> canonical_name("مقر للأمم المتحدة", 5, 17)
    'الأمم المتحدة'
    >>> canonical_name("زيارة للبنان", 7, 12)
    'لبنان'
    """
    name = _MARKS.sub("", " ".join(text[start:end].split()))
    before = _MARKS.sub("", text[max(0, start - 4) : start])
    if not (name.startswith("ل") and before.endswith("ل")):
        return name
    definite, first = "ا" + name, name.split(" ")[0]
    if _stands_free(definite.split(" ")[0], text):
        return definite
    if first in LAM_INITIAL or _stands_free(first, text):
        return name
    return definite


def _stands_free(word: str, text: str) -> bool:
    """Whether `word` stands in `text` as a word, maybe behind one of و ف ب ك."""
    # Articles ask this of many names: the words are listed once. A name that is more than letters is looked for where the
    # letters that it begins with are one of them.
    letters = _RUN.match(word)
    if letters and (len(letters[0]) == len(word) or letters[0] not in _free_words(text)):
        return letters[0] in _free_words(text)
    at = text.find(word)
    while at >= 0:
        if _FREE_BEFORE.search(text[max(0, at - 2) : at]) and not _FOLLOWING.match(text, at + len(word)):
            return True
        at = text.find(word, at + 1)
    return False


@lru_cache(4)
def _free_words(text: str) -> frozenset[str]:
    runs = set(_RUN.findall(text))
    return frozenset(runs | {run[1:] for run in runs if run[0] in "وفبك"})
