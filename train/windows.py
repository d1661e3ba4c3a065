"""Training windows, encoded once: an Arrow file that is found again by everything it was made from, and read from disk."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Value
from datasets import Sequence as Column
from datasets.arrow_writer import ArrowWriter
from filelock import FileLock

import kayan
from kayan.corpus import Corpus, from_row, to_datasets
from kayan.encoding import Encoder
from kayan.formats import sha256, write_json
from kayan.perturb import NOISE, PERTURBATIONS, perturb
from kayan.runtime import versions
from kayan.schema import TagSets
from train.config import Config, under
from train.swap import mention_pool, swap, with_names

log = logging.getLogger("kayan.train")
# What `vary` draws from: other ways to write an article, not damage to it.
_SPELLINGS = [name for name in PERTURBATIONS if name not in NOISE]
_FEATURES = Features(
    {**{name: Column(Value("int32")) for name in ("input_ids", "labels", "particles")}, "length": Value("int32")}
)


def windows(
    corpora: Sequence[Corpus], config: Config, encoder: Encoder, sets: TagSets, folder: Path
) -> tuple[Dataset, list[dict[str, str]]]:
    """Training windows of all corpora by their weights, memory-mapped, and the gold that they cannot express.

    `sets` learns the tag sets that the labels are numbers of. In `folder`, KEY.arrow holds the windows and KEY.json,
    written last, its hash. Of several processes the first encodes, the others wait for it and read. Rows: int32
    input_ids, labels, particles (sub-words,) and their length.
    """
    pool = _pool(corpora, config)
    key = _key(corpora, config, encoder, pool)
    table, notes = folder / f"{key}.arrow", folder / f"{key}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        known = _read(table, notes)
        if known is None:
            if table.exists() or notes.exists():
                log.warning("%s is damaged or half-written: the articles are encoded anew", table)
            lost: list[dict[str, str]] = []
            part = table.with_suffix(".part")
            with ArrowWriter(features=_FEATURES, path=str(part)) as writer:
                for row in _rows(corpora, config, encoder, sets, pool, lost):
                    writer.write(row)
                writer.finalize()
            part.replace(table)
            members = [np.flatnonzero(row).tolist() for row in sets.table]
            known = {"sha256": sha256(table), "sets": members, "unreachable": lost}
            write_json(notes, known)
    for numbers in known["sets"]:
        sets.id(numbers)
    return Dataset.from_file(str(table)), known["unreachable"]


def _read(table: Path, notes: Path) -> dict[str, Any] | None:
    """What was noted of the windows, None where they are not there whole."""
    try:
        known: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
        return known if known["sha256"] == sha256(table) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def source_digest() -> str:
    """SHA-256 of the program's own source."""
    source = hashlib.sha256()
    for folder in (Path(kayan.__file__).parent, Path(__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            source.update(file.read_bytes())
    return source.hexdigest()


def _key(corpora: Sequence[Corpus], config: Config, encoder: Encoder, pool: dict[str, list[str]]) -> str:
    """SHA-256 of all that the windows follow from."""
    training, weights = config.training, [entry.weight for entry in config.data.train]
    drawn = training.swap or training.vary or any(weight % 1 for weight in weights)
    parts: list[Any] = [source_digest(), platform.python_version(), versions("tokenizers", "numpy", "farasapy")]
    parts += [encoder.tokenizer.to_str(), encoder.policy.to_dict(), config.types]
    parts += [weights, training.swap, training.vary, training.seed if drawn else None, pool]
    for corpus in corpora:
        parts.append(asdict(corpus.declaration))
        for document in corpus.documents:
            spans = [(span.start, span.end, span.label) for span in document.spans]
            parts.append((document.id, document.text, spans, dict(document.meta)))
    whole = hashlib.sha256()
    for part in parts:
        # A line each; of sets only the declarations have one.
        whole.update(json.dumps(part, sort_keys=True, default=sorted).encode() + b"\n")
    return whole.hexdigest()[:32]


def _pool(corpora: Sequence[Corpus], config: Config) -> dict[str, list[str]]:
    """The names that `training.swap` puts in."""
    pool = mention_pool(corpora) if config.training.swap else {}
    root = config.data.root
    lists = {label: [under(path, root) for path in paths] for label, paths in config.data.names.items()}
    return with_names(pool, lists) if pool else {}


def _rows(
    corpora: Sequence[Corpus],
    config: Config,
    encoder: Encoder,
    sets: TagSets,
    pool: dict[str, list[str]],
    lost: list[dict[str, str]],
) -> Iterator[dict[str, Any]]:
    """The windows of all corpora by their weights; the gold that they cannot express is added to `lost`."""
    chooser = random.Random(config.training.seed)
    table = to_datasets({corpus.name + str(i): [corpus] for i, corpus in enumerate(corpora)})
    for corpus, entry, articles in zip(corpora, config.data.train, table.values(), strict=True):
        documents = [from_row(article) for article in articles]
        whole = int(entry.weight)
        copies = documents * whole + chooser.sample(documents, round((entry.weight - whole) * len(documents)))
        for copy, document in enumerate(copies):
            # Open ranges are offsets of this very text.
            fixed = "open" in document.meta
            if chooser.random() < config.training.swap and not fixed:
                document = swap(document, pool, chooser, corpus.declaration.proclitics)
            if chooser.random() < config.training.vary and not fixed:
                document = perturb(document, chooser.choice(_SPELLINGS), copy)
            encoded = encoder.encode(document.text)
            labels, particles, unreachable = encoder.targets(document, encoded, sets, corpus.declaration)
            lost += [item.to_dict() for item in unreachable] if copy < len(documents) else []
            for row in encoder.examples(encoded, labels, particles):
                yield {**row, "length": len(row["input_ids"])}
