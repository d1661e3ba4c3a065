import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("jinja2")

from eval.page import LANGUAGES, as_data, page
from eval.report import judge
from kayan.corpus import Corpus
from kayan.document import Document, Span
from kayan.schema import Declaration, Schema

HOSTILE = 'زار علي </table></script><script>alert("فاس")</script> <!-- بمراكش & 😀 أمس'


class Reader(HTMLParser):
    """Checks that tags close, and keeps what stands in scripts."""

    VOID = ("meta", "input", "br", "path", "use")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: list[tuple[dict[str, Any], str]] = []
        self.attributes: dict[str, Any] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open[-1:] == [tag], f"</{tag}> closes nothing"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.attributes, data))


@pytest.fixture(scope="module")
def judged() -> tuple[dict[str, Any], tuple[list[Document], list[Document]]]:
    start = HOSTILE.index("مراكش")
    gold = Document(HOSTILE, [Span(4, 7, "PER"), Span(start, start + 5, "LOC")], "<b>a1</b>", {"source": "<i>x"})
    other = Document("في فاس", [Span(3, 6, "LOC")], "a2", {"source": "y"})
    found = [gold.with_spans([Span(4, 7, "PER", 0.9), Span(start - 1, start + 5, "LOC", 0.4)]), other.with_spans([])]
    corpus = Corpus("<u>mine", (gold, other), Declaration(), None, "0" * 64)
    result = judge(corpus, found, Schema(("PER", "LOC")), [other])
    report = {"checkpoint": "<em>x</em>", "kayan": "0", "threshold": 0.0, "data": [result]}
    return report, ([gold, other], found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_sound_and_articles_cannot_break_it(judged: Any, language: str) -> None:
    report, pair = judged
    text = page(report, [pair], language)
    assert text.startswith("<!doctype html>")
    assert f'dir="{"rtl" if language == "ar" else "ltr"}"' in text
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    for raw in ("<b>a1", "<i>x", "<u>mine", "<em>x", "</table></script>"):
        assert raw not in text
    articles, texts, _ = [body for _, body in reader.scripts]
    data = json.loads(articles)["articles"]
    assert [one["text"] for one in data] == [HOSTILE, "في فاس"]
    assert [[case[0] for case in one["cases"]] for one in data] == [["correct", "particle"], ["missed"]]
    assert set(json.loads(articles)["kinds"]) == set(report["data"][0]["errors"])
    assert set(json.loads(texts)) == {"open", "found"}
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org)", text), "nothing is fetched"


def test_the_same_report_gives_the_same_page(judged: Any) -> None:
    assert page(judged[0], [judged[1]]) == page(judged[0], [judged[1]])


def test_both_languages_say_the_same_things() -> None:
    from eval.page import _TEMPLATES

    arabic, english = (json.loads((_TEMPLATES / f"{name}.json").read_text(encoding="utf-8")) for name in LANGUAGES)
    assert arabic.keys() == english.keys()
    for key, value in english.items():
        if isinstance(value, str):
            assert sorted(re.findall(r"{\w+}", value)) == sorted(re.findall(r"{\w+}", arabic[key])), key
        elif key != "words":
            assert len(value) == len(arabic[key])


def test_data_holds_no_markup() -> None:
    assert as_data(["</script>", "a&b", "\u2028"]) == r'["\u003c/script\u003e","a\u0026b","\u2028"]'


def test_an_unknown_language_is_told(judged: Any) -> None:
    with pytest.raises(ValueError, match=r"'fr': the page speaks ar, en"):
        page(judged[0], [judged[1]], "fr")
