import json
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given

import kayan
from kayan import Document, DocumentError, Span
from kayan.page import looks_of
from kayan.terminal import visible
from tests.conftest import marked
from tests.strategies import documents


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


class Notebook(HTMLParser):
    """What a reader sees of an article: mentions in brackets, their letters behind a bar; the legend is kept apart."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = self.legend = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)
        self.handle_data({"mark": "[", "sup": "|", "br": "\n"}.get(tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.handle_data("]" if tag == "mark" else "")

    def handle_data(self, data: str) -> None:
        if self.open[1:2] == ["div"]:
            self.legend += data
        else:
            self.text += data


def shown(document: Document) -> Notebook:
    notebook = Notebook()
    notebook.feed(document._repr_html_())
    notebook.close()
    assert notebook.open == []
    return notebook


def test_a_notebook_shows_the_article_with_its_mentions_marked() -> None:
    document = marked("زار [PER علي] مدينة [LOC فاس]\nثم ب[LOC مراكش]")
    html = document._repr_html_()
    assert shown(document).text == "زار [علي|P] مدينة [فاس|L]\nثم ب[مراكش|L]"
    assert 'dir="rtl"' in html
    assert shown(document).legend.split() == ["|P", "PER", "1", "|L", "LOC", "2"]
    assert 'title="PER"' in html
    assert 'title="PER 0.93"' in Document(document.text, [Span(4, 7, "PER", 0.9312)])._repr_html_()


def test_what_is_shown_of_nothing_and_of_latin_text() -> None:
    assert shown(Document("")).text == ""
    assert 'dir="auto"' in Document("Rabat")._repr_html_()


def test_overlapping_mentions_are_shown_with_a_letter_each() -> None:
    document = Document("بلدية مدينة فاس", [Span(0, 15, "ORG"), Span(12, 15, "LOC"), Span(6, 13, "MISC")])
    assert shown(document).text == "[بلدية ][مدينة ][ف|M][اس|O|L]"


def test_articles_and_labels_cannot_break_a_notebook() -> None:
    text = "زار <script>alert(1)</script> & \x1b \ud800 5$ فاس$"
    document = Document(text, [Span(4, 12, '"><img src=x>'), Span(text.index("فاس"), len(text) - 1, "LOC")])
    html = document._repr_html_()
    assert set(shown(document).tags) == {"div", "mark", "sup", "bdi"}
    assert 'title="&quot;&gt;&lt;img src=x&gt;"' in html
    assert "\x1b" not in html
    assert html.encode("utf-8"), "half a character could not be stored"
    assert "mathjax_ignore" in html, "nor are two dollars a formula"


@given(documents())
def test_every_character_is_shown(document: Document) -> None:
    plain = [shown(document.with_spans(spans)).text for spans in ([], document.spans)]
    whole = visible(document.text).encode("utf-8", "replace").decode()
    assert plain[0] == whole
    letters = re.sub(r"[\[\]|]", "", whole)
    rest = iter(re.sub(r"[\[\]|]", "", plain[1]))
    assert all(char in rest for char in letters), "in order, with letters of types between"


def test_types_of_your_own_have_letters_and_tones_of_their_own() -> None:
    looks = looks_of(["LOC", "TEAM", "TITLE", "T", "PER"])
    letters = [look[0] for look in looks.values()]
    assert len(set(letters)) == len(letters)
    assert list(looks) == ["PER", "LOC", "T", "TEAM", "TITLE"]


def test_the_colours_are_those_of_the_served_page() -> None:
    folder = Path(kayan.__file__).parent / "templates"
    css = (folder / "serve.css").read_text(encoding="utf-8").split("@media", 1)[0]
    tones = dict(re.findall(r"--([cb]\d): (#\w+)", css))
    types = json.loads((folder / "serve.en.json").read_text(encoding="utf-8"))["types"]
    for number, (label, look) in enumerate(looks_of(types).items()):
        assert look == (types[label][1], tones[f"c{number}"], tones[f"b{number}"])
