import pytest

from eval.slices import DIMENSIONS, slices
from kayan.document import Document, Span

TEXT = "فاس تستقبل OCP\nوصل علي بمراكش يوم 3 نونبر، ثم زار فاس."
GOLD = Document(
    TEXT,
    [
        Span(0, 3, "LOC"),
        Span(11, 14, "ORG"),
        Span(19, 22, "PER"),
        Span(24, 29, "LOC"),
        Span(34, 41, "DATE"),
        Span(50, 53, "LOC"),
    ],
    "a1",
    {"source": "وكالة", "date": "2025-11-03"},
)
FOUND = GOLD.with_spans([Span(0, 3, "LOC"), Span(19, 22, "PER"), Span(23, 29, "LOC"), Span(34, 41, "DATE")])
OTHER = Document("زار علي فاس", [Span(4, 7, "PER")], "a2", {"source": "جريدة"})


def parts(name: str, **options: object) -> dict[str, tuple[int, int, float]]:
    rows = slices([GOLD, OTHER], [FOUND, OTHER], **options)[name]  # type: ignore[arg-type]
    return {row["part"]: (row["gold"], row["predicted"], round(row["recall"], 3)) for row in rows}


def test_mentions_fall_in_their_parts() -> None:
    assert [GOLD.text[span.start : span.end] for span in GOLD.spans] == ["فاس", "OCP", "علي", "مراكش", "3 نونبر", "فاس"]
    assert parts("headline or body") == {"body": (4, 3, 0.5), "headline": (2, 1, 0.5)}
    assert parts("particle") == {"no particle": (6, 5, 0.667), "behind a particle": (1, 0, 0.0)}
    assert parts("length") == {"1 word": (6, 4, 0.5), "2 words": (1, 1, 1.0)}
    assert parts("script") == {"Arabic letters": (6, 5, 0.667), "Latin letters": (1, 0, 0.0)}
    assert parts("digits") == {"without": (6, 4, 0.5), "with digits": (1, 1, 1.0)}
    assert parts("how often the words stand in the article")["2 or 3 times"] == (2, 1, 0.5)
    assert parts("source") == {"وكالة": (6, 4, 0.5), "جريدة": (1, 1, 1.0)}


def test_meta_with_one_value_is_no_dimension() -> None:
    assert "date" not in slices([GOLD, OTHER], [FOUND, OTHER])
    assert "source" not in slices([GOLD], [FOUND])


def test_many_dates_go_by_month() -> None:
    days = [
        Document("فاس", [Span(0, 3, "LOC")], str(day), {"date": f"2025-{1 + day // 16:02}-{1 + day % 16:02}"})
        for day in range(32)
    ]
    assert [row["part"] for row in slices(days, days)["date"]] == ["2025-01", "2025-02"]


def test_seen_by_surface_by_name_and_with_another_type() -> None:
    training = [Document("في للأمم وفاس وعلي", [Span(4, 8, "ORG"), Span(10, 13, "LOC"), Span(15, 18, "ORG")], "t")]
    assert parts("seen in training, as written", training=training) == {
        "unseen": (3, 2, 0.333),
        "seen": (2, 1, 0.5),
        "seen with another type only": (2, 2, 1.0),
    }
    article = [Document("قالت الأمم", [Span(5, 10, "ORG")], "b"), OTHER]
    rows = slices(article, article, training)
    assert {row["part"] for row in rows["seen in training, by name"]} == {"seen", "seen with another type only"}
    assert {row["part"] for row in rows["seen in training, as written"]} == {"unseen", "seen with another type only"}


@pytest.mark.parametrize("name", sorted(DIMENSIONS))
def test_the_parts_of_a_dimension_add_up(name: str) -> None:
    rows = slices([GOLD, OTHER], [FOUND, OTHER]).get(name)
    if rows and name != "headline or body":
        assert (sum(row["gold"] for row in rows), sum(row["predicted"] for row in rows)) == (7, 5)
