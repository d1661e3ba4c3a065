import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eval.__main__ import entities as command
from eval.entities import SYSTEMS, compare, errors, read, run
from kayan import Tagger
from kayan.cli import main
from kayan.document import Document, Span
from kayan.entities import Entity, fold, group
from kayan.formats import FormatError, jsonl
from tests.conftest import marked

ROOT = Path(__file__).parent.parent


def forms(text: str) -> list[tuple[str, ...]]:
    """The forms of each entity of a text with mentions written `[TYPE mention]`."""
    return [entity.forms for entity in group(marked(text))]


def together(label: str, *names: str) -> bool:
    """Whether names of one type, each in a sentence of its own, are one entity."""
    return len(group(marked("\n".join(f"ذكر [{label} {name}] أمس." for name in names)))) == 1


def test_an_entity_says_where_and_how_often_it_is_named() -> None:
    text = (
        "نوه ل[PER ناصر الوردي] ب[ORG الأمم المتحدة]. وقال [PER الوردي] إن ل[ORG لأمم المتحدة] دورا، حسب [PER الوردي]"
    )
    document = marked(text)
    person, institution = group(document)
    assert (person.name, person.label, person.count) == ("ناصر الوردي", "PER", 3)
    assert person.first == document.spans[0]
    assert person.forms == ("ناصر الوردي", "الوردي")
    assert (institution.name, institution.forms) == ("الأمم المتحدة", ("الأمم المتحدة",)), (
        "the article behind ل is back"
    )
    record = person.to_dict()
    assert record.keys() == {"name", "label", "count", "first", "mentions", "forms"}
    assert [document.text[a:b] for a, b in record["mentions"]] == ["ناصر الوردي", "الوردي", "الوردي"]


def test_the_score_of_an_entity_is_its_best_mentions() -> None:
    document = Document("فاس وفاس", [Span(0, 3, "LOC", 0.7), Span(5, 8, "LOC", 0.912345)])
    [entity] = group(document)
    assert entity.score == 0.912345
    assert entity.to_dict()["score"] == 0.9123
    assert group(Document("فاس", [Span(0, 3, "LOC")]))[0].score is None


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("LOC", ("أكادير", "اكادير", "أكـــادير", "أَكَادِير")),
        ("LOC", ("إملشيل", "املشيل")),
        ("LOC", ("آسفي", "أسفي")),
        ("LOC", ("القنيطرة", "القنيطره")),
        ("MISC", ("المتنبى", "المتنبي")),
        ("PER", ("هانئ الرائد", "هاني الرايد")),
        ("PER", ("عبد الرزاق الحاتمي", "عبدالرزاق الحاتمي")),
        ("PER", ("مصطفى ابن عيسى", "مصطفى بن عيسى", "مصطفى بنعيسى")),
        ("ORG", ("Médi Énergie", "MEDI ENERGIE")),
        ("DATE", ("١٢ ماي ٢٠٢٥", "12 ماي 2025")),
    ],
)
def test_spellings_are_one(label: str, names: tuple[str, ...]) -> None:
    assert together(label, *names)


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("ناصر الوردي", "الوردي"),
        ("ناصر الوردي", "الوزير الوردي"),
        ("ناصر الوردي", "ناصر"),
        ("رشيد آيت حمو", "ايت حمو"),
        ("عبد الإله بن الطاهر", "بن الطاهر"),
        ("حميد بن عبد الجليل", "بنعبد الجليل"),
        ("محمد أمين أوبلا", "محمد أمين"),
        ("فاطمة الزهراء بوصوف", "فاطمة الزهراء"),
        ("نور الدين الزناتي", "نورالدين"),
        ("مولاي الحسن أبو الفضل", "أبو الفضل"),
        ("مولاي الحسن أبو الفضل", "الحسن أبو الفضل"),
        ("نادية بن الحسين الرامي", "نادية الرامي"),
        ("الحسين أمزال", "لحسين أمزال"),
        ("سيدي ولد أعمر", "ولد أعمر"),
    ],
)
def test_a_short_form_joins_the_full_name(full: str, short: str) -> None:
    document = marked(f"حضر [PER {short}] ثم [PER {full}] ثم [PER {short}]")
    [entity] = group(document)
    assert (entity.count, entity.name) == (3, full), "before the full name, as in a headline, and behind it"


