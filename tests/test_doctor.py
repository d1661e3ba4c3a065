import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kayan import Document, Schema, Span
from kayan.corpus import Corpus, load, near_duplicates
from kayan.doctor import Finding, Fix, check, examine, mended, named, particle_cuts, shift
from kayan.formats import jsonl
from kayan.page import AROUND, LONGEST, findings_page
from kayan.schema import Declaration
from kayan.text import normalise
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
        *((marked(f"في [LOC {mark}فاس]"), "edge") for mark in "\u200f\u00ad\u202f\u3000‹/•"),
        (marked("في مرا[LOC كش]"), "inside-word"),
        (marked("في [LOC مرا]كش"), "inside-word"),
        (marked("في [CITY فاس]"), "unknown-label"),
        (Document("بنك المغرب", [Span(0, 10, "ORG"), Span(4, 10, "LOC")], "x"), "overlap"),
        (Document("", id="x"), "empty-text"),
        (Document("نص", id=""), "empty-id"),
        *((Document(f"ن{char}ص", id="x"), "odd-text") for char in "\ufffd\x7f\x80\ud83d"),
        (Document("نص", id="x", meta={"open": [[0, 9]]}), "odd-meta"),
        (Document("نص", id="x", meta={"open": None}), "odd-meta"),
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
        "[LOC فاس]ـ",
        "في [MISC بيت «الحكمة»]",
        "قرأ [MISC «الظل» و«النور»]",
        'في [ORG مؤسسة "بيت"]',
        "قرأ [MISC أين المفر؟]",
        "موقع [ORG Yahoo!]",
        "شركة [ORG النور ش.م.م.]",
    ],
)
def test_what_the_rules_leave_alone(text: str) -> None:
    assert rules(marked(text)) == []


def test_copies_are_found_even_in_disguise() -> None:
    first, second = Document(LONG, id="a"), Document(LONG.replace("الصحة", "الصِّحَّة"), id="b")
    assert rules(first, second) == ["duplicate-text", "near-duplicate"]
    assert rules(Document("أ", id="x"), Document("ب", id="x")) == ["duplicate-id"]


def test_a_near_copy_is_told_of_the_shorter_article_and_once() -> None:
    short = Document(LONG, id="a")
    longer = [Document(f"{LONG} وأضاف المصدر نفسه أن المركز الجديد مجهز {i}", id=f"b{i}") for i in range(3)]
    assert near_duplicates([short, longer[0]]) == [(1, 0, 1.0)]
    messages = [finding.message for finding in check([short, *longer])]
    assert messages[0] == "100% of the eight-word runs of the shorter of this and article 'a' are in both"
    assert [message.split(", and ")[1:] for message in messages] == [[], ["1 more are as near"], ["2 more are as near"]]


def test_ids_that_count_the_articles_of_a_file_are_no_copies(tmp_path: Path) -> None:
    for i, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "n.jsonl").write_text(f'{{"text": "نص {i}"}}\n', encoding="utf-8")
        (tmp_path / name / "c.conll").write_text(f"نص{i} O\n", encoding="utf-8")
    files = [*tmp_path.rglob("*.jsonl"), *tmp_path.rglob("*.conll")]
    assert examine(named(files, map(load, files))) == []
    parts = {file: Corpus("", (Document(file, id="x"),), lines=((3,),)) for file in ("a", "b")}
    assert str(examine(parts)[0]) == "b:3: duplicate-id: article 'x': another article has this id: 'x' (a:3)"


def test_orphan_tags_of_a_conll_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("أحمد B-PER\nفي O\nفاس I-LOC\nجميلة O\nوكريم B-PER\n", encoding="utf-8")
    findings = check(load(tmp_path / "a.conll").documents)
    assert [finding.rule for finding in findings] == ["orphan-tag"]
    assert "فاس" in findings[0].message


def test_an_i_behind_the_end_of_a_mention_is_an_orphan(tmp_path: Path) -> None:
    rows = "زار O\nزيد S-PER\nعمر I-PER\nثم O\nكريم B-PER\nالوزاني E-PER\nسعيد E-PER\n"
    (tmp_path / "a.conll").write_text(rows, encoding="utf-8")
    corpus = load(tmp_path / "a.conll")
    found = examine({"a.conll": corpus})
    assert [(finding.rule, finding.line, finding.span and finding.span.text) for finding in found] == [
        ("orphan-tag", 3, "عمر"),
        ("orphan-tag", 7, "سعيد"),
    ]


