"""Documents to overlapping windows of sub-words with tags, and window logits back to one row a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from kayan.document import Document, DocumentError, Span, ranges
from kayan.schema import OUTSIDE, Declaration, TagSets
from kayan.text import PROFILES, View, normalise
from kayan.words import particle_count, particle_end, words

IGNORED = -100
_SPACE = re.compile(r"\s+")
# Sub-words in a window: the memory of an encoder grows with their square.
MOST = 16_384


@dataclass(frozen=True)
class TextPolicy:
    """How a checkpoint's text is made: it travels in the checkpoint.

    profile: normalisation profile, a key of `kayan.text.PROFILES`.
    window: sub-words in a window, special tokens included.
    stride: sub-words that two neighbouring windows share.
    """

    profile: str = "light"
    window: int = 256
    stride: int = 64

    def __post_init__(self) -> None:
        if not isinstance(self.profile, str) or self.profile not in PROFILES:
            normalise("", self.profile)  # raises, naming the profiles
        for name in ("window", "stride"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} must be a whole number of sub-words, not {getattr(self, name)!r}")
        if not 8 <= self.window <= MOST:
            raise ValueError(f"window must be between 8 and {MOST} sub-words, not {self.window}")
        if not 0 <= self.stride <= self.window // 2:
            raise ValueError(f"stride must be between 0 and half the window ({self.window // 2}), not {self.stride}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unreachable:
    """A gold mention that the pipeline cannot return, and why."""

    article: str
    span: Span
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Article, mention, label and reason, ready for JSON."""
        return {"article": self.article, "mention": self.span.text, "label": self.span.label, "reason": self.reason}


@dataclass(frozen=True)
class Encoded:
    """An article as sub-words.

    words: half-open offsets of the words in the raw text.
    ids: int64 (sub-words,), no special tokens.
    first: int64 (words,), the first sub-word of each word, −1 for a word that left none (it vanished in normalisation,
        or a sub-word that began in an earlier word covers it).
    windows: half-open ranges of sub-words; together they cover all, and each is at most the policy's window.
    """

    words: list[tuple[int, int]]
    ids: np.ndarray
    first: np.ndarray
    windows: list[tuple[int, int]]


