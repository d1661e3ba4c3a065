import json
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kayan import annotate
from kayan.annotate import LEAST, review, select, spread, suggest, uncertainty
from kayan.cli import main
from kayan.document import Document, Span
from kayan.formats import doccano, jsonl, label_studio
from kayan.schema import Declaration
from kayan.tagger import Tagger
from tests.conftest import marked


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert not isinstance(result.exception, Exception), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def tagger(checkpoint: Path) -> Tagger:
    return Tagger.load(checkpoint, threshold=0)


def test_uncertainty_by_hand() -> None:
    # Probabilities 0.5, 0.3, 0.2: margin 0.2; and 0.8, 0.1, 0.1: margin 0.7.
    logits = np.log([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1], [np.nan] * 3])
    assert uncertainty(logits) == pytest.approx((0.8 + 0.3) / LEAST)
    assert uncertainty(np.tile(np.log([0.3, 0.5, 0.2]), (LEAST * 5, 1))) == pytest.approx(0.8), "length does not count"
    assert uncertainty(logits, temperature=4.0) > uncertainty(logits), "a higher temperature is less certain"
    assert uncertainty(np.zeros((0, 3))) == 0


def test_certain_words_do_not_hide_uncertain_ones() -> None:
    doubtful, plain = np.zeros((LEAST, 3)), np.tile([50.0, 0, 0], (1000, 1))
    assert uncertainty(np.vstack([plain, doubtful])) == uncertainty(doubtful) == 1


def test_the_least_certain_come_first(tagger: Tagger, articles: list[Document]) -> None:
    found = select(articles, 3, tagger, diversity=0)
    values = [value for value, _ in annotate.uncertainties(tagger, articles)]
    best = sorted(range(len(articles)), key=lambda i: -values[i])[:3]
    assert [document.id for document in found.documents] == [articles[i].id for i in best]
    assert found.documents[0].meta["uncertainty"] == round(values[best[0]], 4)
    assert (found.read, found.left_out) == (len(articles), {})


def test_a_near_copy_waits_behind_what_is_unlike_it() -> None:
    one = "أعلنت وزارة الصحة في الرباط عن حملة تلقيح جديدة"
    texts = [one, f"{one} اليوم", "فاز فريق الرجاء بمباراة الأحد أمام منافسه"]
    assert spread([0.9, 0.8, 0.5], texts, 3, 0.5) == [0, 2, 1]
    assert spread([0.9, 0.8, 0.5], texts, 3, 0.0) == [0, 1, 2]
    assert spread([0.9, 0.8, 0.8], texts, 1, 0.5, [Document(one)]) == [2], "what is annotated counts as taken"
    assert spread([0.7, 0.7], texts[::2], 2, 0.5) == [0, 1], "equals keep their order"
    assert spread([], [], 3, 0.5) == []


@given(st.lists(st.sampled_from("فاس مراكش وجدة زار وفد أعلن".split()), max_size=8).map(" ".join), st.data())
def test_similarity_is_a_cosine(text: str, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from(["زار وفد مراكش", "أعلن وفد فاس", "نص"]))
    index = annotate._Index([text, other])
    ours, theirs = index.similarity(text), index.similarity(other)
    assert ours[0] == pytest.approx(1 if text else 0)
    assert ours[1] == pytest.approx(theirs[0])
    assert 0 <= ours[1] <= 1 + 1e-9


def test_rare_words_make_texts_alike() -> None:
    index = annotate._Index(["أعلن الوفد", "أعلن الفريق", "أعلن الوزير", "قال الوفد"])
    _, common, _, rare = index.similarity("أعلن الوفد")
    assert 0 < common < rare < 1


def test_the_largest_are_the_earlier_of_equals_and_no_copies() -> None:
    left_out: Counter[str] = Counter()
    one, two, three = (Document(text, id=text) for text in ("فاس", "طنجة", "وجدة"))
    found = annotate._largest([(1, one), (2, two), (1, one), (2, two), (2, three)], 1, left_out)
    assert [document.id for _, document in found] == ["طنجة"]
    assert left_out == {"copies": 1}, "those of an article that was pushed out are not told"
    found = annotate._largest([(1, one), (2, two), (2, three)], 3, left_out)
    assert [document.id for _, document in found] == ["طنجة", "وجدة", "فاس"]