def test_a_file_made_of_conll_is_read_by_its_own_lines_and_mentions(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("# id = x\nأحمد B-PER\nفي O\n\nفاس I-LOC\nثم O\n", encoding="utf-8")
    [document] = load(tmp_path / "a.conll").documents
    jsonl.write(tmp_path / "a.jsonl", [document])
    [finding] = examine({"a.jsonl": load(tmp_path / "a.jsonl")})
    assert (finding.rule, finding.line) == ("orphan-tag", 1)
    # The columns are no news once the mention is gone.
    assert check([document.with_spans(document.spans[:1])]) == []


@pytest.mark.parametrize("key", ["lines", "tags", "tokens", "sentences", "orphans"])
@pytest.mark.parametrize("value", [None, 12, [1, 2], ["I-PER"], "sport"])
def test_metadata_of_others_breaks_nothing(key: str, value: object) -> None:
    document = Document("في فاس ", [Span(3, 7, "LOC")], "x", {key: value})
    assert rules(document) == ["edge"]


def test_the_line_of_a_mention_that_begins_before_the_first_token(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(
        "# id = x\n\n# text = \u200fقال زيد.\nقال O\nزيد B-PER\n\nثم O\nنام O\n", encoding="utf-8"
    )
    corpus = load(tmp_path / "a.conll")
    [document] = corpus.documents
    wrong = replace(corpus, documents=(document.with_spans([Span(0, 4, "PER")]),))
    assert [(finding.rule, finding.line) for finding in examine({"a.conll": wrong})] == [("edge", 4)]


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
        (marked("عاد بم[LOC راكش]"), ("replace", "LOC", "مراكش")),
        (marked("في با[LOC ريس]"), ("replace", "LOC", "باريس")),
        (marked("قال [ORG «الأهرام» ]أمس"), ("replace", "ORG", "الأهرام")),
        (marked("قرأ [MISC بيت «الحكمة»،]"), ("replace", "MISC", "بيت «الحكمة»")),
        (Document("بنك المغرب", [Span(0, 10, "ORG"), Span(4, 10, "LOC")], "x"), ("remove", "LOC", "المغرب")),
    ],
)
def test_fixes_within_an_article(document: Document, mended: tuple[str, str, str]) -> None:
    [finding] = check([document])
    assert fixed(finding) == mended


def test_letters_drawn_in_one_position_are_particles_too() -> None:
    # «بمراكش» and «من كسلا» of old typesetting: presentation forms, the last with a ligature of two letters.
    whole, kassala = "ﺑﻤﺮﺍﻛﺶ", "ﻣﻦ [LOC ﻛﺴﻼ]"
    assert rules(marked(f"في ﺑ[LOC {whole[1:]}]")) == []
    [finding] = check([marked(f"عاد {whole[:2]}[LOC {whole[2:]}]")])
    assert (finding.rule, fixed(finding)) == ("inside-word", ("replace", "LOC", whole[1:]))
    often = [marked(f"{i} في [LOC مراكش] ثم [LOC سلا]", str(i)) for i in range(8)]
    finding = only([*often, marked(f"عاد [LOC {whole}]", "x")], "particle-inside")
    assert fixed(finding) == ("replace", "LOC", whole[1:])
    finding = only([*often, Document(f"عاد {whole}", id="x")], "likely-miss")
    assert fixed(finding) == ("add", "LOC", whole[1:])
    assert rules(*often, marked(kassala, "x")) == []


def test_a_mention_may_not_begin_within_a_ligature() -> None:
    # «ﻼ» is two letters: behind «ب» and «ل» nothing can begin.
    often = [marked(f"{i} في [LOC اهاي]", str(i)) for i in range(5)]
    assert rules(*often, Document("عاد ﺑﻼﻫﺎﻱ", id="x")) == []