class Encoder:
    """Text to windows of sub-words, by a fast tokenizer and a text policy.

    tokenizer: a `tokenizers.Tokenizer`; a transformers fast tokenizer has one as `.backend_tokenizer`.
    """

    def __init__(self, tokenizer: Tokenizer, policy: TextPolicy, pad_id: int = 0):
        # A copy: truncation, padding and special-token settings are the caller's own affair.
        self.tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        # An article that says «[SEP]» or «<s>» means the characters, not the token.
        self.tokenizer.encode_special_tokens = True
        self.policy = policy
        self.pad_id = pad_id
        self.prefix, self.suffix = _specials(self.tokenizer)
        self.margin = len(self.prefix) + len(self.suffix)
        self.room = policy.window - self.margin

    def encode(self, text: str) -> Encoded:
        """Encode a whole article; nothing is cut off."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode several articles, each as `encode` would."""
        views = [normalise(text, self.policy.profile) for text in texts]
        encodings = self.tokenizer.encode_batch([view.text for view in views], add_special_tokens=False)
        return [self._assemble(view, encoding) for view, encoding in zip(views, encodings, strict=True)]

    def _assemble(self, view: View, encoding: Any) -> Encoded:
        found = words(view.raw)
        ids = np.array(encoding.ids, dtype=np.int64)
        first = np.full(len(found), -1, dtype=np.int64)
        if len(ids) and found:
            offsets = np.array(encoding.offsets, dtype=np.int64)
            # A sub-word may begin with the space before it; it belongs to the word of its first visible character.
            visible = _visible(view.text)[offsets[:, 0]]
            begins = np.maximum(np.minimum(visible, offsets[:, 1] - 1), offsets[:, 0])
            blank = visible >= offsets[:, 1]
            raw = view.starts[np.minimum(begins, len(view.text) - 1)]
            starts, ends = np.array(found, dtype=np.int64).T
            owner = np.searchsorted(starts, raw, side="right") - 1
            valid = (owner >= 0) & (raw < ends[np.maximum(owner, 0)]) & ~blank
            indices = np.flatnonzero(valid)[::-1]
            first[owner[indices]] = indices  # reversed: the earliest sub-word of a word is written last
        return Encoded(found, ids, first, self._windows(len(ids), first))

    def _windows(self, length: int, first: np.ndarray) -> list[tuple[int, int]]:
        """Ranges of at most `room` sub-words, each beginning at a word and overlapping the last by about `stride`."""
        if length <= self.room:
            return [(0, length)]
        starts = np.sort(first[first >= 0])
        windows, start = [], 0
        while True:
            end = min(start + self.room, length)
            windows.append((start, end))
            if end == length:
                return windows
            wanted = end - self.policy.stride
            at = int(np.searchsorted(starts, wanted, side="right")) - 1
            following = int(starts[at]) if at >= 0 else wanted
            # A single word longer than a window is cut: its tag comes from its first sub-word all the same.
            start = following if following > start else wanted

    def inputs(self, encoded: Encoded, window: tuple[int, int]) -> list[int]:
        """Input ids of a window, with the special tokens."""
        return [*self.prefix, *encoded.ids[slice(*window)].tolist(), *self.suffix]

    def pad(self, rows: Sequence[Sequence[int]], multiple: int = 8) -> tuple[np.ndarray, np.ndarray]:
        """Input ids and attention mask, both int64 (rows, longest rounded up to `multiple`, at most the window)."""
        longest = max(map(len, rows))
        width = max(longest, min(-(-longest // multiple) * multiple, self.policy.window))
        ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return ids, mask

    def merge(self, encoded: Encoded, logits: Sequence[np.ndarray]) -> np.ndarray:
        """One row a word, (words, n), from the logits of each window, (sub-words with specials, n) each.

        A word takes its row from the window in which its first sub-word has most context: the largest distance to the
        nearer edge that is not an end of the article. A word without sub-words gets NaN.
        """
        merged = np.full((len(encoded.words), logits[0].shape[1]), np.nan, dtype=np.float32)
        best = np.full(len(encoded.words), -1.0)
        length = len(encoded.ids)
        places = _places(encoded)
        for (start, end), rows in zip(encoded.windows, logits, strict=True):
            inside = _inside(*places, start, end)
            at = encoded.first[inside]
            left = np.where(start == 0, np.inf, at - start)
            right = np.where(end == length, np.inf, end - 1 - at)
            context = np.minimum(np.minimum(left, right), length)
            better = context > best[inside]
            best[inside[better]] = context[better]
            merged[inside[better]] = rows[at[better] - start + len(self.prefix)]
        return merged

    def targets(
        self, document: Document, encoded: Encoded, sets: TagSets, declaration: Declaration
    ) -> tuple[np.ndarray, np.ndarray, list[Unreachable]]:
        """What the model should say of each word.

        Returns (tag set ids, particle counts, unreachable gold); the first two int64 (words,), `IGNORED` where nothing
        is to be learnt: words without a sub-word, and words in the ranges of `document.meta["open"]`, character offsets
        between which nobody vouches for the annotation; particle counts also everywhere but on the first word of a
        mention in a corpus that leaves particles outside.
        """
        tags, counts, lost = word_tags(document, encoded.words)
        if not declaration.proclitics:
            counts = [IGNORED] * len(counts)
        for span, (begin, stop) in _ranges(document, encoded.words):
            if begin < stop and min(encoded.first[begin], encoded.first[stop - 1]) < 0:
                lost.append(Unreachable(document.id, span, "its first or last word has no sub-word of its own"))
        labels = np.array(sets.admissible(tags, declaration), dtype=np.int64)
        particles = np.array(counts, dtype=np.int64)
        silent = encoded.first < 0
        gaps = ranges(document.meta.get("open", ()), len(document.text))
        if gaps is None:
            raise DocumentError("meta['open'] must be a list of [start, end] within the text", document.id)
        starts, ends = (np.array([word[side] for word in encoded.words], dtype=np.int64) for side in (0, 1))
        for start, end in gaps:
            silent[np.searchsorted(ends, start, side="right") : np.searchsorted(starts, end, side="left")] = True
        labels[silent] = IGNORED
        particles[silent] = IGNORED
        return labels, particles, lost

    def examples(self, encoded: Encoded, labels: np.ndarray, particles: np.ndarray) -> Iterator[dict[str, list[int]]]:
        """Training rows, one a window: input_ids, labels and particles, `IGNORED` but on first sub-words.

        In the overlap of two windows both learn; each has context there that the other lacks.
        """
        places = _places(encoded)
        for start, end in encoded.windows:
            row = {"input_ids": self.inputs(encoded, (start, end))}
            inside = _inside(*places, start, end)
            at = encoded.first[inside] - start + len(self.prefix)
            for key, values in (("labels", labels), ("particles", particles)):
                column = np.full(len(row["input_ids"]), IGNORED, dtype=np.int64)
                column[at] = values[inside]
                row[key] = column.tolist()
            yield row


def _visible(text: str) -> np.ndarray:
    """For each place in the text, and its end, the first at or behind it that is no white space; the end where none is."""
    places = np.arange(len(text) + 1)
    for match in _SPACE.finditer(text):
        places[slice(*match.span())] = match.end()
    return places


def _places(encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """The words that have sub-words, in the order of their first ones, and these."""
    words = np.flatnonzero(encoded.first >= 0)
    words = words[np.argsort(encoded.first[words])]
    return words, encoded.first[words]


def _inside(words: np.ndarray, first: np.ndarray, start: int, end: int) -> np.ndarray:
    """The words whose first sub-word lies in the window; all are not looked through for each window."""
    return words[slice(*np.searchsorted(first, [start, end]))]


def word_tags(document: Document, found: Sequence[tuple[int, int]]) -> tuple[list[str], list[int], list[Unreachable]]:
    """IOB2 tags of the words, particle counts (`IGNORED` off the first words of mentions), and the mentions that words
    with particles cannot express: overlapping ones, and those that begin or end inside a word otherwise."""
    tags, counts = [OUTSIDE] * len(found), [IGNORED] * len(found)
    lost = []
    for span, (begin, stop) in _ranges(document, found):
        if begin >= stop:
            lost.append(Unreachable(document.id, span, "no word stands in it"))
            continue
        if any(tag != OUTSIDE for tag in tags[begin:stop]):
            lost.append(Unreachable(document.id, span, "it overlaps another mention"))
            continue
        start, end = found[begin]
        count = particle_count(document.text[start:end], span.start - start) if span.start > start else 0
        if count is None:
            lost.append(Unreachable(document.id, span, "it begins inside a word, not behind particles"))
        elif span.start < start:
            lost.append(Unreachable(document.id, span, "it begins before its first word"))
        if found[stop - 1][1] != span.end:
            lost.append(Unreachable(document.id, span, "it does not end at the end of a word"))
        # An inexact mention is still taught, by its words: it is a mention, only its edge cannot be returned.
        tags[begin:stop] = [f"B-{span.label}", *[f"I-{span.label}"] * (stop - begin - 1)]
        counts[begin] = IGNORED if count is None else count
    return tags, counts, lost


def _ranges(document: Document, found: Sequence[tuple[int, int]]) -> Iterator[tuple[Span, tuple[int, int]]]:
    """Each span with the half-open range of words that it overlaps."""
    starts = np.array([a for a, _ in found], dtype=np.int64)
    ends = np.array([b for _, b in found], dtype=np.int64)
    for span in document.spans:
        begin = int(np.searchsorted(ends, span.start, side="right"))
        stop = int(np.searchsorted(starts, span.end, side="left"))
        yield span, (begin, stop)


def mention_start(text: str, word: tuple[int, int], particles: int) -> int:
    """Where the mention starts whose first word is `word` and has `particles` attached particles."""
    return word[0] + particle_end(text[slice(*word)], particles)


def _specials(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer's post-processor puts before and after a text."""
    bare = tokenizer.encode("و", add_special_tokens=False).ids
    full = tokenizer.encode("و", add_special_tokens=True).ids
    for i in range(len(full) - len(bare) + 1):
        if full[i : i + len(bare)] == bare:
            return full[:i], full[i + len(bare) :]
    raise ValueError("the tokenizer's post-processor changes the text's own sub-words; it cannot be used for windows")