def test_annotated_articles_are_left_out_by_text_and_by_id(tagger: Tagger) -> None:
    raw = [Document("زار وفد مدينة فاس", id="1"), Document("زار  وفد مدينة طنجَة", id="2"), Document("نص آخر", id="3")]
    raw += [Document(" \n", id="4"), Document("زار وفد مدينة فاس", id="5")]
    done = [Document("زار وفد مدينة طنجة", id="x"), Document("نص غيره", id="3")]
    with pytest.warns(UserWarning, match="1 articles have the id of an annotated one and another text.*'3'"):
        found = select(raw, 9, tagger, annotated=done)
    assert [document.id for document in found.documents] == ["1"]
    assert found.read == 5
    assert found.left_out == {"annotated, by text": 1, "annotated, by id": 1, "without words": 1, "copies": 1}


def test_the_random_order_hangs_on_seed_and_text_alone(articles: list[Document]) -> None:
    draws = [[d.id for d in select(articles, 4, order="random", seed=seed).documents] for seed in range(5)]
    assert len({tuple(draw) for draw in draws}) > 1
    turned = select([*reversed(articles), *articles], 4, order="random", seed=0)
    assert [document.id for document in turned.documents] == draws[0]
    assert select(articles, 2, order="random", seed=0).documents[1].id == draws[0][1], "fewer are the first of more"


def test_the_given_order_reads_no_more_than_it_needs(articles: list[Document]) -> None:
    def endless() -> Iterator[Document]:
        yield articles[0]
        while True:
            yield from articles[:3]

    found = select(endless(), 3, order="given")
    assert [document.id for document in found.documents] == [document.id for document in articles[:3]]
    assert found.left_out == {"copies": 1}


def test_memory_is_bounded_by_the_count(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "CANDIDATES", 2)
    sizes: list[int] = []

    def watched(values: list[float], texts: list[str], *rest: object) -> list[int]:
        sizes.append(len(texts))
        return [0, 1]

    monkeypatch.setattr(annotate, "spread", watched)
    select((Document(f"زار الوفد رقم {i} مدينة فاس", id=str(i)) for i in range(300)), 2, tagger)
    assert sizes == [4]