@pytest.mark.parametrize(
    ("full", "other"),
    [
        ("عبد الإله بن الطاهر", "الطاهر"),
        ("عبد الرحيم الغوماري", "عبد"),
        ("عبد الرحيم الغوماري", "الرحيم"),
        ("نور الدين الزناتي", "نور"),
        ("مولاي الحسن أبو الفضل", "الفضل"),
        ("ناصر الوردي", "كريم الوردي"),
        ("فاطمة الزهراء بوصوف", "فاطمة"),
    ],
)
def test_parts_of_compound_names_and_namesakes_stay_apart(full: str, other: str) -> None:
    assert not together("PER", full, other)


def test_an_ambiguous_short_form_joins_nobody() -> None:
    text = "قالت [PER سعاد الماحي] ل[PER عمر الماحي] إن [PER الماحي] غائب. ونفت [PER سعاد] ذلك"
    assert forms(text) == [("سعاد الماحي", "سعاد"), ("عمر الماحي",), ("الماحي",)]


def test_a_chain_of_fuller_names_is_no_ambiguity() -> None:
    assert forms("[PER نادية بن الحسين الرامي] و[PER نادية الرامي] و[PER الرامي]") == [
        ("نادية بن الحسين الرامي", "نادية الرامي", "الرامي")
    ]


def test_titles_are_no_part_of_the_name_shown() -> None:
    assert group(marked("[PER الوزير الوردي] و[PER الوزير الوردي] و[PER الوردي]"))[0].name == "الوردي"
    assert group(marked("[PER الوزيرة]"))[0].name == "الوزيرة"
    assert not together("PER", "السيد الوردي", "ناصر الوردي"), "a given name too"


@pytest.mark.parametrize(
    "names",
    [
        ("المغرب", "مغرب"),
        ("المغرب", "المملكة المغربية"),
        ("مدينة طنجة", "طنجة"),
        ("المحيط الأطلسي", "الأطلسي"),
        ("العاصمة الرباط", "الرباط"),
        ("الدار البيضاء", "البيضاء"),
        ("الطريق الوطنية رقم 9", "الطريق الوطنية 9"),
        ("الولايات المتحدة الأمريكية", "الولايات المتحدة"),
    ],
)
def test_a_place_under_several_names(names: tuple[str, ...]) -> None:
    assert together("LOC", *names)


@pytest.mark.parametrize(
    "names",
    [
        ("إقليم تارودانت", "تارودانت"),
        ("مدينة الكويت", "الكويت"),
        ("الأطلس المتوسط", "الأطلس"),
        ("المدينة", "مدينة"),
        ("ميناء طرفاية", "طرفاية"),
    ],
)
def test_other_places_stay_apart(names: tuple[str, ...]) -> None:
    assert not together("LOC", *names)


def test_the_name_of_a_place_is_without_its_kind() -> None:
    [entity] = group(marked("[LOC مدينة طنجة] و[LOC مدينة طنجة] و[LOC طنجة]"))
    assert (entity.name, entity.count) == ("طنجة", 3)


@pytest.mark.parametrize(
    "names",
    [
        ("وزارة الصحة والحماية الاجتماعية", "وزارة الصحة"),
        ("وزارة الشباب والثقافة والتواصل", "وزارة الثقافة"),
        ("وزارة الشؤون الخارجية والتعاون الإفريقي", "وزارة الخارجية"),
        ("جمعية نور لمساندة المرضى", "جمعية نور", "نور"),
        ("حزب الاستقلال", "الاستقلال"),
        ("نادي الوداد الرياضي", "الوداد الرياضي", "الوداد"),
        ("حسنية أكادير", "الحسنية"),
        ("المديرية العامة للأمن الوطني", "الأمن الوطني"),
        ("المديرية العامة للأرصاد الجوية", "مديرية الأرصاد الجوية"),
        ("منظمة الأمم المتحدة", "الأمم المتحدة"),
        ("بورصة الدار البيضاء", "بورصة البيضاء"),
    ],
)
def test_an_institution_under_several_names(names: tuple[str, ...]) -> None:
    assert together("ORG", *names)


