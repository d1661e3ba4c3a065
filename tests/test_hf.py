import datetime
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan.document import Document, Span
from kayan.formats import FormatError, conll, hf
from tests.conftest import marked
from tests.strategies import documents

datasets = pytest.importorskip("datasets")
TARGETS = ["a.parquet", "folder"]


def save(path: Path, columns: dict[str, list[Any]], features: Any = None) -> Path:
    data = datasets.Dataset.from_dict(columns, features and datasets.Features(features))
    data.to_parquet(path) if path.suffix else data.save_to_disk(path)
    return path


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("tags", [False, True])
def test_round_trip(tmp_path: Path, articles: list[Document], target: str, tags: bool) -> None:
    several = [*articles, Document("فاس", (), "ع", {"date": "2025-11-03", "n": [1, None]}), Document("", (), "e")]
    several.append(Document(" \n", (), ""))
    for _ in range(2):
        hf.write(tmp_path / target, several, tags)
    again = hf.read(tmp_path / target)
    assert again == several
    assert {"date": "2025-11-03", "n": [1, None]}.items() <= again[-3].meta.items()
    assert [path.name for path in tmp_path.iterdir()] == [target]


def numbered(found: list[Document]) -> list[Document]:
    return [Document(document.text, document.spans, str(number)) for number, document in enumerate(found)]


def has_tags(document: Document) -> bool:
    try:
        return bool(list(conll.tagged(document)))
    except ValueError:
        return False


@given(st.lists(documents(), min_size=1, max_size=8).map(numbered))
@settings(max_examples=15, deadline=None)
def test_any_articles_survive(tmp_path_factory: pytest.TempPathFactory, several: list[Document]) -> None:
    path = tmp_path_factory.mktemp("hf") / "a.parquet"
    hf.write(path, several)
    assert hf.read(path) == several


@given(st.lists(documents(nested=False, visible=True).filter(has_tags), min_size=1, max_size=8).map(numbered))
@settings(max_examples=20, deadline=None)
def test_any_articles_with_tags_survive(tmp_path_factory: pytest.TempPathFactory, several: list[Document]) -> None:
    path = tmp_path_factory.mktemp("hf") / "a.parquet"
    hf.write(path, several, tags=True)
    assert hf.read(path) == several


def test_tags_are_class_labels_and_a_row_is_a_sentence(tmp_path: Path) -> None:
    hf.write(tmp_path / "a", [marked("زار [PER كريم]\nمدينة [LOC فاس].", "x")], tags=True)
    data = datasets.load_from_disk(str(tmp_path / "a"))
    assert data.features["ner_tags"].feature.names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert data["tokens"][:] == [["زار", "كريم"], ["مدينة", "فاس", "."]]
    assert data["ner_tags"][:] == [[0, 3], [0, 1, 0]]
    assert data["document"][:] == ["x", "x"]
    # The tokens are kept for figures of tokens, as of CoNLL columns.
    [document] = hf.read(tmp_path / "a")
    columns = conll.columns(document)
    assert columns is not None
    assert columns.tags == ["O", "B-PER", "O", "B-LOC", "O"]


def test_splits(tmp_path: Path, articles: list[Document]) -> None:
    hf.write(tmp_path / "a", {"train": articles[:4], "test": articles[4:]})
    assert set(datasets.load_from_disk(str(tmp_path / "a"))) == {"train", "test"}
    assert hf.read(tmp_path / "a", split="test") == articles[4:]
    with pytest.raises(FormatError, match=r"a: has the splits train, test; choose one: split=…"):
        hf.read(tmp_path / "a")
    with pytest.raises(FormatError, match="has no split 'dev'; found are train, test"):
        hf.read(tmp_path / "a", split="dev")
    # Parquet as it lies in a repository of the hub.
    for name, part in {"train-00000-of-00002": [0, 1], "train-00001-of-00002": [2], "test-00000-of-00001": [3]}.items():
        hf.write(tmp_path / "hub" / "data" / f"{name}.parquet", [articles[i] for i in part])
    assert hf.read(tmp_path / "hub", split="train") == articles[:3]


@pytest.mark.parametrize("target", TARGETS)
def test_tokens_of_others(tmp_path: Path, target: str) -> None:
    columns = {
        "id": [7, 8],
        "tokens": [["قال", "(", "كريم", ")", "."], ["«فاس»"]],
        "ner_tags": [[0, 0, 1, 0, 0], [2]],
        "date": [datetime.date(2025, 11, 3)] * 2,
    }
    features = {
        "id": datasets.Value("int32"),
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "I-PER", "I-LOC"])),
        "date": datasets.Value("date32"),
    }
    found = hf.read(save(tmp_path / target, columns, features))
    assert found == [marked("قال ([PER كريم]).", "7"), marked("«[LOC فاس]»", "8")]
    assert found[0].meta["date"] == "2025-11-03"
    # I- is how a mention begins in this corpus.
    assert found[0].meta["tags"] == ["O", "O", "B-PER", "O", "O"]


