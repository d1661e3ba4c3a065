import unicodedata

import pytest

from kayan.document import Document, Span
from kayan.perturb import PERTURBATIONS, perturb
from kayan.text import normalise
from tests.conftest import marked

TEXT = "زار أحمد إبراهيمي مدينة فاس (قصر المؤتمرات)، بتاريخ 3 نونبر 2025.\nوقال إن بلدية «تيزي وزو» بالجزائر دفعت 2.5 مليون."
NAMES = [
    ("أحمد إبراهيمي", "PER"),
    ("فاس", "LOC"),
    ("قصر المؤتمرات", "LOC"),
    ("3 نونبر 2025", "DATE"),
    ("بلدية «تيزي وزو»", "ORG"),
    ("الجزائر", "LOC"),
]


@pytest.fixture
def document() -> Document:
    spans = [Span(TEXT.index(name), TEXT.index(name) + len(name), label) for name, label in NAMES]
    return Document(TEXT, spans, "a", {"tokens": [[0, 3]], "source": "x"})


def shown(document: Document) -> list[str]:
    return [span.text for span in document.spans]


@pytest.mark.parametrize("name", ["diacritics", "tatweel"])
def test_marks_and_tatweels_vanish_again(document: Document, name: str) -> None:
    changed = perturb(document, name)
    assert changed.text != document.text
    assert normalise(changed.text).text == document.text
    assert [normalise(text).text for text in shown(changed)] == shown(document)
    assert perturb(document, name) == changed, "the same seed, the same letters"
    assert perturb(document, name, seed=1) != changed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hamza", ["احمد ابراهيمي", "فاس", "قصر المؤتمرات", "3 نونبر 2025", "بلدية «تيزي وزو»", "الجزائر"]),
        ("final_letters", ["أحمد إبراهيمى", "فاس", "قصر المؤتمرات", "3 نونبر 2025", "بلديه «تيزى وزو»", "الجزائر"]),
        ("arabic_digits", ["أحمد إبراهيمي", "فاس", "قصر المؤتمرات", "٣ نونبر ٢٠٢٥", "بلدية «تيزي وزو»", "الجزائر"]),
        ("no_punctuation", ["أحمد إبراهيمي", "فاس", "قصر المؤتمرات", "3 نونبر 2025", "بلدية تيزي وزو", "الجزائر"]),
        ("quotes", ["أحمد إبراهيمي", "فاس", "قصر المؤتمرات", "3 نونبر 2025", 'بلدية "تيزي وزو"', "الجزائر"]),
        ("headline", ["أحمد إبراهيمي", "فاس", "قصر المؤتمرات", "3 نونبر 2025"]),
    ],
)
def test_spans_move_with_their_letters(document: Document, name: str, expected: list[str]) -> None:
    changed = perturb(document, name)
    assert shown(changed) == expected
    assert [span.label for span in changed.spans] == [label for _, label in NAMES][: len(expected)]
    assert changed.meta == {"source": "x"}


def test_points_in_numbers_stay(document: Document) -> None:
    assert perturb(document, "no_punctuation").text.endswith("دفعت 2.5 مليون")


def test_an_empty_text_survives_everything() -> None:
    assert all(perturb(Document(""), name) == Document("") for name in PERTURBATIONS)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(ValueError, match=r"'slang'.*hamza.*headline"):
        perturb(Document("x"), "slang")


def test_invisible_marks_stand_outside_what_is_read(document: Document) -> None:
    changed = perturb(document, "bidi_marks")
    assert len(changed.text) > len(document.text)
    assert normalise(changed.text).text == document.text
    assert [normalise(text).text for text in shown(changed)] == shown(document)


def test_the_conjunction_comes_loose() -> None:
    changed = perturb(
        Document("بين المغرب والجزائر ووهران", [Span(12, 19, "LOC"), Span(21, 26, "LOC")], "a"), "loose_waw"
    )
    assert changed.text == "بين المغرب و الجزائر ووهران"
    assert shown(changed) == ["الجزائر", "وهران"]


@pytest.mark.parametrize("name", ["typos", "ocr"])
def test_noise_is_slight_and_keeps_the_mentions(name: str) -> None:
    text = "قال وزير الداخلية في مدينة مراكش إن الحكومة ستدعم المتضررين من الفيضانات في أقاليم الشمال " * 20
    document = Document(text, [Span(text.index("مراكش"), text.index("مراكش") + 5, "LOC")], "a")
    changed = perturb(document, name)
    differing = sum(a != b for a, b in zip(text.split(), changed.text.split(), strict=False))
    assert 0.95 < len(changed.text) / len(text) <= 1
    assert changed.text != text
    assert name == "ocr" or differing < 0.2 * len(text.split())
    assert len(changed.spans) == 1


def test_invisible_marks_stay_outside_mentions() -> None:
    document = marked("يوم [DATE 3 نونبر 2025] و(«[ORG 2M]»)")
    for seed in range(12):
        for span in perturb(document, "bidi_marks", seed).spans:
            assert unicodedata.category(span.text[0]) != "Cf"
            assert unicodedata.category(span.text[-1]) != "Cf"
