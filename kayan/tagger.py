"""Tagger: the inference wrapper; articles in, the same articles with scored spans out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np

from kayan.checkpoint import CheckpointError, Policy, inspect, resolve
from kayan.decoding import decode
from kayan.document import Document
from kayan.encoding import Encoded, Encoder
from kayan.entities import Entity, group
from kayan.formats import SURROGATE
from kayan.words import MAX_PARTICLES


class Runtime(Protocol):
    """Input ids and attention mask (rows, sub-words) to tag and particle logits; see `kayan.runtime`."""

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]: ...


class Tagger:
    """Finds the entities of articles.

    >>> from kayan import Tagger
    >>> tagger = Tagger.load()
    >>> document = tagger("استقبل عمدة فاس وفدا من الأمم المتحدة.")
    >>> all(document.text[s.start : s.end] == s.text for s in document.spans)
    True

    threshold: spans that score less are left out. batch: sub-words that go through the model at once, an upper bound of
    its memory. The answer for an article does not depend on what else is tagged with it.
    """

    def __init__(
        self,
        encoder: Encoder,
        runtime: Runtime,
        policy: Policy,
        threshold: float | None = None,
        batch: int = 8192,
    ):
        threshold = policy.threshold if threshold is None else threshold
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be a probability between 0 and 1, not {threshold}")
        if batch < 1:
            raise ValueError(f"batch must be at least one sub-word, not {batch}")
        self.encoder, self.runtime, self.policy = encoder, runtime, policy
        self.threshold, self.batch = threshold, batch

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path | None = None,
        *,
        threshold: float | None = None,
        device: str = "auto",
        dtype: str = "float32",
        runtime: str = "auto",
        batch: int = 8192,
    ) -> Tagger:
        """Load a checkpoint folder, a Hugging Face hub id ("org/name", "org/name@revision"), or (None) the embedded starter.

        threshold: mentions that score less are left out; None takes the checkpoint's own, 0 keeps all.
        device: "auto", "cpu", "cuda", "cuda:1", "mps". dtype: "float32", or "bfloat16"/"float16", faster where the
        hardware has them, with answers that may differ in the last digits of a score.
        runtime: "torch", "onnx" (needs neither PyTorch nor transformers; same answers), "onnx-int8" (faster, with a few
        other answers), or "auto": see `kayan.runtime.choose`.
        Raises `CheckpointError` for a checkpoint that cannot be used, `ImportError` naming the extra without a runtime.
        """
        from kayan.runtime import open_runtime

        checkpoint = inspect(resolve(path_or_hub_id))
        engine = open_runtime(checkpoint, runtime, device, dtype)
        return cls(checkpoint.encoder(), engine, checkpoint.policy, threshold, batch)

    @classmethod
    def from_pretrained(
        cls,
        path_or_hub_id: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> Tagger:
        """`load` with the usual arguments for the Hugging Face hub; `options` are those of `load`.

        revision: a branch, a tag, or a commit, which pins the weights for good. token: for private repositories; the stored
        one if not given. cache_dir: where the hub's files lie; its own folder if not given. local_files_only: no network.
        Raises as `load` does, and `ValueError` for a revision of a folder.
        """
        hub = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        return cls.load(resolve(path_or_hub_id, revision=revision, **hub), **options)

    @overload
    def __call__(self, articles: str | Document) -> Document: ...  # type: ignore[overload-overlap]  # str is a Sequence
    @overload
    def __call__(self, articles: Sequence[str | Document]) -> list[Document]: ...
    def __call__(self, articles: str | Document | Sequence[str | Document]) -> Document | list[Document]:
        """Tag one article, or several.

        A `Document` keeps its id, meta and text; its spans are replaced. An empty text has no spans.
        """
        if isinstance(articles, str | Document):
            return next(self.stream([articles]))
        return list(self.stream(articles))

    def stream(self, articles: Iterable[str | Document], chunk: int = 64) -> Iterator[Document]:
        """Tag articles as they come, in order, holding at most `chunk` of them (fewer when they are long)."""
        for documents in self.chunks(articles, chunk):
            yield from self._tag(documents)

    def entities(self, article: str | Document) -> list[Entity]:
        """Tag an article and group the mentions that name one thing (`kayan.entities.group`), in the order of their first
        mentions; mentions below the threshold are in none."""
        return group(self(article))

    def chunks(self, articles: Iterable[str | Document], chunk: int = 64) -> Iterator[list[Document]]:
        """Articles as they come, as documents, in lists of at most `chunk` (fewer when they are long)."""
        # Characters bound the memory of a chunk whatever the articles' lengths: about 16 full batches of sub-words.
        limit = 16 * 4 * self.batch
        documents: list[Document] = []
        size = 0
        for number, article in enumerate(articles, 1):
            if not isinstance(article, str | Document):
                raise TypeError(f"article {number} must be a string or a Document, not {type(article).__name__}")
            document = Document(article) if isinstance(article, str) else article
            if half := SURROGATE.search(document.text):
                raise ValueError(
                    f"article {number}: half a character, {half[0]!r}, at {half.start()}; decode the text as UTF-8 or UTF-16"
                )
            documents.append(document)
            size += len(document.text)
            if len(documents) >= chunk or size >= limit:
                yield documents
                documents, size = [], 0
        if documents:
            yield documents

    def _tag(self, documents: Sequence[Document]) -> Iterator[Document]:
        texts = [document.text for document in documents]
        encoded = self.encoder.encode_batch(texts)
        tags, particles = self.logits(encoded)
        articles = decode(texts, encoded, tags, particles, self.policy.schema, self.policy.temperature)
        for document, spans in zip(documents, articles, strict=True):
            yield document.with_spans(span for span in spans if span.score is None or span.score >= self.threshold)

    def logits(self, encoded: Sequence[Encoded]) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
        """Merged tag logits (words, tags) and particle logits (words, 4), None without that head, of each article."""
        jobs = [(i, k) for i, item in enumerate(encoded) for k in range(len(item.windows))]
        jobs.sort(key=lambda job: -_width(encoded[job[0]], job[1]))
        tag_rows: dict[tuple[int, int], np.ndarray] = {}
        particle_rows: dict[tuple[int, int], np.ndarray] = {}
        while jobs:
            # The widest first, so that a batch is as wide as its first row and never holds more than `batch` sub-words.
            batch = jobs[: max(1, self.batch // (_width(encoded[jobs[0][0]], jobs[0][1]) + self.encoder.margin))]
            del jobs[: len(batch)]
            ids, mask = self.encoder.pad([self.encoder.inputs(encoded[i], encoded[i].windows[k]) for i, k in batch])
            tags, particles = self.runtime(ids, mask)
            known = [(tags, len(self.policy.schema.tags))]
            known += [] if particles is None else [(particles, MAX_PARTICLES + 1)]
            for found, width in known:
                if found.shape != (*ids.shape, width) or not np.isfinite(found).all():
                    raise CheckpointError(
                        f"the model does not compute {width} finite numbers for each sub-word; its weights or its graph "
                        "are damaged"
                    )
            for row, job in enumerate(batch):
                tag_rows[job] = tags[row]
                if particles is not None:
                    particle_rows[job] = particles[row]
        merge = self.encoder.merge
        all_tags = [merge(e, [tag_rows[i, k] for k in range(len(e.windows))]) for i, e in enumerate(encoded)]
        if not particle_rows:
            return all_tags, None
        return all_tags, [merge(e, [particle_rows[i, k] for k in range(len(e.windows))]) for i, e in enumerate(encoded)]


def _width(encoded: Encoded, window: int) -> int:
    start, end = encoded.windows[window]
    return end - start