@given(st.text("وفبلكامرشﺑﻟﻼﻻﻣﷲَـ\u200f", max_size=9))
def test_what_a_particle_leaves_is_the_rest_of_the_letters(word: str) -> None:
    plain, pairs = normalise(word).text, particle_cuts(word)
    assert pairs[0] == (0, 0)
    for count, offset in pairs[1:]:
        assert (normalise(word[:offset]).text, normalise(word[offset:]).text) == (plain[:count], plain[count:])


def test_all_findings_of_a_mention_propose_the_same() -> None:
    for text in ("في م[LOC را]كش", "في[LOC  «مرا]كش»"):
        findings = check([marked(text)])
        assert [fixed(finding) for finding in findings] == [("replace", "LOC", "مراكش")] * 2


def test_no_fix_where_several_are_as_likely() -> None:
    # «وبالرباط» may be «الرباط», «بالرباط» or a name of its own; of two types on one place either may be wrong.
    [finding] = check([marked("وبال[LOC رباط]")])
    assert (finding.rule, finding.fix) == ("inside-word", None)
    [finding] = check([Document("في فاس", [Span(3, 6, "LOC"), Span(3, 6, "ORG")], "x")])
    assert (finding.rule, finding.fix) == ("overlap", None)


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


def test_a_name_missed_within_a_missed_name_is_not_reported() -> None:
    banks = [marked(f"{i} قال [ORG بنك المغرب] أمس", f"b{i}") for i in range(5)]
    places = [marked(f"{i} زار [LOC المغرب] أمس", f"p{i}") for i in range(8)]
    finding = only([*banks, *places, marked("أعلن بنك المغرب عن ذلك", "x")], "likely-miss")
    assert fixed(finding) == ("add", "ORG", "بنك المغرب")


def test_the_description_of_a_corpus_is_heeded() -> None:
    often = [marked(f"{i} زار [MISC بركان] يوم [DATE الثلاثاء]", str(i)) for i in range(5)]
    other = marked("فازت [ORG بركان] ثم بركان يوم الثلاثاء", "x")
    assert {finding.rule for finding in check([*often, other])} == {"other-type", "likely-miss"}
    unread = Corpus("", (*often, other.with_spans([])), Declaration(labels={"MISC": None}))
    [finding] = examine({"a": unread}, Schema(("DATE",)))
    assert fixed(finding) == ("add", "DATE", "الثلاثاء")
    # What another part marks and this one does not annotate is nothing that it lacks.
    parts = {"a": Corpus("", tuple(often)), "b": Corpus("", (other,), Declaration(frozenset(["ORG"])))}
    assert examine(parts) == []


def test_the_first_letter_of_a_name_is_no_particle() -> None:
    often = [marked(f"{i} في [LOC سلا]", str(i)) for i in range(8)]
    assert check([*often, marked("قدم المشاركون من [LOC كسلا]", "x"), marked("زاروا [LOC كسلا]", "y")]) == []


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
    assert "the sentence at 20 has no mention; in article 'a' at 0 it is marked otherwise" in finding.message
    assert not [f for f in check([one, marked(one.text.replace("أول", "ثان"), "c")]) if f.article == "a"]


def test_the_same_sentence_with_a_particle_inside_or_where_nobody_looked() -> None:
    one, other = (
        marked(text, text[:2]) for text in ("سافر الوفد أمس إلى ب[LOC مراكش]", "سافر  الوفد أمس إلى [LOC بمراكش]")
    )
    assert only([one, other], "same-sentence").message.startswith("the sentence at 0 has LOC 'بمراكش'")
    assert "same-sentence" not in rules(one, Document(other.text, (), "x", {"open": [[0, 5]]}))


def test_the_same_sentence_in_conll_is_where_the_file_has_it(tmp_path: Path) -> None:
    # A headline ends without a full stop: only the blank line tells.
    headline = ["أعلنت", "الوزارة", "عن", "مركز", "جديد"]
    first, second = (
        "".join(f"{word} {tag if word == 'الوزارة' else 'O'}\n" for word in headline) for tag in ("B-ORG", "O")
    )
    (tmp_path / "a.conll").write_text(f"# id = x\nقال O\nزيد B-PER\n\n{first}\nثم O\n\n{second}", encoding="utf-8")
    [finding] = examine({"a.conll": load(tmp_path / "a.conll")})
    assert (finding.rule, finding.line) == ("same-sentence", 13)
    assert "in article 'x' (a.conll:5) at 8 it is marked otherwise" in finding.message


