import builtins
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kayan import Document, Tagger
from kayan.checkpoint import inspect


@pytest.fixture(scope="module")
def tagger(checkpoint: Path) -> Tagger:
    return Tagger.load(checkpoint)


@pytest.fixture(scope="module")
def texts(articles: list[Document]) -> list[str]:
    plain = [document.text for document in articles]
    return [*plain, "", "\n".join(plain * 6), plain[0] * 3]


def test_one_article_in_one_out(tagger: Tagger, texts: list[str]) -> None:
    document = tagger(texts[0])
    assert isinstance(document, Document)
    assert document.spans
    for span in document.spans:
        assert document.text[span.start : span.end] == span.text
        assert 0 <= (span.score or 0) <= 1


def test_alone_in_a_batch_and_in_a_stream(checkpoint: Path, tagger: Tagger, texts: list[str]) -> None:
    alone = [tagger(text) for text in texts]
    small = Tagger.load(checkpoint, batch=64)
    for together in (tagger(texts), list(tagger.stream(iter(texts), chunk=2)), small(texts)):
        for one, other in zip(alone, together, strict=True):
            edges = [[(span.start, span.end, span.label) for span in document.spans] for document in (one, other)]
            assert edges[0] == edges[1]
            scores = [[span.score for span in document.spans] for document in (one, other)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_a_document_keeps_its_id_and_meta(tagger: Tagger, articles: list[Document]) -> None:
    document = Document(articles[0].text, articles[0].spans, "n1", {"source": "x"})
    tagged = tagger(document)
    assert (tagged.id, tagged.meta, tagged.text) == ("n1", {"source": "x"}, document.text)
    assert all(span.score is not None for span in tagged.spans)


def test_nothing_to_tag(tagger: Tagger) -> None:
    assert tagger("").spans == ()
    assert tagger(" \n\u200f ").spans == ()
    assert tagger([]) == []


def test_the_threshold_leaves_out_what_scores_less(checkpoint: Path, tagger: Tagger, texts: list[str]) -> None:
    everything = tagger(texts[0]).spans
    middle = sorted(span.score or 0 for span in everything)[len(everything) // 2]
    some = Tagger.load(checkpoint, threshold=middle)(texts[0]).spans
    assert [span for span in everything if (span.score or 0) >= middle] == list(some)
    # Unless another is asked for, it is the checkpoint's own.
    own = replace(tagger.policy, threshold=middle)
    assert list(Tagger(tagger.encoder, tagger.runtime, own)(texts[0]).spans) == list(some)
    assert list(Tagger(tagger.encoder, tagger.runtime, own, 0.0)(texts[0]).spans) == list(everything)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Tagger.load(checkpoint, threshold=1.5)


class Counting:
    """A runtime that says "O" and remembers how much it was given at once."""

    def __init__(self) -> None:
        self.largest = 0

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.largest = max(self.largest, ids.size)
        return np.zeros((*ids.shape, 13), dtype=np.float32), np.zeros((*ids.shape, 4), dtype=np.float32)


def test_a_stream_reads_no_further_than_it_must(checkpoint: Path) -> None:
    found = inspect(checkpoint)
    runtime = Counting()
    tagger = Tagger(found.encoder(), runtime, found.policy, batch=128)
    read = 0

    def articles() -> Iterator[str]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield "زار كريم فاس"

    stream = tagger.stream(articles(), chunk=8)
    next(stream)
    assert read == 8
    assert sum(1 for _ in stream) == 999
    assert runtime.largest <= 128


def test_a_very_long_article_is_tagged_whole_in_bounded_batches(checkpoint: Path) -> None:
    found = inspect(checkpoint)
    runtime = Counting()
    tagger = Tagger(found.encoder(), runtime, found.policy, batch=512)
    text = "زار كريم فاس " * 7000
    encoded = found.encoder().encode(text)
    [tags], _ = tagger.logits([encoded])
    assert len(tags) == 21_000
    assert not np.isnan(tags).any()
    assert runtime.largest <= 512


def test_wrong_arguments(checkpoint: Path, tagger: Tagger) -> None:
    with pytest.raises(TypeError, match="article 2 must be a string or a Document, not int"):
        tagger(["نص", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="dtype must be one of"):
        Tagger.load(checkpoint, dtype="int8")
    with pytest.raises(ValueError, match="device 'nowhere' cannot be used"):
        Tagger.load(checkpoint, device="nowhere")


def test_without_a_runtime_the_extra_is_named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_torch(name: str, *rest: Any, **options: Any) -> Any:
        if name == "torch":
            raise ImportError("No module named 'torch'", name="torch")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(ImportError, match=r"torch is not installed.*pip install 'kayan\[torch\]'"):
        Tagger.load(checkpoint)


def test_the_embedded_starter_finds_the_plain_cases() -> None:
    document = Tagger.load()("استقبل محمد العلوي، يوم الثلاثاء 11 نونبر 2025 بمراكش، وفدا من منظمة الأمم المتحدة.")
    found = {(span.label, span.text) for span in document.spans}
    assert ("PER", "محمد العلوي") in found
    assert ("LOC", "مراكش") in found
    assert any(label == "DATE" and "11 نونبر 2025" in text for label, text in found)
