"""kayan as a component of a spaCy pipeline: `nlp.add_pipe("kayan")`.

>>> nlp = spacy.blank("ar")  # doctest: +SKIP
>>> nlp.add_pipe("kayan", config={"model": None, "threshold": None, "alignment_mode": "expand"})  # doctest: +SKIP
>>> doc = nlp("استقبل عمدة فاس وفدا من الأمم المتحدة.")  # doctest: +SKIP
>>> doc.ents, doc._.kayan, doc._.kayan_lost  # doctest: +SKIP

`doc._.kayan` are the mentions as `kayan.Span`, exact to the character, with their scores; `doc.ents` the runs of spaCy's
tokens that `char_span` makes of them; `doc._.kayan_lost` those that no entity stands for.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kayan.document import Document, Span

try:
    from spacy.language import Language
    from spacy.tokens import Doc
except ImportError:
    raise ImportError("this needs the spacy package: pip install 'kayan[spacy]'") from None

ALIGNMENT_MODES = ("strict", "contract", "expand")
_FOUND, _LOST = "kayan_spans", "kayan_lost_spans"


class Kayan:
    """Tags `doc.text` as a whole and sets `doc.ents`; entities that are there already stay.

    model, threshold: as for `Tagger.load`. alignment_mode: what becomes of a mention that begins or ends inside a token
    («بمراكش»): "expand" takes the whole token, "contract" leaves it out, "strict" makes no entity.
    Raises `ValueError` for another mode, and what `Tagger.load` raises.
    """

    def __init__(self, model: str | None = None, threshold: float | None = None, alignment_mode: str = "expand"):
        self._set({"model": model, "threshold": threshold, "alignment_mode": alignment_mode})

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 64) -> Iterator[Doc]:
        """The documents as they come, `batch_size` of them through `Tagger.stream` at once (fewer when they are long)."""
        docs, again = itertools.tee(stream)
        tagged = self.tagger.stream((doc.text for doc in again), chunk=batch_size)
        for doc, found in zip(docs, tagged, strict=True):
            self._annotate(doc, found.spans)
            yield doc

    def _annotate(self, doc: Doc, spans: Iterable[Span]) -> None:
        entities = list(doc.ents)
        taken = {i for entity in entities for i in range(entity.start, entity.end)}
        found, lost = [], []
        # Where two mentions share a token, the likelier one is its entity.
        for span in sorted(spans, key=lambda span: -(span.score or 0)):
            item = [span.start, span.end, span.label, span.score]
            found.append(item)
            entity = doc.char_span(span.start, span.end, span.label, alignment_mode=self.alignment_mode)
            if entity is None or taken & set(range(entity.start, entity.end)):
                lost.append(item)
            else:
                entities.append(entity)
                taken |= set(range(entity.start, entity.end))
        doc.set_ents(entities)
        doc.user_data[_FOUND], doc.user_data[_LOST] = sorted(found), sorted(lost)
        if lost:
            names = ", ".join(f"{doc.text[start:end]!r} at {start}" for start, end, *_ in sorted(lost)[:5])
            warnings.warn(
                f"{len(lost)} of {len(found)} mentions are no entities of spaCy's tokens, or of tokens that another entity "
                f"has: {names}{', …' if len(lost) > 5 else ''}; doc._.kayan_lost has them all",
                stacklevel=2,
            )

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The settings, the model by its name: its weights stay where they are."""
        return json.dumps(self.settings, ensure_ascii=False).encode()

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> Kayan:
        """Take the settings of `to_bytes`."""
        if (settings := json.loads(data)) != self.settings:
            self._set(settings)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the settings, the model by its name, into the folder of the component."""
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "settings.json").write_bytes(self.to_bytes())

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Kayan:
        """Take the settings of `to_disk`."""
        return self.from_bytes((Path(path) / "settings.json").read_bytes())

    def _set(self, settings: dict[str, Any]) -> None:
        from kayan.tagger import Tagger

        if settings["alignment_mode"] not in ALIGNMENT_MODES:
            raise ValueError(
                f"alignment_mode must be one of {', '.join(ALIGNMENT_MODES)}, not {settings['alignment_mode']!r}"
            )
        self.tagger = Tagger.load(settings["model"], threshold=settings["threshold"])
        self.settings, self.alignment_mode = settings, settings["alignment_mode"]


@Language.factory(
    "kayan",
    default_config={"model": None, "threshold": None, "alignment_mode": "expand"},
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
)
def create(nlp: Language, name: str, model: str | None, threshold: float | None, alignment_mode: str) -> Kayan:
    """The factory that spaCy finds by the entry point `spacy_factories`."""
    return Kayan(model, threshold, alignment_mode)


def _spans(doc: Doc) -> list[Span]:
    return _bound(doc, _FOUND)


def _lost_spans(doc: Doc) -> list[Span]:
    return _bound(doc, _LOST)


def _bound(doc: Doc, key: str) -> list[Span]:
    # Plain numbers and strings are kept, so that `Doc.to_bytes` and `DocBin` can store them.
    return list(Document(doc.text, [Span(*item) for item in doc.user_data.get(key, ())]).spans)


# Imported again by spaCy's workers, the module finds its own extensions there.
Doc.set_extension("kayan", getter=_spans, force=True)
Doc.set_extension("kayan_lost", getter=_lost_spans, force=True)