def test_findings_say_file_and_line(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "a.jsonl", [marked("نص", "a"), marked("قال [ORG «الأهرام»] أمس", "b")])
    (tmp_path / "b.conll").write_text("زار O\nأحمد B-PER\n\nفي O\nفاس I-LOC\n", encoding="utf-8")
    files = [tmp_path / "a.jsonl", tmp_path / "b.conll"]
    first, second = examine(named(files, map(load, files)))
    assert str(first).startswith(f"{files[0]}:2: edge: article 'b': ORG '«الأهرام»' [4, 13)")
    assert str(first).endswith("; make it ORG 'الأهرام' [5, 12)")
    assert (second.file, second.line, second.rule) == (str(files[1]), 5, "orphan-tag")
    assert second.to_dict()["span"] == {"start": 3, "end": 6, "label": "LOC", "text": "فاس"}
    for again in (files[0], tmp_path / ".." / tmp_path.name / "a.jsonl"):
        with pytest.raises(ValueError, match="named twice"):
            named([files[0], again], map(load, [files[0], again]))
    assert examine({}) == []


def test_files_that_differ_more_than_chance() -> None:
    names = [marked(f"زار [PER كريم] مدينة {i}", f"p{i}") for i in range(30)]
    places = [marked(f"زار كريم مدينة [LOC فاس] {i}", f"l{i}") for i in range(30)]
    parts = {"one": Corpus("", tuple(names)), "two": Corpus("", tuple(places))}
    shifts = [finding.message for finding in examine(parts) if finding.rule == "shift"]
    assert shifts[0].startswith("20.0 mentions a hundred words, in one 25.0 (p = 0.00")
    assert shifts[1].startswith("LOC is 100.0% of the mentions, in one 0.0% (p = 0.00")
    # Two halves of one thing do not.
    assert all(chance > 0.05 for _, chance in shift(names[:15], names[15:]))


def test_a_difference_is_seen_among_many_types_whatever_their_names() -> None:
    types = "".join(f"[{{T{i}}} كريم] " for i in range(18))
    parts = {
        name: Corpus("", tuple(marked(text.format(i), f"{name}{i}") for i in range(30)))
        for name, text in (
            ("some", f"زار {types} مدينة {{}}".replace("{T", "T").replace("} ك", " ك")),
            ("none", "زار {}"),
        )
    }
    messages = [finding.message for finding in examine(parts) if finding.rule == "shift"]
    assert len(messages) == 19
    odd = [marked("زار [A{x} كريم]", str(i)) for i in range(2)]
    assert shift(odd, odd, "{y}")[1][0] == "A{x} is 100.0% of the mentions, in {y} 100.0%"


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
    # Documents of no file have none to choose.
    assert 'value=""' not in findings_page({"": parts["a&b.jsonl"]}, findings).replace('value="">all', "")


def test_fixes_are_applied_once_and_to_their_article() -> None:
    document = marked("[LOC بمراكش] [ORG فاس] طنجة [PER علي] و[LOC سلا]", "x")
    wrong, city, person, sale = document.spans
    missed = Span(document.text.index("طنجة"), document.text.index("طنجة") + 4, "LOC")
    fixes = [
        ("x", wrong, Fix("replace", Span(wrong.start + 1, wrong.end, "LOC"))),
        ("x", city, Fix("replace", Span(city.start, city.end, "LOC"))),
        ("x", city, Fix("replace", Span(city.start, city.end, "EVENT"))),
        ("x", missed, Fix("add", missed)),
        ("x", sale, Fix("remove", person)),
        ("x", sale, None),
        ("y", sale, Fix("remove", sale)),
    ]
    found = mended(document, [Finding("r", article, "m", span, fix) for article, span, fix in fixes])
    names = [("LOC", "مراكش"), ("LOC", "فاس"), ("LOC", "طنجة"), ("LOC", "سلا")]
    assert [(span.label, span.text) for span in found.spans] == names


