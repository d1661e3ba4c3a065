from pathlib import Path

import pytest

from kayan import Document, Schema, Span
from kayan.corpus import Corpus, load, near_duplicates
from kayan.doctor import Finding, check, examine, named, shift
from kayan.formats import jsonl
from kayan.page import findings_page
from kayan.schema import Declaration
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


def only(documents: list[Document], rule: str) -> Finding:
    [finding] = [finding for finding in check(documents) if finding.rule == rule]
    return finding


def fixed(finding: Finding) -> tuple[str, str, str]:
    assert finding.fix
    return finding.fix.action, finding.fix.span.label, finding.fix.span.text


@pytest.mark.parametrize(
    ("document", "mended"),
    [
        (marked("قال [ORG «الأهرام»،] أمس"), ("replace", "ORG", "الأهرام")),
        (marked("قال [ORG ،] أمس"), ("remove", "ORG", "،")),
        (marked("في مرا[LOC كش]"), ("replace", "LOC", "مراكش")),
        (marked("في [LOC مرا]كش"), ("replace", "LOC", "مراكش")),
        (Document("بنك المغرب", [Span(0, 10, "ORG"), Span(4, 10, "LOC")], "x"), ("remove", "LOC", "المغرب")),
    ],
)
def test_fixes_within_an_article(document: Document, mended: tuple[str, str, str]) -> None:
    [finding] = check([document])
    assert fixed(finding) == mended


def test_a_name_of_another_type_than_elsewhere() -> None:
    often = [marked(f"{i} زار [LOC بركان]", str(i)) for i in range(4)]
    finding = only([*often, marked("فازت [ORG بركان]", "x")], "other-type")
    assert (finding.article, fixed(finding)) == ("x", ("replace", "LOC", "بركان"))
    assert "LOC in 4 of its 5 places" in finding.message
    # Where both types are common, neither is a mistake.
    both = [marked(f"{i} فازت [ORG بركان]", f"o{i}") for i in range(4)]
    assert not [finding for finding in check([*often, *both]) if finding.rule == "other-type"]


def test_a_name_marked_elsewhere_is_missed_here_behind_its_particle_too() -> None:
    often = [marked(f"{i} زار [PER كَريم الوزاني] أمس", str(i)) for i in range(5)]
    finding = only([*often, marked("التقى بكريم الوزاني", "x")], "likely-miss")
    assert (finding.article, fixed(finding)) == ("x", ("add", "PER", "كريم الوزاني"))
    # Not where nobody looked, nor inside a longer mention, nor where it is a word like others.
    unread = Document("التقى بكريم الوزاني", (), "x", {"open": [[6, 19]]})
    inside = marked("في [ORG مؤسسة كريم الوزاني]", "y")
    assert check([*often, unread, inside]) == []
    assert check([*often, *(marked(f"{i} قال كريم الوزاني", f"o{i}") for i in range(3))]) == []


def test_a_particle_left_inside() -> None:
    often = [marked(f"{i} في [LOC مراكش]", str(i)) for i in range(5)]
    finding = only([*often, marked("عاد [LOC بمراكش]", "x")], "particle-inside")
    assert fixed(finding) == ("replace", "LOC", "مراكش")
    assert check([marked(f"{i} في [LOC باريس]", str(i)) for i in range(5)]) == []
    # A corpus that keeps particles in its words has none to take out.
    corpus = Corpus("c", (*often, marked("عاد [LOC بمراكش]", "x")), Declaration(proclitics=False))
    assert examine({"": corpus}) == []


def test_the_same_sentence_marked_otherwise() -> None:
    one = marked("أعلنت [ORG وزارة الصحة] عن فتح مركز جديد.\nوهذا خبر أول.", "a")
    other = marked("وهذا خبر آخر تماما.\nأعلنت وزارة الصحة عن فتح مركز جديد.", "b")
    finding = only([one, other], "same-sentence")
    assert finding.article == "b"
    assert "no mention; at article 'a' it is marked otherwise" in finding.message
    assert not [f for f in check([one, marked(one.text.replace("أول", "ثان"), "c")]) if f.article == "a"]


def test_findings_say_file_and_line(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "a.jsonl", [marked("نص", "a"), marked("قال [ORG «الأهرام»] أمس", "b")])
    (tmp_path / "b.conll").write_text("زار O\nأحمد B-PER\n\nفي O\nفاس I-LOC\n", encoding="utf-8")
    files = [tmp_path / "a.jsonl", tmp_path / "b.conll"]
    first, second = examine(named(files, map(load, files)))
    assert str(first).startswith(f"{files[0]}:2: edge: article 'b': ORG '«الأهرام»' [4, 13)")
    assert str(first).endswith("; make it ORG 'الأهرام' [5, 12)")
    assert (second.file, second.line, second.rule) == (str(files[1]), 5, "orphan-tag")
    assert second.to_dict()["span"] == {"start": 3, "end": 6, "label": "LOC", "text": "فاس"}
    with pytest.raises(ValueError, match="named twice"):
        named([files[0], files[0]], map(load, [files[0], files[0]]))


def test_files_that_differ_more_than_chance() -> None:
    names = [marked(f"زار [PER كريم] مدينة {i}", f"p{i}") for i in range(30)]
    places = [marked(f"زار كريم مدينة [LOC فاس] {i}", f"l{i}") for i in range(30)]
    parts = {"one": Corpus("", tuple(names)), "two": Corpus("", tuple(places))}
    shifts = [finding.message for finding in examine(parts) if finding.rule == "shift"]
    assert shifts[0].startswith("20.0 mentions a hundred words, in one 25.0 (p = 0.00")
    assert shifts[1].startswith("LOC is 100.0% of the mentions, in one 0.0% (p = 0.00")
    # Two halves of one thing do not.
    assert all(chance > 0.05 for _, chance in shift(names[:15], names[15:]))


def test_the_page_shows_findings_and_no_markup_of_articles() -> None:
    hostile = marked("قال [ORG «<script>alert(1)</script>»] </table> أمس", "<b>x</b>")
    parts = {"a&b.jsonl": Corpus("", (hostile,))}
    findings = [Finding(**{**vars(finding), "file": "a&b.jsonl"}) for finding in check([hostile])]
    page = findings_page(parts, findings)
    assert page.count("<script>") == 1
    assert "</table> أمس" not in page
    assert "<mark>«</mark><ins>&lt;script&gt;alert(1)&lt;/script&gt;</ins><mark>»</mark>" in page
    assert "a&amp;b.jsonl" in page
    assert "ORG «<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>» [5, 30)" in page
