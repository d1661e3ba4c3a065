import json
import lzma
from pathlib import Path

import pytest

from kayan.document import Document
from kayan.formats import FormatError, jsonl
from train.config import CorpusFile
from train.rawtext import RawText, TextFile, articles, by_weight, read

GUARDED = "زار كريم الوزاني مدينة فاس يوم الثلاثاء والتقى هناك أعضاء الوفد المشارك في الندوة الدولية"
OTHER = "نظمت الجمعية حفلا فنيا كبيرا حضره عدد من سكان الحي وشارك فيه شباب من المدينة القديمة"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [OTHER, OTHER, f"خبر آخر.\n{GUARDED}", "نص قصير", "  "]
    with lzma.open(tmp_path / "a.jsonl.xz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    jsonl.write(tmp_path / "test.jsonl", [Document(GUARDED, id="t")])
    return tmp_path


def settings(folder: Path, **more: object) -> RawText:
    guard = [CorpusFile(path=str(folder / "test.jsonl"))]
    return RawText(root=str(folder), files=[TextFile(path="a.jsonl.xz", **more)], guard=guard)


def test_copies_and_guarded_articles_are_left_out_and_counted(folder: Path) -> None:
    [own], [report] = articles(settings(folder), seed=1)
    assert sorted(own) == sorted([OTHER, "نص قصير"])
    assert report["copies"] == report["guarded"] == 1
    assert report["words"] == sum(len(text.split()) for text in own)


def test_an_article_passes_that_shares_less(folder: Path) -> None:
    loose = settings(folder).model_copy(update={"shared": 1.0})
    assert len(articles(loose, seed=1)[0][0]) == 3, "its own first words make the share smaller than 1"


def test_no_more_words_than_asked_for(folder: Path) -> None:
    [own], _ = articles(settings(folder, words=1), seed=1)
    assert len(own) == 1


def test_a_line_without_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n{"txt": "x"}\n', encoding="utf-8")
    with pytest.raises(FormatError, match=r"b.jsonl:2.*\"text\""):
        list(read(tmp_path / "b.jsonl"))


def test_weights_repeat_and_sample() -> None:
    epoch = by_weight([range(10), range(100, 104)], [2.5, 0.5], seed=3)
    assert len(epoch) == 27
    assert sorted(epoch) != epoch
    assert all(2 <= epoch.count(i) <= 3 for i in range(10))
    assert by_weight([range(10)], [0.5], seed=3) == by_weight([range(10)], [0.5], seed=3)
