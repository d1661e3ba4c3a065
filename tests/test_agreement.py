import pytest

from kayan import Document
from kayan.agreement import agree, disagreements
from kayan.document import Span
from kayan.schema import Declaration
from tests.conftest import marked


def spans(text: str, *marks: tuple[int, int, str]) -> Document:
    return Document(text, [Span(*mark) for mark in marks], "a")


def test_the_same_annotation_agrees_wholly(articles: list[Document]) -> None:
    result = agree(articles, list(reversed(articles)))
    assert (result.kappa, result.kappa_marked, result.disagreements) == (1.0, 1.0, ())
    figures = result.to_dict()
    assert (figures["span_f1"], figures["boundary_lenient_f1"]) == (1.0, 1.0)
    assert figures["types"]["LOC"]["first"] == figures["types"]["LOC"]["second"]


def test_each_disagreement_has_one_kind() -> None:
    one = marked("زار [PER كريم] مدينة [LOC فاس] و[ORG بنك المغرب] و[LOC طنجة] وقرأ [MISC الظل]")
    text = one.text
    at = {word: text.index(word) for word in ("كريم", "فاس", "بنك المغرب", "المغرب", "مدينة", "الظل")}
    two = spans(
        text,
        (at["كريم"], at["كريم"] + 4, "ORG"),
        (at["مدينة"], at["فاس"] + 3, "LOC"),
        (at["المغرب"], at["المغرب"] + 6, "LOC"),
        (at["الظل"], at["الظل"] + 4, "MISC"),
        (0, 3, "EVENT"),
    )
    found = disagreements(one, two)
    assert [(d.kind, d.first and d.first.text, d.second and d.second.text) for d in found] == [
        ("only-second", None, "زار"),
        ("type", "كريم", "كريم"),
        ("boundary", "فاس", "مدينة فاس"),
        ("type+boundary", "بنك المغرب", "المغرب"),
        ("only-first", "طنجة", None),
    ]
    assert str(found[1]) == "article 'a': type: PER 'كريم' [4, 8) / ORG 'كريم' [4, 8)"
    [told] = map(str, disagreements(marked("في [LOC كوت د'إيفوار]"), marked("في كوت د'إيفوار")))
    assert told == r"article 'a': only-first: LOC 'كوت د\'إيفوار' [3, 15) / nothing"


def test_figures_by_hand() -> None:
    # Words: زار كريم فاس أمس; types PER LOC O O against PER O O O.
    one, two = marked("زار [PER كريم] [LOC فاس] أمس"), marked("زار [PER كريم] فاس أمس")
    result = agree([one], [two])
    assert result.scorer.micro().f1 == pytest.approx(2 / 3)
    # Observed 3/4; expected O 2·3/16 + PER 1·1/16 = 7/16.
    assert result.kappa == pytest.approx((3 / 4 - 7 / 16) / (1 - 7 / 16))
    # PER/PER and LOC/O alone: observed 1/2, expected 1/4.
    assert result.kappa_marked == pytest.approx(1 / 3)
    assert agree([two], [one]).scorer.micro().f1 == result.scorer.micro().f1


def test_what_cannot_be_compared() -> None:
    one = marked("في [LOC فاس]", "a")
    with pytest.raises(ValueError, match="only one has b"):
        agree([one], [one, marked("نص", "b")])
    with pytest.raises(ValueError, match="the first annotation has several a"):
        agree([one, one], [one])
    with pytest.raises(ValueError, match="the second annotation has several a"):
        agree([one], [one, one])
    with pytest.raises(ValueError, match="no article to compare"):
        agree([], [])
    with pytest.raises(ValueError, match="article 'a': the two texts differ"):
        agree([one], [marked("من [LOC فاس]", "a")])


def test_articles_without_ids_of_their_own_are_compared_in_order() -> None:
    texts = ["في [LOC فاس]", "زار [PER كريم] فاس"]
    first, second = ([marked(text, f"{name}-{i}") for i, text in enumerate(texts, 1)] for name in ("one", "two"))
    assert agree(first, second).kappa == 1.0


def test_two_that_mark_nothing_agree() -> None:
    result = agree([marked("نص")], [marked("نص")])
    assert (result.kappa_marked, result.to_dict()["span_f1"]) == (1.0, 1.0)
    assert result.to_dict()["interval_95_by_article"] == [1.0, 1.0]


def test_a_repeated_mention_is_one() -> None:
    assert disagreements(spans("في فاس", (3, 6, "LOC"), (3, 6, "LOC")), spans("في فاس", (3, 6, "LOC"))) == []


def test_unread_labels_are_no_disagreement() -> None:
    one, two = marked("قرأ [MISC الظل] في [LOC فاس]"), marked("قرأ [PER الظل] في [LOC فاس]")
    assert agree([one], [two], Declaration(labels={"MISC": None})).disagreements == ()
    assert len(agree([one], [two]).disagreements) == 1
