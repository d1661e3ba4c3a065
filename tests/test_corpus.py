from pathlib import Path

import pytest

from kayan import Declaration, Document, FormatError, Schema, SchemaError
from kayan.corpus import (
    Description,
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
from tests.conftest import marked

LONG = "أعلنت وزارة الصحة أمس عن فتح مركز جديد في المدينة يستقبل المرضى كل يوم من الصباح إلى المساء"


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


def test_split_gives_every_part_its_share_of_every_type() -> None:
    rare = [marked(f"كتاب [MISC ظل {i}]", f"m{i}") for i in range(10)]
    often = [marked(f"في [LOC فاس] ثم [LOC طنجة] سنة {i}", f"l{i}") for i in range(40)]
    parts = split([*rare, *often], {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=1)
    assert {name: len(part) for name, part in parts.items()} == {"train": 40, "validation": 5, "test": 5}
    assert [sum(d.spans[0].label == "MISC" for d in part) for part in parts.values()] == [8, 1, 1]


def test_split_gives_articles_and_mentions_their_shares_where_few_articles_hold_many() -> None:
    dense = [marked("ثم ".join(f"في [LOC فاس {i}{j}] " for j in range(10)), f"d{i}") for i in range(10)]
    sparse = [marked(f"في [LOC فاس] سنة {i}", f"s{i}") for i in range(90)]
    parts = split([*dense, *sparse], {"train": 0.8, "validation": 0.1, "test": 0.1})
    assert [len(part) for part in parts.values()] == [80, 10, 10]
    assert [sum(len(d.spans) for d in part) for part in parts.values()] == [152, 19, 19]


def test_split_sees_copies_in_disguise_and_none_in_empty_articles() -> None:
    pairs = [text for i in range(8) for text in (f"زار الوزير مدينة {i}", f"زار  الوزِير مدينة {i}")]
    parts = split([Document(text, id=str(i)) for i, text in enumerate(pairs)], {"train": 0.5, "test": 0.5})
    assert all(len(part) == 8 and len({int(d.id) // 2 for d in part}) == 4 for part in parts.values())
    empty = [Document("", id=str(i)) for i in range(10)]
    assert [len(part) for part in split(empty, {"train": 0.5, "test": 0.5}).values()] == [5, 5]


def test_near_duplicates_come_in_order_and_do_not_flood() -> None:
    copies = [Document(f"{LONG} {'و' * (i % 7)} {i}", id=str(i)) for i in range(80)]
    pairs = near_duplicates(copies)
    assert pairs == sorted(pairs, key=lambda pair: (pair[0], -pair[2], pair[1]))
    assert {i for i, _, _ in pairs} == set(range(1, 80))
    assert len(pairs) <= 50 * 80


def test_split_in_order_of_date() -> None:
    dated = [Document(f"نص {i}", id=str(i), meta={"date": f"2025-{(7 * i) % 12 + 1:02}-01"}) for i in range(12)]
    parts = split(dated, {"train": 0.5, "validation": 0.25, "test": 0.25}, after="date")
    dates = [[d.meta["date"] for d in part] for part in parts.values()]
    assert [len(part) for part in dates] == [6, 3, 3]
    assert max(dates[0]) < min(dates[1])
    assert max(dates[1]) < min(dates[2])
    with pytest.raises(ValueError, match=r"'x' has no meta\['date'\] to order by"):
        split([*dated, Document("نص", id="x")], {"train": 0.5, "test": 0.5}, after="date")
    with pytest.raises(ValueError, match=r"'x': meta\['date'\] must be text to order by, .* not 20250101"):
        split([*dated, Document("نص", id="x", meta={"date": 20250101})], {"train": 0.5, "test": 0.5}, after="date")


def test_split_refuses_impossible_shares(articles: list[Document]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        split(articles, {"train": 0.9, "test": 0.3})
    with pytest.raises(ValueError, match="sum to 1"):
        split(articles, {"train": float("nan"), "test": 0.5})
    with pytest.raises(ValueError, match="no article is left for 'test': there are 1"):
        split(articles[:1], {"train": 0.9, "test": 0.1})
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


def test_lines_belong_to_the_file_and_not_to_the_article(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("زار O\nأحمد B-PER\n\nفي O\nفاس B-LOC\n\n# id = x\nنص O\n", encoding="utf-8")
    corpus = load(tmp_path / "a.conll", Description(group=2))
    assert corpus.lines == ((1, 2, 4, 5), (8,))
    assert all("lines" not in document.meta for document in corpus.documents)
    jsonl.write(tmp_path / "a.jsonl", corpus.documents)
    assert load(tmp_path / "a.jsonl").lines == ((1,), (2,))


def test_free_metadata_may_share_the_names_of_columns(tmp_path: Path) -> None:
    odd = Document("نص", id="a", meta={"tags": None, "tokens": 345})
    jsonl.write(tmp_path / "a.jsonl", [odd])
    assert load(tmp_path / "a.jsonl", Description(labels={"PERS": "PER"})).documents[0].meta == odd.meta


def test_descriptions_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x: unknown key 'anotates'; did you mean 'annotates'\?"):
        Description.from_mapping({"anotates": ["PER"]}, "x")
    with pytest.raises(ValueError, match="annotates has the wrong shape"):
        Description.from_mapping({"annotates": "PER"}, "x")
    with pytest.raises(ValueError, match="format must be one of jsonl, conll"):
        Description.from_mapping({"format": "csv"}, "x")
    with pytest.raises(FormatError, match="does not tell the format"):
        load(tmp_path / "a.docx")
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