@pytest.mark.parametrize(
    "names",
    [
        ("جمعية نور لمساندة المرضى", "الجمعية"),
        ("الوكالة الوطنية للمياه", "الوكالة"),
        ("وزارة الداخلية الإسبانية", "وزارة الداخلية"),
        ("منظمة الأمم المتحدة للطفولة", "الأمم المتحدة"),
        ("الاتحاد الأوروبي لكرة القدم", "الاتحاد الأوروبي"),
        ("البرلمان الأوروبي", "البرلمان"),
        ("الجمعية", "جمعية"),
        ("منظمة أوبك", "أوبك+"),
    ],
)
def test_other_institutions_stay_apart(names: tuple[str, ...]) -> None:
    assert not together("ORG", *names)


def test_an_acronym_in_brackets_is_the_name_before_it() -> None:
    text = (
        "[ORG برنامج الأمم المتحدة للبيئة] ([ORG يونيب]) و[ORG اليونيب]. "
        + "[ORG المجمع الشريف للفوسفاط] ([ORG OCP])، و[ORG OCP]"
    )
    assert forms(text) == [
        ("برنامج الأمم المتحدة للبيئة", "يونيب", "اليونيب"),
        ("المجمع الشريف للفوسفاط", "OCP"),
    ]
    assert forms("[ORG OCP] («[ORG المجمع الشريف للفوسفاط]»)") == [("OCP", "المجمع الشريف للفوسفاط")]
    assert group(marked("[ORG OCP] ([ORG المجمع الشريف للفوسفاط])"))[0].name == "المجمع الشريف للفوسفاط"


def test_brackets_that_do_not_explain_a_name() -> None:
    assert len(forms("فاز [ORG نهضة بركان] ([ORG الوداد] الثاني)")) == 2, "the brackets hold more"
    assert len(forms("فاز [ORG نهضة بركان] ([ORG مولودية وجدة])")) == 2, "no acronym"
    assert len(forms("في [LOC واد أمليل] ([LOC تازة])")) == 2, "a place in brackets is where the other lies"
    both = "[ORG النقابة الوطنية للتعليم] ([ORG CDT]) و[ORG النقابة الوطنية للصحة] ([ORG CDT])"
    assert len(forms(both)) == 3, "two names claim it"


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (("الدورة الخامسة للمهرجان الوطني للحكاية", "المهرجان الوطني للحكاية", "مهرجان الحكاية"), True),
        (("الدورة 27 من المعرض الدولي للكتاب", "المعرض الدولي للكتاب"), True),
        (("كأس العالم قطر 2022", "كأس العالم"), True),
        (("كأس العالم للأندية 2025", "كأس العالم"), False),
        (("الدورة الرابعة لمهرجان الحكاية", "الدورة الخامسة لمهرجان الحكاية"), False),
    ],
)
def test_editions_of_events(names: tuple[str, ...], one: bool) -> None:
    assert together("EVENT", *names) == one


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (("الثلاثاء", "يوم الثلاثاء"), True),
        (("2022", "سنة 2022"), True),
        (("الثلاثاء", "الثلاثاء 14 أكتوبر"), False),
        (("1 12 2025", "11 2 2025"), False),
    ],
)
def test_dates_are_one_where_they_are_the_same(names: tuple[str, ...], one: bool) -> None:
    assert together("DATE", *names) == one


def test_types_are_kept_apart() -> None:
    assert forms("فاز [ORG بركان] في [LOC بركان]") == [("بركان",), ("بركان",)]


def test_what_has_no_letters_is_a_name_too() -> None:
    assert fold("؟!") == ["؟!"]
    assert forms("[MISC ؟!] و[MISC ؟!] و[MISC !]") == [("؟!",), ("!",)]
    assert group(Document("")) == []