def test_strings_and_numbers_for_tags(tmp_path: Path) -> None:
    strings = save(tmp_path / "a.parquet", {"tokens": [["في", "فاس"]], "labels": [["O", "B-LOC"]]})
    assert hf.read(strings) == [marked("في [LOC فاس]", "a-1")]
    numbers = save(tmp_path / "b.parquet", {"words": [["في", "فاس"]], "gold": [[0, 1]]})
    assert hf.read(numbers, source="words", labels="gold", names=["O", "B-LOC"]) == [marked("في [LOC فاس]", "b-1")]
    with pytest.raises(
        FormatError, match=r"row 0: article 'b-1': 'gold' has the number 0 without a name; .*names=\[…\]"
    ):
        hf.read(numbers, source="words", labels="gold")
    with pytest.raises(
        FormatError, match="has the columns words, gold; expected are text and one of spans, entities, or"
    ):
        hf.read(numbers)


def test_spans_of_others(tmp_path: Path) -> None:
    span = {"start": 3, "end": 6, "label": 0}
    number = datasets.Value("int64")
    features = {
        "text": datasets.Value("string"),
        "entities": datasets.List({"start": number, "end": number, "label": datasets.ClassLabel(names=["LOC"])}),
    }
    rows = {"text": ["في فاس", "لا شيء"], "entities": [[span], []]}
    assert hf.read(save(tmp_path / "a", rows, features)) == [
        marked("في [LOC فاس]", "a-1"),
        Document("لا شيء", (), "a-2"),
    ]
    # A struct of lists, as a sequence of structs used to be stored.
    lists = {"start": [3], "end": [6], "type": ["LOC"], "text": ["فاس"]}
    old = save(tmp_path / "b.parquet", {"title": ["عنوان"], "text": ["في فاس"], "spans": [lists]})
    [document] = hf.read(old)
    assert document == marked("في [LOC فاس]", "b-1")
    assert document.meta == {"title": "عنوان"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"text": ["فاس"], "spans": [[{"start": 0, "end": 9, "label": "L"}]]},
            "row 0: article 'a-1': span .*outside the text",
        ),
        ({"text": ["فاس"], "spans": [[{"start": 0, "end": 3}]]}, "row 0: .*\"label\", found {'start': 0, 'end': 3}"),
        (
            {"text": ["فاس"], "spans": [[{"start": 0, "end": 2, "label": "L", "text": "فاس"}]]},
            "quotes 'فاس' but .* 'فا'",
        ),
        ({"text": ["أ", None], "spans": [[], []]}, "row 1: article 'a-2': 'text' must be a string, not None"),
        ({"id": ["x", "x"], "text": ["أ", "ب"], "spans": [[], []]}, "article 'x' is there twice"),
        ({"tokens": [["أ"]], "ner_tags": [["O", "O"]]}, "row 0: .*as many tags as tokens"),
        ({"tokens": [["أ"]], "ner_tags": [["LOC"]]}, "row 0: article 'a-1': unknown tag 'LOC'; accepted are"),
        ({"tokens": [["أ", " "]], "ner_tags": [["O", "O"]]}, "row 0: .*tokens must be words"),
        ({"label": ["x"]}, "has the columns label; expected are text and one of"),
    ],
)
def test_rows_that_are_wrong(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        hf.read(save(tmp_path / "a.parquet", columns))


def test_what_cannot_be_written(tmp_path: Path, articles: list[Document]) -> None:
    nested = Document("بنك المغرب", [Span(0, 10, "ORG"), Span(4, 10, "LOC")], "x")
    with pytest.raises(ValueError, match=r"article 'x'.*overlap"):
        hf.write(tmp_path / "a", [nested], tags=True)
    with pytest.raises(ValueError, match="a Parquet file holds one split"):
        hf.write(tmp_path / "a.parquet", {"train": articles})
    with pytest.raises(ValueError, match="a: there is no article to write in split 'test'"):
        hf.write(tmp_path / "a", {"train": articles, "test": []})
    assert not list(tmp_path.iterdir())
    with pytest.warns(UserWarning, match="no place for scores; 1 are left out"):
        hf.write(tmp_path / "a", [Document("فاس", [Span(0, 3, "LOC", 0.5)], "x")])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.doc").touch()
    with pytest.raises(ValueError, match="b is there and no dataset; name another folder"):
        hf.write(tmp_path / "b", articles)


def test_paths_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError, match=r"none\.parquet: cannot be read"):
        hf.read(tmp_path / "none.parquet")
    with pytest.raises(FormatError, match="holds no dataset; expected are"):
        hf.read(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(FormatError, match=r"a\.parquet: is no dataset that can be read"):
        hf.read(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'kayan\[train\]'"):
        hf.read(tmp_path)


def test_nothing_is_printed(tmp_path: Path, articles: list[Document], capfd: pytest.CaptureFixture[str]) -> None:
    for target in TARGETS:
        hf.write(tmp_path / target, articles)
        hf.read(tmp_path / target)
    assert capfd.readouterr() == ("", "")