def test_ids_are_told_apart(tagger: Tagger) -> None:
    raw = [Document(text, id=name) for text, name in (("في فاس", "a"), ("في طنجة", "a-2"), ("في وجدة", "a"))]
    with pytest.warns(UserWarning, match="1 articles have the id of another and got a number: 'a-3'"):
        found = select(raw, 3, order="given")
    assert [document.id for document in found.documents] == ["a", "a-2", "a-3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "at least one"),
        ({"order": "length"}, "uncertainty, random, given"),
        ({"diversity": 2}, "between 0 and 1"),
        ({}, "needs a tagger"),
    ],
)
def test_what_cannot_be_selected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select([Document("نص")], **{"count": 1, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("order", annotate.ORDERS)
def test_suggestions_are_tagged_and_say_by_whom(tagger: Tagger, articles: list[Document], order: str) -> None:
    one, two = (suggest(articles, 4, tagger, model_version="tiny-1", order=order) for _ in range(2))
    assert one == two
    for document in one.documents:
        assert document.meta["model_version"] == "tiny-1"
        assert 0 < document.meta["uncertainty"] < 1
        assert document.spans == tagger(document.text).spans


def test_suggest_writes_what_the_tools_read(checkpoint: Path, corpus_file: Path, tmp_path: Path) -> None:
    options = (corpus_file, "--model", checkpoint, "--threshold", 0, "--count", 3)
    code, shown = call(
        "annotate", "suggest", *options, "-o", tmp_path / "a.json", "--interface", tmp_path / "interface.xml"
    )
    assert code == 0
    assert "3 of 6 articles, uncertainty" in shown
    tasks = label_studio.read(tmp_path / "a.json", predictions=True)
    version = tasks[0].meta["model_version"]
    assert version.startswith("tiny-")
    assert all(0 <= span.score <= 1 for task in tasks for span in task.spans if span.score is not None)
    assert '<Label value="PER"' in (tmp_path / "interface.xml").read_text(encoding="utf-8")
    assert call("annotate", "suggest", *options, "-o", tmp_path / "a.jsonl")[0] == 0
    code, shown = call("annotate", "suggest", *options, "-o", tmp_path / "b.jsonl", "--format", "doccano")
    assert "warning" in shown, "doccano has no place for scores"
    marks = [{(s.start, s.end, s.label) for s in task.spans} for task in tasks]
    assert any(marks)
    for again in (jsonl.read(tmp_path / "a.jsonl"), doccano.read(tmp_path / "b.jsonl")):
        assert [document.text for document in again] == [task.text for task in tasks]
        assert [{(s.start, s.end, s.label) for s in document.spans} for document in again] == marks
        assert {document.meta["model_version"] for document in again} == {version}


def test_the_next_round_leaves_out_the_last(checkpoint: Path, corpus_file: Path, tmp_path: Path) -> None:
    options = ("annotate", "suggest", corpus_file, "--model", checkpoint, "--count", 4)
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    call(*options, "-o", first)
    code, shown = call(*options, "-o", second, "--annotated", first)
    assert code == 0
    assert "4 annotated, by text" in shown
    ids = [{document.id for document in jsonl.read(path)} for path in (first, second)]
    assert (len(ids[0]), len(ids[1]), ids[0] & ids[1]) == (4, 2, set())
    code, shown = call(*options, "-o", tmp_path / "3.jsonl", "--annotated", first, "--annotated", second)
    assert code == 2
    assert "no article is left to annotate of 6" in shown
    assert not (tmp_path / "3.jsonl").exists()


def test_bad_requests_are_told_before_anything_is_read(checkpoint: Path, corpus_file: Path, tmp_path: Path) -> None:
    for output, extra, message in (
        ("a.xyz", (), "name it with --format"),
        ("a.jsonl", ("--format", "word"), "must be one of jsonl"),
    ):
        code, shown = call("annotate", "suggest", corpus_file, "--model", checkpoint, "-o", tmp_path / output, *extra)
        assert (code, message in shown) == (2, True), shown


def test_the_version_is_of_the_weights(tmp_path: Path) -> None:
    best = tmp_path / "run" / "best"
    best.mkdir(parents=True)
    (best / "model.safetensors").write_bytes(b"1")
    first = annotate.version_of(best)
    assert first.startswith("run-")
    (best / "model.safetensors").write_bytes(b"2")
    assert annotate.version_of(best) != first


def scored(document: Document, score: float = 0.5) -> Document:
    return document.with_spans(Span(s.start, s.end, s.label, score) for s in document.spans)


BEFORE = scored(marked("زار [PER كريم] [LOC مدينة فاس] و[ORG بنك المغرب] في [DATE يوم] و[LOC طنجة] أمس", "r"))
AFTER = marked("زار [PER كريم] مدينة [LOC فاس] و[LOC بنك المغرب] في يوم و[LOC طنجة] [DATE أمس]", "r")


def test_each_correction_has_one_kind() -> None:
    result = review([AFTER], [BEFORE])
    assert [(c.kind, c.before and c.before.text, c.after and c.after.text) for c in result.changes] == [
        ("edges", "مدينة فاس", "فاس"),
        ("type", "بنك المغرب", "بنك المغرب"),
        ("removed", "يوم", None),
        ("added", None, "أمس"),
    ]
    assert [change.before and change.before.score for change in result.changes] == [0.5, 0.5, 0.5, None]
    [(name, counts)] = result.articles
    assert name == "r"
    assert counts == {"proposed": 5, "corrected": 5, "kept": 2, "edges": 1, "type": 1, "removed": 1, "added": 1}
    assert result.types["LOC"] == {"proposed": 2, "corrected": 3, "kept": 1, "edges": 1}
    assert result.types["ORG"] == {"proposed": 1, "type": 1}
    assert result.types["DATE"] == {"proposed": 1, "corrected": 1, "removed": 1, "added": 1}


def test_rates_and_frequent_corrections() -> None:
    figures = review([AFTER, Document(AFTER.text + " ", AFTER.spans, "s")], [BEFORE]).to_dict()
    assert figures["unmatched"] == ["s"]
    assert figures["total"]["rates"] == {
        "kept": 0.4,
        "type": 0.2,
        "edges": 0.2,
        "type+edges": 0.0,
        "removed": 0.2,
        "added": 0.2,
    }
    assert figures["types"]["ORG"]["rates"]["added"] is None, "no ORG is left to have a share of"
    assert figures["frequent"]["edges"] == [{"edge": "start", "move": "−", "text": "مدينة", "count": 1}]
    assert figures["frequent"]["types"] == [{"before": "ORG", "after": "LOC", "count": 1}]
    assert {"kind": "removed", "before": ["DATE", "يوم"], "after": None, "count": 1} in figures["frequent"]["mentions"]
    json.dumps(figures)


def test_the_most_frequent_stand_first() -> None:
    texts = [f"زار الوفد [LOC مدينة فاس] رقم {i}" for i in range(3)]
    before = [marked(text, str(i)) for i, text in enumerate(texts)]
    after = [marked(text.replace("[LOC مدينة فاس]", "مدينة [LOC فاس]"), str(i)) for i, text in enumerate(texts)]
    after[0] = marked(texts[0].replace("[LOC مدينة فاس]", "[ORG مدينة فاس]"), "0")
    frequent = review(after, before).frequent()
    assert [row["count"] for row in frequent["mentions"]] == [2, 1]
    assert frequent["edges"][0]["count"] == 2


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        ((0, 3), (0, 7), [("end", "+", "فاس")]),
        ((4, 7), (0, 3), [("start", "+", "زار"), ("end", "−", "فاس")]),
        ((0, 7), (4, 7), [("start", "−", "زار")]),
        ((0, 3), (0, 3), []),
    ],
)
def test_moved_edges(before: tuple[int, int], after: tuple[int, int], moves: list[tuple[str, str, str]]) -> None:
    one, two = (Document("زار فاس", [Span(*edges, "LOC")]).spans[0] for edges in (before, after))
    assert list(annotate._moves(one, two)) == moves


