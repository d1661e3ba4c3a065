from pathlib import Path

import pytest

from kayan import Declaration, Document, FormatError, Schema, SchemaError, Span
from kayan.corpus import (
    Description,
    check,
    check_labels,
    from_row,
    load,
    near_duplicates,
    read_description,
    split,
    stats,
    to_datasets,
)
from kayan.formats import jsonl
from tests.conftest import TYPES, marked

LONG = "أعلنت وزارة الصحة أمس عن فتح مركز جديد في المدينة يستقبل المرضى كل يوم من الصباح إلى المساء"


def rules(*documents: Document, schema: Schema | None = None) -> list[str]:
    return [finding.rule for finding in check(documents, schema)]


def test_clean_articles_have_no_findings(articles: list[Document]) -> None:
    assert check(articles, Schema(TYPES)) == []


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (marked("في [LOC فاس ]"), "edge"),
        (marked("قال [ORG «الأهرام»]"), "edge"),
        (marked("قال [ORG الأهرام،] أمس"), "edge"),
        (marked("في مرا[LOC كش]"), "inside-word"),
        (marked("في [LOC مرا]كش"), "inside-word"),
        (marked("في [CITY فاس]"), "unknown-label"),
        (Document("بنك المغرب", [Span(0, 10, "ORG"), Span(4, 10, "LOC")], "x"), "overlap"),
        (Document("", id="x"), "empty-text"),
        (Document("نص", id=""), "empty-id"),
        (Document("ن\ufffdص", id="x"), "odd-text"),
    ],
)
def test_each_rule_finds_its_case(document: Document, rule: str) -> None:
    assert rules(document, schema=Schema(TYPES)) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "ب[LOC مراكش]",
        "يوم [DATE 3 رجب 1446هـ]",
        "من [ORG بنك المغرب (الرباط)]",
        "بـ[LOC فاس]",
    ],
)
def test_what_the_rules_leave_alone(text: str) -> None:
    assert rules(marked(text)) == []


def test_copies_are_found_even_in_disguise() -> None:
    first, second = Document(LONG, id="a"), Document(LONG.replace("الصحة", "الصِّحَّة"), id="b")
    near = Document(LONG + " وأضاف المصدر نفسه أن المركز الجديد مجهز", id="c")
    assert rules(first, second) == ["duplicate-text", "near-duplicate"]
    [(later, earlier, share)] = near_duplicates([first, near])
    assert (later, earlier) == (1, 0)
    assert share == 1.0
    assert rules(Document("أ", id="x"), Document("ب", id="x")) == ["duplicate-id"]


def test_orphan_tags_of_a_conll_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("أحمد B-PER\nفي O\nفاس I-LOC\nجميلة O\nوكريم B-PER\n", encoding="utf-8")
    findings = check(load(tmp_path / "a.conll").documents)
    assert [finding.rule for finding in findings] == ["orphan-tag"]
    assert "فاس" in findings[0].message


def test_stats_count_particles_and_names(articles: list[Document]) -> None:
    figures = stats(articles)
    assert figures["articles"] == 6
    assert figures["mentions"] == sum(len(document.spans) for document in articles)
    assert figures["behind_a_particle"] == 7
    assert figures["types"]["PER"]["most_frequent"][0] == ["كريم الوزاني", 2]


def test_split_keeps_copies_and_groups_together(articles: list[Document]) -> None:
    copies = [Document(LONG + f" {i}", id=f"copy{i}") for i in range(4)]
    parts = split([*articles, *copies], {"train": 0.5, "test": 0.5}, seed=3)
    assert sorted(d.id for part in parts.values() for d in part) == sorted(d.id for d in [*articles, *copies])
    homes = {part for part, documents in parts.items() for d in documents if d.id.startswith("copy")}
    assert len(homes) == 1
    dated = [Document(f"نص {i}", id=str(i), meta={"date": f"2025-0{i % 3 + 1}"}) for i in range(12)]
    parts = split(dated, {"train": 0.6, "test": 0.4}, by="date")
    days = [{d.meta["date"] for d in documents} for documents in parts.values()]
    assert not days[0] & days[1]


def test_split_refuses_impossible_shares(articles: list[Document]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        split(articles, {"train": 0.9, "test": 0.3})
    with pytest.raises(ValueError, match=r"'tiny-0' has no meta\['date'\]"):
        split(articles, {"train": 0.5, "test": 0.5}, by="date")


def test_labels_are_renamed_in_spans_and_tags(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("أحمد B-PERS\nباع O\nدرهما B-MISC\n", encoding="utf-8")
    description = Description(labels={"PERS": "PER", "MISC": None}, annotates=("PER",))
    corpus = load(tmp_path / "a.txt", description)
    assert [span.label for span in corpus.documents[0].spans] == ["PER", "MISC"]
    assert corpus.documents[0].meta["tags"] == ["B-PER", "O", "B-MISC"]
    check_labels(corpus, Schema(("PER", "LOC")))
    with pytest.raises(SchemaError, match=r"corpus 'a', article 'a-1', 'أحمد' at 0: unknown label 'PERS'.*mean PER"):
        check_labels(load(tmp_path / "a.txt"), Schema(("PER", "LOC")))


def test_descriptions_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x: unknown key 'anotates'; did you mean 'annotates'\?"):
        Description.from_mapping({"anotates": ["PER"]}, "x")
    with pytest.raises(ValueError, match="annotates has the wrong shape"):
        Description.from_mapping({"annotates": "PER"}, "x")
    with pytest.raises(ValueError, match="format must be one of jsonl, conll"):
        Description.from_mapping({"format": "csv"}, "x")
    with pytest.raises(FormatError, match="does not tell the format"):
        load(tmp_path / "a.csv")
    (tmp_path / "c.yaml").write_text("annotates: [PER]\nproclitics: false\n", encoding="utf-8")
    assert read_description(tmp_path / "c.yaml").declaration == Declaration(frozenset(["PER"]), False)
    (tmp_path / "c.yaml").write_text("annotates: [PER\n", encoding="utf-8")
    with pytest.raises(FormatError, match="broken YAML"):
        read_description(tmp_path / "c.yaml")


def test_datasets_hold_the_same_documents(tmp_path: Path, articles: list[Document]) -> None:
    pytest.importorskip("datasets")
    jsonl.write(tmp_path / "a.jsonl", articles)
    corpus = load(tmp_path / "a.jsonl")
    parts = to_datasets({"train": [corpus, corpus], "validation": [corpus]})
    assert {name: len(part) for name, part in parts.items()} == {"train": 12, "validation": 6}
    assert [from_row(row) for row in parts["validation"]] == articles
