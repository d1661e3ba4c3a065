from pathlib import Path

import pytest

from eval.predictions import is_predictions, read
from kayan.document import Document, Span
from kayan.formats import FormatError, jsonl

GOLD = [Document("زار علي بمراكش،  أمس.", [Span(4, 7, "PER")], "a1"), Document("وصل إلى فاس", [], "a2")]


def test_by_id_in_any_order(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "p.jsonl", [GOLD[1].with_spans([Span(8, 11, "LOC", 0.5)]), GOLD[0]])
    found = read(tmp_path / "p.jsonl", GOLD, {})
    assert [[(span.text, span.score) for span in document.spans] for document in found] == [
        [("علي", None)],
        [("فاس", 0.5)],
    ]


def test_tokens_of_another_system_are_laid_on_the_raw_text(tmp_path: Path) -> None:
    (tmp_path / "p.conll").write_text("زار O\nعلي B-PERS\nب O\nمراكش B-LOC\n، O\nأمس O\n. O\n", encoding="utf-8")
    [found] = read(tmp_path / "p.conll", GOLD[:1], {"PERS": "PER"})
    assert found.text == GOLD[0].text
    assert [(span.text, span.label) for span in found.spans] == [("علي", "PER"), ("مراكش", "LOC")]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "p.jsonl", [Document("زار عمر بمراكش،  أمس.", [], "a1")])
    with pytest.raises(FormatError, match=r"no predictions for article 'a2'"):
        read(tmp_path / "p.jsonl", GOLD, {})
    with pytest.raises(FormatError, match=r"article 'a1' reads «زار عمر بمراكش،» where the gold has «زار علي بمراكش،»"):
        read(tmp_path / "p.jsonl", GOLD[:1], {})
    (tmp_path / "p.conll").write_text("زار O\nعلي O\n", encoding="utf-8")
    with pytest.raises(FormatError, match="has 6 letters; the gold has 17"):
        read(tmp_path / "p.conll", GOLD[:1], {})


def test_a_checkpoint_is_no_file_of_predictions(tmp_path: Path) -> None:
    (tmp_path / "run.txt").mkdir()
    assert is_predictions("theirs.jsonl")
    assert not any(map(is_predictions, [None, "starter", "aubmindlab/bert-base-arabertv02", str(tmp_path / "run.txt")]))