WORDS = (
    "محمد عبد بن ابن آيت الحسن نور الدين ال لل ل و مولاي الوزير العلوي علوي جمعية الجمعية وزارة الشؤون والثقافة للحكاية "
    "المغرب مغرب مدينة المملكة المغربية الدار البيضاء الدورة من 2025 يوم OCP ؟ المديرية العامة للأمن الاتحاد ( )"
).split()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["PER", "LOC", "ORG", "EVENT", "DATE", "X"]), st.lists(st.sampled_from(WORDS), min_size=1)
        ),
        max_size=12,
    )
)
def test_every_mention_is_in_exactly_one_entity(mentions: list[tuple[str, list[str]]]) -> None:
    text, spans = "", []
    for label, words in mentions:
        name = " ".join(words)
        spans.append(Span(len(text), len(text) + len(name), label))
        text += name + " ل"
    document = Document(text, spans)
    found = group(document)
    members = [span for entity in found for span in entity.mentions]
    assert sorted(members, key=lambda span: span.start) == list(document.spans)
    for entity in found:
        assert {span.label for span in entity.mentions} == {entity.label}
        assert entity.name in entity.forms
        assert list(entity.mentions) == sorted(entity.mentions, key=lambda span: span.start)
    assert [one.first.start for one in found] == sorted(one.first.start for one in found)
    by_name = {}
    for entity in found:
        for span in entity.mentions:
            key = (span.label, span.name)
            assert by_name.setdefault(key, entity) is entity, "equal names of one type are together"


def timed(count: int, family: str = "الوردي") -> float:
    """Seconds of the processor; names are remembered, so those of another `family` are new."""
    text, spans = "", []
    for i in range(count):
        name = f"كريم{i} {family}{i}" if i % 2 else f"{family}{i - 1}"
        spans.append(Span(len(text), len(text) + len(name), ("PER", "ORG", "LOC")[i // 2 % 3]))
        text += name + " قال ل"
    document = Document(text, spans)
    start = time.process_time()
    assert len(group(document)) < count
    return time.process_time() - start


def test_five_thousand_mentions_take_no_more_than_their_share() -> None:
    timed(100)
    assert timed(5000, "الفاسي") < 40 * min(timed(500, family) for family in ("العلوي", "الرامي", "الماحي")), (
        "ten times the mentions, far from a hundred times the time"
    )


def test_the_tagger_groups_what_passes_its_threshold(checkpoint: Path, articles: list[Document]) -> None:
    tagger = Tagger.load(checkpoint, threshold=0)
    found = tagger.entities(articles[0])
    assert found == group(tagger(articles[0]))
    assert all(isinstance(one, Entity) for one in found)
    assert found, "a tagger with random heads marks something"
    assert Tagger.load(checkpoint, threshold=1).entities(articles[0].text) == []


def test_the_command_writes_entities(
    checkpoint: Path, tmp_path: Path, corpus_file: Path, articles: list[Document]
) -> None:
    def call(*options: str) -> list[dict]:
        arguments = ["tag", str(corpus_file), "--model", str(checkpoint), "--format", "entities", *options]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.output.splitlines()]

    records = call("--threshold", "0")
    tagged = Tagger.load(checkpoint, threshold=0)(articles)
    assert [record["id"] for record in records] == [document.id for document in articles]
    for record, document in zip(records, tagged, strict=True):
        assert sum(one["count"] for one in record["entities"]) == len(document.spans)
        for one in record["entities"]:
            assert one["first"] == one["mentions"][0]
            assert one["count"] == len(one["mentions"])
            assert one["name"] in one["forms"]
    assert all(record["entities"] == [] for record in call("--threshold", "1"))
    assert call("-o", str(tmp_path / "out.jsonl"), "--threshold", "0") == []
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()] == records


def test_b_cubed_by_hand() -> None:
    # Gold {1 2 3} {4 5}, found {1 2} {3 4 5}, Bagga and Baldwin's way: precision (1+1+1/3+2/3+2/3)/5.
    figures = compare("aaabb", "xxyyy")
    precision, recall, f1 = figures.b_cubed
    assert precision == pytest.approx((1 + 1 + 1 / 3 + 2 / 3 + 2 / 3) / 5)
    assert recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert (figures.pairs.correct, figures.pairs.predicted, figures.pairs.gold) == (2, 4, 4)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20))
def test_b_cubed_is_what_its_definition_says(pairs: list[tuple[int, int]]) -> None:
    figures = compare([a for a, _ in pairs], [b for _, b in pairs])
    sides = [[{k for k, other in enumerate(pairs) if other[i] == one[i]} for one in pairs] for i in (0, 1)]
    both = [len(gold & found) for gold, found in zip(*sides, strict=True)]
    assert figures.precision_sum == pytest.approx(sum(n / len(found) for n, found in zip(both, sides[1], strict=True)))
    assert figures.recall_sum == pytest.approx(sum(n / len(gold) for n, gold in zip(both, sides[0], strict=True)))
    assert figures.pairs.correct == sum(n - 1 for n in both) / 2


