import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan.document import Document, Span
from kayan.formats import FormatError, conll, jsonl, replacing
from kayan.words import words
from tests.conftest import marked


def lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_jsonl_round_trip_keeps_everything(tmp_path: Path, articles: list[Document]) -> None:
    odd = Document("نص\u2028بسطرين\n😀 و\u0085آخر", [Span(0, 2, "MISC", 0.5)], "ع-1", {"date": "2025-11-12"})
    jsonl.write(tmp_path / "a.jsonl", [*articles, odd])
    again = jsonl.read(tmp_path / "a.jsonl")
    assert again == [*articles, odd]
    assert again[-1].meta == {"date": "2025-11-12"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"id": "x", "text": "سلام"', r"bad.jsonl:2: broken JSON at column \d+"),
        (
            '{"id": "x", "text": "سلام", "spans": [{"start": 1, "end": 9, "label": "PER"}]}',
            r":2: article 'x'.*outside the text.*4 char",
        ),
        ('{"id": "x", "text": "سلام", "spans": [{"start": 2, "end": 2, "label": "PER"}]}', "start < end"),
        ('{"id": "x", "text": "سلام", "spans": [{"start": 0, "end": 2}]}', '"label"'),
        ('{"id": "x", "text": "سلام", "spans": [{"start": true, "end": 2, "label": "P"}]}', "integer"),
        ('{"id": "x", "text": "سلام", "spans": [{"start": 0, "end": 2, "label": "P", "text": "لا"}]}', "quotes 'لا'"),
        ('{"id": "x", "text": "سلام", "entities": []}', 'unknown key "entities"; accepted are "id", "meta"'),
        ('{"id": "x"}', '"text" must be a string'),
        ('["x"]', "found list"),
        ('{"id": "x", "text": "س \\ud83d"}', "article 'x': \"text\" has half a character.* at 2"),
        ('{"id": "first", "text": "سلام"}', "has the id of line 1"),
    ],
)
def test_jsonl_says_file_line_and_article(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        jsonl.read(lines(tmp_path / "bad.jsonl", '{"id": "first", "text": "مرحبا"}', row))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}".encode("utf-16"), "UTF-16"),
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b'{"text": "a"}\n' + "قال".encode("cp1256"), ":2: is not UTF-8"),
    ],
)
def test_files_that_are_no_utf8_text(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    for read in (jsonl.read, conll.read):
        with pytest.raises(FormatError, match=message):
            read(tmp_path / "x.jsonl")


def test_missing_file_is_a_format_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        jsonl.read(tmp_path / "none.jsonl")


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = lines(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(target) as file:  # noqa: PT012 (the error comes after a write)
        file.write("half")
        raise RuntimeError
    assert target.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_conll_joins_words_as_in_print_and_keeps_their_offsets(tmp_path: Path) -> None:
    rows = ["قال O", "( O", "محمد B-PER", ") O", ": O", '" O', "نعم O", '" O', "، O", "في O", "«فاس» B-LOC", ". O"]
    [document] = conll.read(lines(tmp_path / "a.txt", *rows))
    assert document.text == 'قال (محمد): "نعم"، في «فاس».'
    assert [document.text[a:b] for a, b in document.meta["tokens"]] == [row.split()[0] for row in rows]
    # Brackets and quotation marks are no part of a mention, even inside a token.
    assert [(span.text, span.label) for span in document.spans] == [("محمد", "PER"), ("فاس", "LOC")]


@pytest.mark.parametrize(
    ("scheme", "tags", "iob2"),
    [
        ("IOB1", "I-PER I-PER O I-LOC B-LOC I-ORG", "B-PER I-PER O B-LOC B-LOC B-ORG"),
        ("IOB2", "B-PER I-PER O B-LOC B-LOC B-ORG", "B-PER I-PER O B-LOC B-LOC B-ORG"),
        ("IO", "I-PER I-PER O I-LOC O I-ORG", "B-PER I-PER O B-LOC O B-ORG"),
        ("BIOES", "B-PER E-PER O S-LOC S-LOC S-ORG", "B-PER I-PER O B-LOC B-LOC B-ORG"),
        ("BILOU", "B-PER L-PER O U-LOC U-LOC U-ORG", "B-PER I-PER O B-LOC B-LOC B-ORG"),
    ],
)
def test_every_scheme_is_read_as_iob2(tmp_path: Path, scheme: str, tags: str, iob2: str) -> None:
    path = lines(tmp_path / f"{scheme}.conll", *(f"كلمة{i} {tag}" for i, tag in enumerate(tags.split())))
    [document] = conll.read(path)
    assert document.meta["tags"] == iob2.split()
    assert len(document.spans) == sum(tag.startswith("B-") for tag in iob2.split())


def test_an_orphan_i_in_an_iob2_file_stays_in_the_tags_and_starts_a_mention(tmp_path: Path) -> None:
    [document] = conll.read(lines(tmp_path / "a.txt", "أ B-LOC", "ب O", "ج I-PER", "د B-ORG"))
    assert document.meta["tags"] == ["B-LOC", "O", "I-PER", "B-ORG"]
    assert [span.label for span in document.spans] == ["LOC", "PER", "ORG"]


@pytest.mark.parametrize(
    ("tags", "iob2", "orphans"),
    [
        ("S-PER I-PER O", "B-PER B-PER O", [1]),
        ("B-PER E-PER I-PER E-PER", "B-PER I-PER B-PER I-PER", [2]),
        ("U-PER L-PER O", "B-PER B-PER O", [1]),
        ("S-PER O I-LOC", "B-PER O I-LOC", [2]),
        # Where no mention begins with B-, I- is how they begin.
        ("I-PER E-PER I-PER E-PER", "B-PER I-PER B-PER I-PER", []),
    ],
)
def test_an_i_behind_the_end_of_a_mention_starts_another(
    tmp_path: Path, tags: str, iob2: str, orphans: list[int]
) -> None:
    path = lines(tmp_path / "a.conll", *(f"كلمة{i} {tag}" for i, tag in enumerate(tags.split())))
    [document] = conll.read(path)
    kept = conll.columns(document)
    assert kept
    assert (kept.tags, sorted(kept.orphans)) == (iob2.split(), orphans)
    assert len(document.spans) == len(conll.mentions(kept.tags))
    # Articles are numbered through their sentences, and what was read survives JSONL.
    [two] = conll.read(lines(tmp_path / "b.conll", "# id = x", "قال O", "", *path.read_text().splitlines()))
    jsonl.write(tmp_path / "b.jsonl", [two])
    [again] = jsonl.read(tmp_path / "b.jsonl")
    assert (kept := conll.columns(again))
    assert sorted(kept.orphans) == [i + 1 for i in orphans]


def test_conll_documents_by_marks_or_groups_of_sentences(tmp_path: Path) -> None:
    plain = lines(tmp_path / "plain.txt", "أ O", "", "ب O", "", "ج O")
    assert [d.text for d in conll.read(plain)] == ["أ", "ب", "ج"]
    assert [d.text for d in conll.read(plain, group=2)] == ["أ ب", "ج"]
    marks = lines(tmp_path / "marks.txt", "# id = x", "أ O", "", "ب O", "", "# id = y", "ج O")
    assert [(d.id, d.text) for d in conll.read(marks)] == [("x", "أ ب"), ("y", "ج")]
    docstart = lines(tmp_path / "start.txt", "-DOCSTART- O", "", "أ O", "", "ب O", "", "-DOCSTART- O", "", "ج O")
    assert [d.text for d in conll.read(docstart)] == ["أ ب", "ج"]


def test_conll_refuses_a_second_article_of_one_id_and_files_without_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"a.txt:5: article 'x' has the id of the one at line 2"):
        conll.read(lines(tmp_path / "a.txt", "# id = x", "أ O", "", "# id = x", "ب O"))
    with pytest.raises(FormatError, match=r"b.txt: holds no sentence"):
        conll.read(lines(tmp_path / "b.txt", "-DOCSTART- O"))


@pytest.mark.parametrize(
    "changed",
    [
        {"tags": None},
        {"tags": ["sport", "O"]},
        {"tags": ["O"]},
        {"tokens": 345},
        {"tokens": [[0, 2], [3, 99]]},
        {"sentences": 12},
        {"sentences": [[0]]},
    ],
)
def test_columns_are_not_taken_for_other_metadata(tmp_path: Path, changed: dict[str, object]) -> None:
    [document] = conll.read(lines(tmp_path / "a.txt", "في O", "فاس B-LOC"))
    assert conll.columns(document) == conll.Columns([(0, 2), (3, 6)], ["O", "B-LOC"], [(0, 2)])
    assert conll.columns(Document(document.text, (), "x", {**document.meta, **changed})) is None


@pytest.mark.parametrize("orphans", [None, 12, "1", [1.0, "1", None], [-1, 0, 9], [[1]]])
def test_orphans_are_not_taken_from_other_metadata(tmp_path: Path, orphans: object) -> None:
    [document] = conll.read(lines(tmp_path / "a.txt", "في O", "فاس B-LOC"))
    kept = conll.columns(Document(document.text, (), "x", {**document.meta, "orphans": orphans}))
    assert (kept and kept.orphans) == frozenset()


def test_conll_columns(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.tsv", "1\tفاس\tNN\tB-LOC\tx", "2\tجميلة\tJJ\tO\tx")
    [document] = conll.read(path, token=1, tag=3)
    assert [span.text for span in document.spans] == ["فاس"]
    with pytest.raises(FormatError, match=r"a.tsv:1: unknown tag 'x'"):
        conll.read(path)
    with pytest.raises(FormatError, match="columns 9"):
        conll.read(path, token=9)


def test_a_hash_can_be_a_token(tmp_path: Path) -> None:
    [document] = conll.read(lines(tmp_path / "a.txt", "# O", "وسم O"))
    assert document.text == "# وسم"


def test_conll_refuses_overlapping_spans() -> None:
    document = Document("بنك المغرب", [Span(0, 10, "ORG"), Span(4, 10, "LOC")], "x")
    with pytest.raises(ValueError, match=r"article 'x'.*overlap"):
        list(conll.lines([document]))


def test_conll_keeps_invisible_edges_and_refuses_spaces(tmp_path: Path) -> None:
    document = Document("في \u200fفاس\u200f.", [Span(3, 8, "LOC")], "x")
    conll.write(tmp_path / "a.conll", [document])
    assert conll.read(tmp_path / "a.conll") == [document]
    for start, end in ((2, 8), (8, 9)):
        with pytest.raises(ValueError, match=r"article 'x'.*check the data"):
            list(conll.lines([Document("في \u200fفاس \u200f", [Span(start, end, "LOC")], "x")]))


def test_conll_round_trip(tmp_path: Path, articles: list[Document]) -> None:
    conll.write(tmp_path / "a.conll", articles)
    assert conll.read(tmp_path / "a.conll") == articles
    assert "ب\tO\nمراكش\tB-LOC" in (tmp_path / "a.conll").read_text(encoding="utf-8")


pieces = st.sampled_from(
    ["زار", " ", "ب", "مراكش", "،", "\n", ".", "«", "»", "3", "😀", "\u200f", "ـ", "\\n", "\r", "G20", "َ", "\t"]
)


@given(st.lists(pieces, min_size=1, max_size=25).map("".join), st.data())
@settings(max_examples=150, deadline=None)
def test_any_document_survives_conll(tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject) -> None:
    found, spans, at = words(text), [], 0
    while at < len(found) and data.draw(st.booleans()):
        first = data.draw(st.integers(at, len(found) - 1))
        last = data.draw(st.integers(first, len(found) - 1))
        spans.append(Span(found[first][0], found[last][1], data.draw(st.sampled_from(["PER", "LOC"]))))
        at = last + 1
    document = Document(text, spans, "x")
    if not found:
        return
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    conll.write(path, [document])
    [again] = conll.read(path)
    assert again.spans == document.spans
    assert again.text == document.text


def test_scores_and_surfaces_in_jsonl() -> None:
    document = marked("زار [LOC فاس]")
    scored = document.with_spans([Span(4, 7, "LOC", 0.98765)])
    assert jsonl.record(scored, text=True)["spans"] == [
        {"start": 4, "end": 7, "label": "LOC", "score": 0.9877, "text": "فاس"}
    ]
    assert json.loads(next(jsonl.lines([document])))["spans"] == [{"start": 4, "end": 7, "label": "LOC"}]
