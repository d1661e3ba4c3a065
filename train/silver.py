"""Articles that trained taggers label, to train the next one on: `stage: label` of `python -m train.starter`.

Self-training with an ensemble (Yarowsky 1995; Lakshminarayanan et al. 2017 for averaging probabilities): the taggers'
probabilities are averaged, decoded as one tagger's are, and the words of which they are unsure are left open, so that
nothing is learnt there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from kayan.decoding import decode, log_softmax
from kayan.document import Document, Span
from kayan.encoding import Encoded
from kayan.formats import jsonl
from kayan.tagger import Tagger
from train.config import Section
from train.rawtext import RawText, articles

log = logging.getLogger("kayan.train")

# Articles that are tagged together.
CHUNK = 64


class Label(Section):
    """`stage: label`."""

    stage: Literal["label"]
    # A file of JSON lines.
    output: str
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    text: RawText
    # Words whose tag the taggers together give less are left open, with the whole mention that they stand in.
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.8
    seed: int = 13

    def run(self, resume: bool) -> dict[str, Any]:
        """Label the articles; one that was cut off begins anew."""
        parts, report = articles(self.text, self.seed)
        texts = [text for part in parts for text in part]
        taggers = [Tagger.load(checkpoint) for checkpoint in self.checkpoints]
        documents: list[Document] = []
        for start in range(0, len(texts), CHUNK):
            for document in label(taggers, texts[start : start + CHUNK], self.confidence):
                documents.append(Document(document.text, document.spans, f"silver-{len(documents)}", document.meta))
            log.info("%d of %d articles labelled", len(documents), len(texts))
        Path(self.output).parent.mkdir(parents=True, exist_ok=True)
        jsonl.write(self.output, documents)
        words = sum(len(text.split()) for text in texts)
        left = sum(len(document.text[a:b].split()) for document in documents for a, b in document.meta["open"])
        mentions = sum(len(document.spans) for document in documents)
        return {"text": report, "articles": len(texts), "words": words, "words_open": left, "mentions": mentions}


def label(taggers: Sequence[Tagger], texts: Sequence[str], confidence: float) -> Iterator[Document]:
    """The texts with the spans that the taggers find together, and in `meta["open"]` the character ranges in which they
    are unsure: less than `confidence` for the tag of a word. Spans there are left out.

    The taggers must share types; each reads the text by its own tokenizer, and a word that one of them cannot see is
    open. Raises `ValueError` for differing types.
    """
    schema = taggers[0].policy.schema
    if any(tagger.policy.schema != schema for tagger in taggers):
        raise ValueError("the checkpoints know different types; their probabilities cannot be averaged")
    encoded = [tagger.encoder.encode_batch(texts) for tagger in taggers]
    found = [tagger.logits(items) for tagger, items in zip(taggers, encoded, strict=True)]
    for i, text in enumerate(texts):
        tags = _mean(
            [log_softmax(logits[i], t.policy.temperature) for t, (logits, _) in zip(taggers, found, strict=True)]
        )
        counts = [log_softmax(particles[i]) for _, particles in found if particles is not None]
        [spans] = decode([text], [encoded[0][i]], [tags], [_mean(counts)] if counts else None, schema)
        open_words = _unsure(encoded[0][i], tags, confidence)
        sure = []
        for span in spans:
            own = {word for word in encoded[0][i].words if word[0] < span.end and span.start < word[1]}
            if own & open_words:
                open_words |= own
            else:
                sure.append(Span(span.start, span.end, span.label))
        yield Document(text, sure, meta={"open": sorted(map(list, open_words))})


def _mean(log_p: Sequence[np.ndarray]) -> np.ndarray:
    """Log of the mean probability; NaN where one is."""
    result: np.ndarray = np.logaddexp.reduce(np.stack(log_p)) - np.log(len(log_p))
    return result


def _unsure(encoded: Encoded, log_p: np.ndarray, confidence: float) -> set[tuple[int, int]]:
    best = np.exp(log_p.max(axis=1)) if len(log_p) else np.zeros(0)
    # A comparison with NaN is false.
    return {word for word, p in zip(encoded.words, best, strict=True) if not p >= confidence}