def with_groups(text: str, *groups: list[int], identity: str = "a") -> Document:
    document = marked(text, identity)
    return Document(document.text, document.spans, document.id, {"groups": list(groups)})


def test_errors_name_what_is_split_and_what_is_joined() -> None:
    document = with_groups("[PER سعاد الماحي] و[PER الماحي] و[LOC فاس] و[LOC المدينة]", [0], [1], [2, 3])
    assert errors(document) == [
        {"article": "a", "kind": "split", "label": "LOC", "parts": [["فاس"], ["المدينة"]]},
        {"article": "a", "kind": "joined", "label": "PER", "parts": [["سعاد الماحي"], ["الماحي"]]},
    ]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (None, 'meta needs "groups"'),
        ([0, 1], 'meta needs "groups"'),
        ([[0], [True]], 'meta needs "groups"'),
        ([[0]], "each of the 2 spans, from 0, once; see 1"),
        ([[0, 1], [1]], "once; see 1"),
        ([[0], [1], [2]], "once; see 2"),
        ([[0, 1]], "a group is of one type, not PER 'ناصر', LOC 'فاس'"),
    ],
)
def test_groups_that_are_no_partition(tmp_path: Path, groups: object, message: str) -> None:
    document = marked("زار [PER ناصر] [LOC فاس]", "n1")
    path = tmp_path / "a.jsonl"
    jsonl.write(path, [Document(document.text, document.spans, "n1", {"groups": groups} if groups else {})])
    with pytest.raises(FormatError, match=r"a\.jsonl:1: article 'n1'") as raised:
        read(path)
    assert message in str(raised.value)
    result = CliRunner().invoke(command, [str(path)])
    assert (result.exit_code, result.output.startswith("error: ")) == (2, True)


def test_the_figures_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    documents = [
        with_groups("[LOC فاس] و[LOC فاس] و[PER علي]", [0, 1], [2]),
        with_groups("[LOC طنجة] و[LOC البوغاز]", [0, 1], identity="b"),
        with_groups("نص", identity="c"),
    ]
    jsonl.write(path, documents)
    part = run(path)["parts"]["all"]
    assert (part["articles"], part["mentions"], part["groups"]) == (3, 5, 3)
    assert part["systems"].keys() == SYSTEMS.keys()
    assert part["systems"]["every mention alone"]["b_cubed"]["recall"] == pytest.approx(3 / 5)
    ours = part["systems"]["kayan"]
    assert (ours["b_cubed"]["precision"], ours["b_cubed"]["recall"]) == (1, pytest.approx(4 / 5))
    assert ours["pairwise"]["recall"] == 0.5
    assert part["types"]["PER"]["b_cubed"]["f1"] == 1
    shown = CliRunner().invoke(command, [str(path), "--errors"]).output
    assert "b: split: LOC طنجة | البوغاز" in shown
    assert json.loads(CliRunner().invoke(command, [str(path), "--json"]).output)["parts"]["all"] == part


def test_the_annotated_articles_keep_their_figures() -> None:
    report = run(ROOT / "data" / "entities.jsonl")
    parts = report["parts"]
    assert [(part["articles"], part["groups"]) for part in parts.values()] == [(10, 212), (10, 241), (20, 453)]
    for name, least in (("development", 0.98), ("held-out", 0.93)):
        assert parts[name]["systems"]["kayan"]["b_cubed"]["f1"] > least
        assert parts[name]["systems"]["kayan"]["b_cubed"]["precision"] > 0.99
        assert parts[name]["systems"]["same spelling"]["b_cubed"]["f1"] < 0.85


def test_the_parts_of_a_file_are_reported_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    one, two = with_groups("[LOC فاس]", [0]), with_groups("[LOC طنجة]", [0], identity="b")
    named = [Document(d.text, d.spans, d.id, {**d.meta, "part": "first"}) for d in (one, two)]
    jsonl.write(path, named)
    assert run(path)["parts"].keys() == {"first"}
    jsonl.write(path, [named[0], two])
    assert {name: part["articles"] for name, part in run(path)["parts"].items()} == {"first": 1, "all": 2}
