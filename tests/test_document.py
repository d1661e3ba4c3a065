import pickle

import pytest

from kayan import Document, DocumentError, Span
from tests.conftest import marked


def test_spans_are_sorted_and_know_their_text() -> None:
    document = Document("زار كريم فاس", [Span(9, 12, "LOC"), Span(4, 8, "PER")])
    assert [(span.text, span.label) for span in document.spans] == [("كريم", "PER"), ("فاس", "LOC")]


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 3), (4, 2)])
def test_impossible_offsets_are_refused(start: int, end: int) -> None:
    with pytest.raises(DocumentError, match="0 <= start < end"):
        Span(start, end, "PER")


@pytest.mark.parametrize("value", [1.0, "1", True, None])
def test_offsets_are_integers(value: object) -> None:
    with pytest.raises(DocumentError, match="must be an integer"):
        Span(value, 5, "PER")  # type: ignore[arg-type]


def test_a_span_outside_the_text_names_the_document() -> None:
    with pytest.raises(DocumentError, match=r"'n7': span \[0, 9\) PER is outside the text, which has 4 characters"):
        Document("سلام", [Span(0, 9, "PER")], "n7")


def test_an_error_says_what_is_wrong_without_the_document_too() -> None:
    with pytest.raises(DocumentError) as raised:
        Document("سلام", [Span(0, 9, "PER")], "document 'n7'")
    for error in (raised.value, pickle.loads(pickle.dumps(raised.value))):
        assert error.message == "span [0, 9) PER is outside the text, which has 4 characters"
        assert str(error) == f"document \"document 'n7'\": {error.message}"


def test_a_free_span_has_no_text() -> None:
    with pytest.raises(DocumentError, match="belongs to no document"):
        _ = Span(0, 2, "PER").text


def test_documents_are_values() -> None:
    document = marked("زار [LOC فاس]")
    again = pickle.loads(pickle.dumps(document))
    assert again == document
    assert again.spans[0].text == "فاس"
    with pytest.raises(AttributeError):
        document.text = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("مقر ل[ORG لأمم المتحدة]", "الأمم المتحدة"),
        ("زيارة ل[LOC لبنان]", "لبنان"),
        ("ينتمي ل[ORG لجنة القدس]", "لجنة القدس"),
        ("وصل إلى [LOC لندن]", "لندن"),
        ("جال [LOC المغرب] وعاد ل[LOC لمغرب]", "المغرب"),
        # The article itself knows «ليكسوس»: no alef is put before it.
        ("زار [LOC ليكسوس] ثم عاد ل[LOC ليكسوس]", "ليكسوس"),
        ("في [LOC مُرَّاكـــش]", "مراكش"),
        ("لقاء ب[ORG الاتحاد  الأوروبي]", "الاتحاد الأوروبي"),
        ("قال ول[PER محمد]", "محمد"),
    ],
)
def test_the_canonical_form(text: str, name: str) -> None:
    assert marked(text).spans[-1].name == name
