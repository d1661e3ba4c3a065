"""Fit the temperature of a checkpoint's scores, and the threshold below which it keeps silent, on validation articles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kayan.decoding import decode
from kayan.document import Document
from kayan.tagger import Tagger

# Fewer predictions than this say little about the best threshold.
ENOUGH = 200
_GRID = np.exp(np.linspace(np.log(0.4), np.log(4.0), 47))


def fit_temperature(tagger: Tagger, gold: Sequence[Document]) -> float:
    """The temperature whose span scores have the least log loss as probabilities of being exactly right (after
    temperature scaling: Guo et al., ICML 2017). 1.0 when the predictions are all right, all wrong, or none: a single
    class says nothing about calibration."""
    if not gold:
        return 1.0
    texts = [document.text for document in gold]
    encoded = tagger.encoder.encode_batch(texts)
    tags, particles = tagger.logits(encoded)
    answers = [{(span.start, span.end, span.label) for span in document.spans} for document in gold]
    schema = tagger.policy.schema

    def loss(temperature: float) -> float | None:
        articles = decode(texts, encoded, tags, particles, schema, temperature)
        scores, right = [], []
        for spans, known in zip(articles, answers, strict=True):
            scores += [span.score or 0.0 for span in spans]
            right += [(span.start, span.end, span.label) in known for span in spans]
        if all(right) or not any(right):
            return None
        p = np.clip(np.array(scores), 1e-6, 1 - 1e-6)
        hits = np.array(right)
        return float(-(np.log(p[hits]).sum() + np.log1p(-p[~hits]).sum()))

    losses = [loss(float(temperature)) for temperature in _GRID]
    known = [value for value in losses if value is not None]
    return float(_GRID[int(np.argmin(known))]) if len(known) == len(losses) else 1.0


def fit_threshold(tagger: Tagger, gold: Sequence[Document]) -> float:
    """The threshold with the highest micro F1 on the articles, the middle of the best run of scores, two digits; 0.0 for
    fewer than `ENOUGH` predictions. A calibrated tagger gains where what it is unsure of is more often wrong than right."""
    tagger = Tagger(tagger.encoder, tagger.runtime, tagger.policy, 0.0, tagger.batch)
    known = sum(len(document.spans) for document in gold)
    scored = []
    for document, found in zip(gold, tagger.stream(gold), strict=True):
        right = {(span.start, span.end, span.label) for span in document.spans}
        scored += [(span.score or 0.0, (span.start, span.end, span.label) in right) for span in found.spans]
    if len(scored) < ENOUGH:
        return 0.0
    scores, hits = map(np.array, zip(*sorted(scored, reverse=True), strict=True))
    f1 = 2 * np.cumsum(hits) / (np.arange(1, len(hits) + 1) + known)
    best = int(np.argmax(f1))
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    return float(round((scores[best] + below) / 2, 2))
