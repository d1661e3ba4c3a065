"""Article logits to spans: batched Viterbi under the BIO constraints, and calibrated scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kayan.document import Span
from kayan.encoding import Encoded, mention_start
from kayan.schema import Schema
from kayan.words import PAIRS, governs, opens, particle_candidates


def viterbi(emissions: Sequence[np.ndarray], schema: Schema) -> list[np.ndarray]:
    """The most probable admissible tag sequence of each article (Viterbi, 1967; transitions are allowed or not, all
    allowed ones equally likely).

    emissions: log-probabilities or logits, (words, tags) an article, words may be 0. Returns int64 (words,) each. The
    articles are decoded together, the longest first; each result is the one it would have alone.
    """
    order = sorted(range(len(emissions)), key=lambda i: -len(emissions[i]))
    lengths = np.array([len(emissions[i]) for i in order], dtype=np.int64)
    longest = int(lengths.max(initial=0))
    tags = len(schema.tags)
    # The words of all articles by their place: those in place t, an article a row, stand from `first[t]` on. Nothing is
    # padded, so that a very long article beside short ones takes no more memory than alone.
    active = np.searchsorted(-lengths, -np.arange(longest), side="left")
    first = np.concatenate([[0], np.cumsum(active)]).astype(np.int64)
    scores = np.zeros((int(first[-1]), tags))
    for row, i in enumerate(order):
        scores[first[: lengths[row]] + row] = emissions[i]
    forbidden = np.where(schema.transitions, 0.0, -np.inf)
    back = np.zeros(scores.shape, dtype=np.int16)
    best = np.where(schema.starts, scores[: np.count_nonzero(lengths)], -np.inf)
    for t in range(1, longest):
        here, rows = slice(first[t], first[t + 1]), active[t]
        paths = best[:rows, :, None] + forbidden
        back[here] = paths.argmax(1)
        best[:rows] = paths.max(1) + scores[here]
    decoded = [np.zeros(len(rows), dtype=np.int64) for rows in emissions]
    for row, i in enumerate(order):
        path = decoded[i]
        if lengths[row]:
            path[-1] = best[row].argmax()
            for t in range(int(lengths[row]) - 1, 0, -1):
                path[t - 1] = back[first[t] + row, path[t]]
    return decoded


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Along the last axis, in float64, of the logits divided by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))


def decode(
    texts: Sequence[str],
    encoded: Sequence[Encoded],
    tag_logits: Sequence[np.ndarray],
    particle_logits: Sequence[np.ndarray] | None,
    schema: Schema,
    temperature: float = 1.0,
) -> list[list[Span]]:
    """Spans of each article, in order, from merged logits: (words, tags) and (words, 4), NaN rows for words without
    sub-words, which stand in a mention only when words with sub-words surround them in it."""
    seen = [~np.isnan(logits).any(axis=1) for logits in tag_logits]
    kept = [log_softmax(logits[mask]) for logits, mask in zip(tag_logits, seen, strict=True)]
    paths = viterbi(kept, schema)
    articles = []
    for i, (text, item, path, mask) in enumerate(zip(texts, encoded, paths, seen, strict=True)):
        found = [item.words[k] for k in np.flatnonzero(mask)]
        log_p = log_softmax(tag_logits[i][mask], temperature)
        counts = None if particle_logits is None else log_softmax(particle_logits[i][mask], temperature)
        articles.append(list(_spans(text, found, path, log_p, counts, schema)))
    return articles


def _closed(text: str, found: Sequence[tuple[int, int]], path: np.ndarray, first: int, stop: int) -> int:
    """The end of a mention in words, so that it leaves an opening mark at its end («جمعية “») and takes the mark along that
    closes what it opened («مؤتمر الأطراف (كوب 30)»)."""

    inside = text[found[first][0] : found[stop - 1][1]]
    counts = {char: inside.count(char) for pair in PAIRS.items() for char in pair}
    while stop - first > 1 and (last := text[slice(*found[stop - 1])]) in PAIRS and opens(counts, last):
        stop -= 1
        # Counted anew, a row of marks would take the square of its length.
        for char in text[found[stop - 1][1] : found[stop][1]]:
            counts[char] = counts.get(char, 0) - 1
    if stop < len(path) and path[stop] == 0:
        following = text[slice(*found[stop])]
        stop += any(following == close and opens(counts, mark) for mark, close in PAIRS.items())
    return stop


def _spans(
    text: str,
    found: Sequence[tuple[int, int]],
    path: np.ndarray,
    log_p: np.ndarray,
    counts: np.ndarray | None,
    schema: Schema,
) -> list[Span]:
    spans = []
    first = 0
    while first < len(path):
        tag = int(path[first])
        if tag == 0:
            first += 1
            continue
        # Tags are O, B-X, I-X, …: odd ones begin a mention, the next even one continues it.
        stop = first + 1
        while stop < len(path) and path[stop] == tag + 1:
            stop += 1
        word = found[first]
        particles, certainty = 0, 0.0
        if counts is not None:
            candidates = particle_candidates(text[slice(*word)])
            # «من لشبونة»: the ل is the name's own.
            if first and governs(text[slice(*found[first - 1])]) and text[found[first - 1][1] : word[0]].isspace():
                candidates = candidates[:1]
            rows = counts[first, candidates]
            particles = candidates[int(rows.argmax())]
            certainty = float(rows.max() - np.logaddexp.reduce(rows))
        start = mention_start(text, word, particles)
        score = span_score(log_p, first, stop, tag, certainty)
        last = _closed(text, found, path, first, stop) - 1
        spans.append(Span(start, found[last][1], schema.tags[tag][2:], score))
        first = stop
    return spans


def span_score(log_p: np.ndarray, first: int, stop: int, tag: int, certainty: float) -> float:
    """Probability that the words [first, stop) are exactly a mention that begins with `tag`: the least certain of its
    decisions, that is the tags of its words, its end (the next word does not continue it), and its particles.

    log_p (words, tags) log-probabilities at the calibrated temperature; certainty is the particle count's. The minimum
    rather than the product: decisions within a mention stand and fall together, and a product punishes long names.
    """
    parts = [log_p[first, tag], certainty]
    parts += log_p[first + 1 : stop, tag + 1].tolist()
    if stop < len(log_p):
        parts.append(np.log1p(-min(np.exp(log_p[stop, tag + 1]), 1 - 1e-12)))
    return float(np.exp(min(parts)))