def test_what_is_mended_has_no_such_findings() -> None:
    corpus = [marked("قال زيد [ORG «الأهرام»] أمس", "x")]
    found = check(corpus)
    assert [finding.rule for finding in found] == ["edge"]
    assert check([mended(corpus[0], found)]) == []


def test_a_notebook_shows_a_finding_in_its_text() -> None:
    parts = {"a&b.jsonl": Corpus("", (marked("قال زيد [ORG «<b>الأهرام</b>»] أمس", "<i>x"),))}
    html = examine(parts)[0]._repr_html_()
    assert "قال زيد <mark>«</mark><ins>&lt;b&gt;الأهرام&lt;/b&gt;</ins><mark>»</mark> أمس" in html
    assert '<b class="rule">edge</b>' in html
    assert "<bdi>a&amp;b.jsonl</bdi>" in html
    assert "<i>x" not in html


def test_the_page_shows_each_finding_in_its_own_article() -> None:
    two = (marked("قال زيد [ORG «الأهرام»] أمس", "x"), Document("نص آخر لا علاقة له", id="x"))
    parts = {"": Corpus("", two)}
    page = findings_page(parts, examine(parts))
    assert "قال زيد <mark>«</mark><ins>الأهرام</ins><mark>»</mark> أمس" in page


def test_the_page_isolates_names_with_an_apostrophe_and_marks_what_is_to_go() -> None:
    text = "زار دولة كوت د'إيفوار"
    document = Document(text, [Span(4, 12, "ORG"), Span(9, len(text), "LOC")], "x")
    parts = {"": Corpus("", (document,))}
    page = findings_page(parts, examine(parts))
    assert 'LOC «<bdi lang="ar">كوت د&#x27;إيفوار</bdi>» [9, 21) overlaps «<bdi lang="ar">دولة كوت</bdi>»' in page
    assert "زار <mark>دولة كوت</mark> د" in page
    assert 'role="status"' in page


def test_the_page_isolates_arabic_types_and_files_too() -> None:
    one, two = (Corpus("", (marked("في [مكان ﻓﺎﺱ ]", name),)) for name in "ab")
    parts = {"خبر<1>": one, "b": two}
    page = findings_page(parts, examine(parts))
    assert '<p dir="ltr"><bdi lang="ar">مكان</bdi> «<bdi lang="ar">ﻓﺎﺱ </bdi>» [3, 7) begins' in page
    assert 'of article «<bdi>a</bdi>» (<bdi lang="ar">خبر&lt;1&gt;</bdi>)' in page


def excerpt(document: Document) -> str:
    """What the page shows of the text around the first mention, as plain text."""
    page = findings_page({"": Corpus("", (document,))}, [Finding("edge", "x", "m", document.spans[0])])
    [shown] = re.findall(r'<p class="text"[^>]*>(.*?)</p>', page, re.DOTALL)
    return unescape(re.sub(r"</?(?:mark|ins)>", "", shown))


def test_the_page_shows_whole_words_around_a_mention() -> None:
    shown = excerpt(marked(f"{LONG} في [LOC فاس] {LONG}"))
    before, after = shown.split(" في فاس ")
    assert (before[0], after[-1]) == ("…", "…")
    assert LONG.endswith(f" {before[1:]}")
    assert LONG.startswith(f"{after[:-1]} ")
    assert AROUND - 10 < len(f"{before[1:]} في ") <= AROUND


def test_the_page_says_that_text_is_left_out_only_where_some_is() -> None:
    for text in ("زار [LOC فاس] أمس", "\n" * 200 + "زار [LOC فاس] أمس" + " " * 200):
        assert excerpt(marked(text)).strip() == "زار فاس أمس"
    assert excerpt(marked(f"{LONG}، {LONG} [LOC فاس]")).endswith(" فاس")
    # A mention that is far too long is cut, too.
    shown = excerpt(marked(f"قال [ORG {LONG * 9}] أمس"))
    assert LONGEST < len(shown) <= len("قال …") + LONGEST + AROUND
    assert f"قال {LONG * 9}".startswith(f"{shown.removesuffix('…')} ")
