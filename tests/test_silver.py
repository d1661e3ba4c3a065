import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from kayan import Tagger
from kayan.decoding import log_softmax
from kayan.document import Document
from kayan.formats import jsonl
from kayan.schema import Schema
from kayan.text import normalise
from tests.conftest import TYPES
from train.silver import Label, label

TEXTS = ["زار كريم الوزاني مدينة فاس.", "عاد نبيل المرابط من باريس إلى وجدة", "", "؟"]


@pytest.fixture(scope="module")
def tagger(checkpoint: Path) -> Tagger:
    return Tagger.load(checkpoint)


def edges(document: Document) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in document.spans]


def test_one_tagger_that_is_always_sure_labels_as_it_tags(tagger: Tagger) -> None:
    documents = list(label([tagger], TEXTS, 0.0))
    assert [document.text for document in documents] == TEXTS
    assert [edges(document) for document in documents] == [edges(tagger(text)) for text in TEXTS]
    assert any(document.spans for document in documents)
    assert list(label([tagger, tagger], TEXTS, 0.0)) == documents


def test_unsure_words_are_open_with_the_whole_mention(tagger: Tagger) -> None:
    [encoded] = tagger.encoder.encode_batch(TEXTS[:1])
    best = np.exp(log_softmax(tagger.logits([encoded])[0][0], tagger.policy.temperature).max(axis=1))
    for confidence in np.unique(best):
        [document] = label([tagger], TEXTS[:1], float(confidence) + 1e-9)
        ranges = [tuple(one) for one in document.meta["open"]]
        unsure = {word for word, p in zip(encoded.words, best, strict=True) if p <= confidence}
        assert unsure <= set(ranges) <= set(encoded.words)
        for edge in edges(tagger(TEXTS[0])):
            own = {word for word in encoded.words if word[0] < edge[1] and edge[0] < word[1]}
            assert (edge in edges(document)) == (not own & unsure)
            assert not own & unsure or own <= set(ranges)
    [document] = label([tagger], TEXTS[:1], 1.0)
    assert not document.spans
    assert len(document.meta["open"]) == len(encoded.words)


def test_other_types_are_refused(tagger: Tagger) -> None:
    other = Tagger(tagger.encoder, tagger.runtime, dataclasses.replace(tagger.policy, schema=Schema(TYPES[::-1])))
    with pytest.raises(ValueError, match="know different types"):
        list(label([tagger, other], TEXTS, 0.5))


def test_the_stage_keeps_guarded_articles_out(checkpoint: Path, articles: list[Document], tmp_path: Path) -> None:
    texts = [f"{one.text}\n{other.text}" for one, other in zip(articles, articles[2:], strict=False)]
    jsonl.write(tmp_path / "raw.jsonl", [Document(text, id=str(i)) for i, text in enumerate(texts)])
    jsonl.write(tmp_path / "test.jsonl", articles[:1])
    stage = Label.model_validate(
        {
            "stage": "label",
            "output": str(tmp_path / "silver.jsonl"),
            "checkpoints": [str(checkpoint)] * 2,
            "text": {"root": str(tmp_path), "files": [{"path": "raw.jsonl"}], "guard": [{"path": "test.jsonl"}]},
            "confidence": 0.3,
        }
    )
    figures = stage.run(False)
    assert figures["articles"] == len(texts) - 1
    lines = [json.loads(line) for line in (tmp_path / "silver.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(line["text"] for line in lines) == sorted(normalise(text, "light").text for text in texts[1:])
    assert sum(len(line["spans"]) for line in lines) == figures["mentions"]
