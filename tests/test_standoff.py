import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from kayan.document import Document
from kayan.formats import FormatError, jsonl
from train.standoff import Join, detach, join


def test_annotations_hold_no_text_and_find_it_again(articles: list[Document], tmp_path: Path) -> None:
    detach(tmp_path / "spans.jsonl", articles)
    written = (tmp_path / "spans.jsonl").read_text(encoding="utf-8")
    assert not any(span.text in written for document in articles for span in document.spans)
    jsonl.write(tmp_path / "texts.jsonl", [Document(document.text) for document in reversed(articles)])
    settings = {"stage": "join", "output": str(tmp_path / "out" / "joined.jsonl"), "root": str(tmp_path)}
    stage = Join.model_validate(settings | {"annotations": [str(tmp_path / "spans.jsonl")], "texts": ["texts.jsonl"]})
    assert stage.run(False) == {"articles": len(articles), "mentions": sum(len(one.spans) for one in articles)}
    found = list(jsonl.read(stage.output))
    assert [(one.text, one.spans) for one in found] == [(one.text, one.spans) for one in articles]


def test_what_does_not_fit_is_named(articles: list[Document], tmp_path: Path) -> None:
    jsonl.write(tmp_path / "texts.jsonl", articles[1:])
    detach(tmp_path / "spans.jsonl", articles)
    with pytest.raises(FormatError, match=r"spans\.jsonl:1: no text has the SHA-256 [0-9a-f]{64}"):
        join([tmp_path / "spans.jsonl"], [tmp_path / "texts.jsonl"])
    lines = (tmp_path / "spans.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "spans.jsonl").write_text(f"{lines[1]}\n{{}}\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"spans\.jsonl:2: not an annotation record: KeyError\('sha256'\)"):
        join([tmp_path / "spans.jsonl"], [tmp_path / "texts.jsonl"])
    record = json.loads(lines[1])
    record["spans"][0]["end"] = 9999
    (tmp_path / "spans.jsonl").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(FormatError, match=r"spans\.jsonl:1: .* is outside the text"):
        join([tmp_path / "spans.jsonl"], [tmp_path / "texts.jsonl"])
