import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from kayan.document import Document, Span
from kayan.formats import FormatError
from kayan.formats import spacy as docbin
from tests.conftest import marked
from tests.strategies import documents

spacy = pytest.importorskip("spacy")


def docs(path: Path) -> list[Any]:
    return list(spacy.tokens.DocBin().from_disk(path).get_docs(spacy.blank("ar").vocab))


def save(path: Path, *docs: Any) -> Path:
    spacy.tokens.DocBin(docs=docs).to_disk(path)
    return path


def test_round_trip(tmp_path: Path, articles: list[Document]) -> None:
    meta = {"tokens": [[0, 3]], "ع": None}
    odd = Document("فاس", [Span(0, 3, "LOC", 0.123456789)], "ع-1", meta)
    several = [*articles, odd, Document("", (), "empty"), Document(" \n ", (), "")]
    docbin.write(tmp_path / "a.spacy", several)
    again = docbin.read(tmp_path / "a.spacy")
    assert again == several
    assert again[-3].meta == meta
    docbin.write(tmp_path / "none.spacy", [])
    assert docbin.read(tmp_path / "none.spacy") == []


@given(documents())
@settings(max_examples=75, deadline=None)
@pytest.mark.parametrize("key", [None, "sc"])
def test_any_article_survives(tmp_path_factory: pytest.TempPathFactory, key: str | None, document: Document) -> None:
    path = tmp_path_factory.mktemp("spacy") / "a.spacy"
    docbin.write(path, [document, marked("[LOC فاس]")], key)
    assert docbin.read(path, key)[0] == document


def test_what_spacy_sees(tmp_path: Path) -> None:
    text = "زار بنك المغرب بمراكش \n"
    document = Document(text, [Span(4, 14, "ORG"), Span(8, 14, "LOC"), Span(16, 22, "LOC"), Span(3, 7, "X")], "x")
    docbin.write(tmp_path / "a.spacy", [document, marked("لا شيء")])
    doc, empty = docs(tmp_path / "a.spacy")
    assert doc.text == text
    assert [token.text for token in doc] == ["زار", " ", "بنك", "المغرب", "ب", "مراكش", " ", "\n"]
    # The longer of two that overlap; none with white space at an edge.
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("بنك المغرب", "ORG")]
    assert [(span.text, span.label_) for span in doc.spans["kayan"]] == [
        (" بنك", "X"),
        ("المغرب", "LOC"),
        ("مراكش ", "LOC"),
    ]
    # An article without mentions teaches that there are none.
    assert [token.ent_iob_ for token in empty] == ["O", "O"]


def test_a_spacy_model_learns_from_it(tmp_path: Path, articles: list[Document]) -> None:
    docbin.write(tmp_path / "a.spacy", articles)
    nlp = spacy.blank("ar")
    nlp.add_pipe("ner")
    gold = docs(tmp_path / "a.spacy")
    examples = [spacy.training.Example(nlp.make_doc(doc.text), doc) for doc in gold]
    nlp.initialize(lambda: examples)
    assert set(nlp.get_pipe("ner").labels) == {span.label for document in articles for span in document.spans}
    assert nlp.update(examples)["ner"] > 0


def test_what_others_wrote(tmp_path: Path) -> None:
    nlp = spacy.blank("ar")
    doc = nlp("زار كريم فاس")
    doc.ents = [doc.char_span(4, 8, "PER"), doc.char_span(9, 12, "LOC", kb_id="Q80985")]
    with pytest.warns(UserWarning, match="the ids of entities are not read"):
        found = docbin.read(save(tmp_path / "a.spacy", nlp("لا شيء"), doc))
    assert found == [Document("لا شيء", (), "a-1"), marked("زار [PER كريم] [LOC فاس]", "a-2")]
    doc.ents = [doc.char_span(4, 8, "PER")]
    doc.spans["sc"] = [doc.char_span(4, 12, "X"), doc.char_span(9, 12, "LOC")]
    doc.spans["empty"] = []
    with pytest.warns(UserWarning, match=r"the span groups \['sc'\] are not read"):
        assert docbin.read(save(tmp_path / "b.spacy", doc))[0] == marked("زار [PER كريم] فاس", "b-1")
    assert [span.label for span in docbin.read(tmp_path / "b.spacy", key="sc")[0].spans] == ["X", "LOC"]
    with pytest.raises(FormatError, match=r"b\.spacy: has no span group 'spans'; found are \['sc'\]"):
        docbin.read(tmp_path / "b.spacy", key="spans")
    doc.ents = []
    with pytest.raises(FormatError, match=r"has no entities, but the span groups \['sc'\]; choose one: key=…"):
        docbin.read(save(tmp_path / "c.spacy", doc))


def test_a_score_goes_with_its_span_only(tmp_path: Path) -> None:
    doc = docbin.to_doc(Document("زار فاس", [Span(4, 7, "LOC", 0.5)], "x"), spacy.blank("ar").vocab)
    doc.ents = [doc.char_span(4, 7, "ORG")]
    spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "a.spacy")
    assert docbin.read(tmp_path / "a.spacy") == [Document("زار فاس", [Span(4, 7, "ORG")], "x")]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.spacy: cannot be read"):
        docbin.read(tmp_path / "none.spacy")
    (tmp_path / "a.spacy").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"a\.spacy: is no file that spaCy 3.* wrote with DocBin"):
        docbin.read(tmp_path / "a.spacy")
    doc = spacy.blank("ar")("فاس")
    doc.user_data["kayan"] = "[1]"
    spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "a.spacy")
    with pytest.raises(FormatError, match=r'article \'a-1\': user_data\["kayan"\] holds something else'):
        docbin.read(tmp_path / "a.spacy")
    doc = spacy.blank("ar")("فاس")
    doc.spans["sc"] = [spacy.tokens.Span(doc, 0, 1)]
    with pytest.raises(FormatError, match=r"article 'a-1': .*needs a label"):
        docbin.read(save(tmp_path / "a.spacy", doc), key="sc")


def test_without_spacy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ImportError, match=r"pip install 'kayan\[spacy\]'"):
        docbin.write(tmp_path / "a.spacy", [])
