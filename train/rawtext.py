"""Unannotated articles: read, cleaned of copies, and of whatever a test or validation split would recognise."""

from __future__ import annotations

import json
import logging
import lzma
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from kayan.corpus import load, shingles
from kayan.formats import FormatError
from kayan.text import normalise
from train.config import CorpusFile, Positive, Section

log = logging.getLogger("kayan.train")


class TextFile(Section):
    # Relative to root: JSON lines with a "text" each, plain or .xz.
    path: str
    # Words to take of it at most, in articles drawn at random; None: all.
    words: Annotated[int, Field(ge=1)] | None = None
    # How often its articles come in an epoch.
    weight: Positive = 1.0


class RawText(Section):
    root: str = "."
    files: Annotated[list[TextFile], Field(min_length=1)]
    # Corpora whose articles must not be seen: an article goes that shares this part of its eight-word runs with them.
    guard: tuple[CorpusFile, ...] = ()
    shared: Annotated[float, Field(gt=0, le=1)] = 0.1


def read(path: str | Path) -> Iterator[str]:
    """The "text" of each line. Raises `FormatError` naming the line for one that has none."""
    opened: Any = lzma.open if str(path).endswith(".xz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                text = None
            if not isinstance(text, str):
                raise FormatError(path, number, 'a JSON object with a "text" is expected')
            yield text


def articles(settings: RawText, seed: int, profile: str = "light") -> tuple[list[list[str]], list[dict[str, Any]]]:
    """For each file, its articles under the text profile in an order drawn with `seed`; and for each file what was
    read, taken, and left out as a copy or as guarded."""
    guarded = guard_runs(settings)
    seen: set[int] = set()
    taken, report = [], []
    for file in settings.files:
        path = Path(settings.root) / file.path
        texts = list(read(path))
        random.Random(seed).shuffle(texts)
        own: list[str] = []
        counts = {"path": file.path, "articles": len(texts), "copies": 0, "guarded": 0, "taken": 0, "words": 0}
        for text in texts:
            if file.words and counts["words"] >= file.words:  # type: ignore[operator]
                break
            plain = normalise(text, profile).text
            if (mark := hash(plain)) in seen:
                counts["copies"] += 1  # type: ignore[operator]
            elif is_guarded(plain, guarded, settings.shared):
                counts["guarded"] += 1  # type: ignore[operator]
            elif plain.strip():
                seen.add(mark)
                own.append(plain)
                counts["words"] += len(plain.split())  # type: ignore[operator]
        counts["taken"] = len(own)
        log.info("%(path)s: %(taken)d of %(articles)d articles, %(words)d words; %(guarded)d guarded", counts)
        taken.append(own)
        report.append(counts)
    return taken, report


def guard_runs(settings: RawText) -> set[int]:
    """Hashes of all eight-word runs of the guarded corpora. They hold within one process only."""
    runs: set[int] = set()
    for entry in settings.guard:
        # Sentences of one article stand apart in a token-per-line corpus; runs may cross their ends.
        documents = load(entry.under(settings.root), entry.description()).documents
        runs |= shingles("\n".join(document.text for document in documents))
    return runs


def is_guarded(text: str, runs: set[int], shared: float) -> bool:
    """Whether at least the part `shared` of the article's eight-word runs is among `runs`."""
    own = shingles(text)
    return bool(own) and len(own & runs) >= shared * len(own)


def by_weight(parts: Sequence[Sequence[Any]], weights: Sequence[float], seed: int) -> list[Any]:
    """An epoch: each part as often as its weight says (a fraction drawn at random), shuffled."""
    draw = random.Random(seed)
    epoch: list[Any] = []
    for part, weight in zip(parts, weights, strict=True):
        whole = int(weight)
        epoch += [*part] * whole
        epoch += draw.sample(list(part), round((weight - whole) * len(part)))
    draw.shuffle(epoch)
    return epoch