def test_articles_go_together_by_text_whatever_their_ids() -> None:
    twin = marked("زار كريم مدينة فاس", "t1")
    other = marked("زار [PER كريم] مدينة فاس", "t2")
    result = review([Document(AFTER.text, AFTER.spans, "7"), other], [BEFORE, twin, other])
    assert [name for name, _ in result.articles] == ["7", "t2"]
    assert result.articles[1][1]["kept"] == 1, "of two articles of a text the one with the id"
    with pytest.raises(ValueError, match="none of the 1 corrected articles has the text of one of the 1"):
        review([twin], [BEFORE])


def test_what_the_corrections_do_not_annotate_does_not_count() -> None:
    kept = review([AFTER], [BEFORE], Declaration(frozenset({"PER", "LOC", "ORG"})))
    assert "DATE" not in kept.types
    assert kept.total["proposed"] == 4


def test_the_context_is_cut_at_whole_words() -> None:
    text = "كلمات " * 30 + "فاس\n" + "أخرى " * 30
    document = Document(text, [Span(180, 183, "LOC")], "c")
    [change] = review([document], [document.with_spans([])]).changes
    left, middle, right = change.around
    assert (middle, change.label) == ("فاس", "LOC")
    assert set(left.split()) == {"…كلمات", "كلمات"}
    assert set(right.split()) == {"أخرى", "أخرى…"}
    assert "\n" not in right
    # A word without end is cut, and blank lines around the article are not told as text that is left out.
    document = Document("\n" * 60 + "ك" * 60 + "فاس" + "\n" * 60, [Span(120, 123, "LOC")], "c")
    [change] = review([document], [document.with_spans([])]).changes
    assert change.around == ("…" + "ك" * 50, "فاس", "")


def test_review_in_the_terminal_and_as_json(tmp_path: Path, checkpoint: Path) -> None:
    after, before = tmp_path / "after.jsonl", tmp_path / "before.json"
    jsonl.write(after, [AFTER])
    annotate.write(before, [BEFORE], model_version="v1")
    code, shown = call("annotate", "review", after, before)
    assert code == 0
    assert "1 articles, 0 unchanged; 5 mentions proposed, 5 after correction: 40% of the proposed kept" in shown
    assert (
        "article \u2068r\u2069: edges: \u2068LOC\u2069 \u2068مدينة فاس\u2069 0.50 → \u2068LOC\u2069 \u2068فاس\u2069"
        in shown
    )
    assert "1 edges: start − \u2068مدينة\u2069" in shown
    for line in shown.splitlines():
        depth = 0
        for char in line:
            depth += (char == "\u2068") - (char == "\u2069")
            assert depth > 0 or not "\u0600" < char < "\u0700", f"Arabic outside an isolate: {line!r}"
        assert depth == 0
    code, shown = call("annotate", "review", after, before, "--json")
    assert json.loads(shown)["total"]["kept"] == 2
    code, shown = call("annotate", "review", after, before, "--list", "1")
    assert "changes (1 of 4)" in shown
    code, shown = call("annotate", "review", after, "--model", checkpoint, "--threshold", "0", "--json")
    assert code == 0
    assert json.loads(shown)["total"]["corrected"] == 5


def test_unchanged_articles_are_called_so() -> None:
    document = marked("في [LOC فاس]", "u")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lines = list(review([document], [scored(document)]).lines())
    assert lines[0].startswith("1 articles, 1 unchanged; 1 mentions proposed, 1 after correction: 100%")
    assert not any("most frequent" in line for line in lines)
