"""Scores against brute force, seqeval and nervaluate, and the cases where those two are wrong."""

from __future__ import annotations

import itertools
import json
import pickle
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan import scoring
from kayan.document import Document, Span
from kayan.scoring import (
    STRATEGIES,
    Counts,
    Match,
    Particles,
    SpanScorer,
    bootstrap,
    bootstrap_per_type,
    conll_tags,
    match_boundary,
    match_partial,
    match_strict,
    match_type,
    resamples,
    unreachable,
)

TEXT = "نص " * 20
LABELS = ("PER", "LOC")


@st.composite
def mentions(draw: st.DrawFn, size: int = 5) -> list[Span]:
    """Any spans over a few characters: overlapping, nested and repeated ones included."""
    bounds = st.tuples(st.integers(0, 11), st.integers(1, 6), st.sampled_from(LABELS))
    return [Span(start, start + length, label) for start, length, label in draw(st.lists(bounds, max_size=size))]


def score(gold: Sequence[Span], predicted: Sequence[Span], text: str = TEXT, **options: Any) -> SpanScorer:
    scorer = SpanScorer(**options)
    scorer.add(Document(text, gold, "a"), Document(text, predicted, "a"))
    return scorer


def separate(rng: random.Random, words: int = 14) -> list[Span]:
    """Mentions of one to three whole words of two letters, none overlapping; word `i` is `[3i, 3i + 2)`."""
    spans, i = [], 0
    while i < words:
        length = rng.choice((1, 1, 2, 3))
        if rng.random() < 0.5 and i + length <= words:
            spans.append(Span(3 * i, 3 * (i + length) - 1, rng.choice(LABELS)))
        i += length
    return spans


WORDS = [(3 * i, 3 * i + 2) for i in range(20)]


def best_by_brute_force(gold: list[Span], predicted: list[Span]) -> tuple[float, int]:
    """The largest sum of intersection over union, and the largest number of overlapping pairs, over all matchings."""

    def iou(g: Span, p: Span) -> float:
        shared = len(set(range(g.start, g.end)) & set(range(p.start, p.end))) if g.label == p.label else 0
        return shared / len(set(range(g.start, g.end)) | set(range(p.start, p.end)))

    few, many = sorted((gold, predicted), key=len)
    rows = [[iou(a, b) for a, b in zip(few, some, strict=True)] for some in itertools.permutations(many, len(few))]
    return max(sum(row) for row in rows), max(sum(x > 0 for x in row) for row in rows)


def test_counts_add_and_divide() -> None:
    total = Counts(1, 2, 4)
    total += Counts(1, 1, 0)
    assert total == Counts(1, 1, 0) + Counts(1, 2, 4) == Counts(2, 3, 4)
    assert (total.precision, total.recall, total.f1) == pytest.approx((2 / 3, 0.5, 4 / 7))


def test_undefined_figures_are_zero() -> None:
    for counts in (Counts(), Counts(0, 3, 0), Counts(0, 0, 3)):
        assert (counts.precision, counts.recall, counts.f1) == (0.0, 0.0, 0.0)
    assert Particles().accuracy == Particles().accuracy_found == 0.0


@pytest.mark.parametrize(
    ("predicted", "strict", "boundary", "type_", "partial"),
    [
        (Span(2, 8, "PER"), 1, 1, 1, 1.0),
        (Span(2, 8, "LOC"), 0, 1, 0, 0.0),
        (Span(1, 8, "PER"), 0, 0, 1, 6 / 7),
        (Span(5, 11, "PER"), 0, 0, 1, 3 / 9),
        (Span(3, 5, "PER"), 0, 0, 1, 2 / 6),
        (Span(8, 11, "PER"), 0, 0, 0, 0.0),
        (Span(0, 2, "PER"), 0, 0, 0, 0.0),
    ],
    ids=["same", "label", "particle", "shifted", "inside", "touches-end", "touches-start"],
)
def test_credit_of_one_pair(predicted: Span, strict: int, boundary: int, type_: int, partial: float) -> None:
    scorer = score([Span(2, 8, "PER")], [predicted])
    found = [scorer.micro(name).correct for name in STRATEGIES]
    assert found == [strict, boundary, type_, pytest.approx(partial)]
    assert all(scorer.micro(name).predicted == scorer.micro(name).gold == 1 for name in STRATEGIES)


def test_one_prediction_over_two_mentions_is_one_pair() -> None:
    gold, predicted = [Span(0, 4, "ORG"), Span(5, 9, "ORG")], [Span(0, 9, "ORG")]
    assert match_type(gold, predicted) == [Match(0, 0, 1.0)]
    assert match_partial(gold, predicted) == [Match(0, 0, 4 / 9)]


def test_mentions_left_over_are_no_pair() -> None:
    # All four hang together through the first mention; the second overlaps neither prediction.
    gold, predicted = [Span(0, 6, "ORG"), Span(5, 12, "ORG")], [Span(0, 5, "ORG"), Span(1, 4, "ORG")]
    assert match_type(gold, predicted) == [Match(0, 0, 1.0)]
    assert match_partial(gold, predicted) == [Match(0, 0, 5 / 6)]


def test_partial_takes_the_best_matching_and_not_the_first() -> None:
    # The best single pair is mention 0 with prediction 1 (8/12); taking it first would leave nothing for the others.
    gold = [Span(0, 10, "ORG"), Span(6, 12, "ORG")]
    predicted = [Span(0, 5, "ORG"), Span(2, 12, "ORG")]
    assert match_partial(gold, predicted) == [Match(0, 0, 0.5), Match(1, 1, 0.6)]
    assert match_partial(gold[:1], predicted) == [Match(0, 1, 8 / 12)]


@settings(max_examples=150, deadline=None)
@given(mentions(), mentions())
def test_matching_is_one_to_one_and_optimal(gold: list[Span], predicted: list[Span]) -> None:
    for match in STRATEGIES.values():
        pairs = match(gold, predicted)
        assert len({pair.gold for pair in pairs}) == len({pair.predicted for pair in pairs}) == len(pairs)
    if gold and predicted:
        credit, pairs_possible = best_by_brute_force(gold, predicted)
        assert sum(pair.credit for pair in match_partial(gold, predicted)) == pytest.approx(credit)
        assert len(match_type(gold, predicted)) == pairs_possible


@settings(max_examples=150, deadline=None)
@given(mentions(), mentions())
def test_strategies_are_ordered(gold: list[Span], predicted: list[Span]) -> None:
    scorer = score(gold, predicted)
    strict, boundary, type_, partial = (scorer.micro(name).correct for name in STRATEGIES)
    assert strict <= boundary
    assert strict <= partial + 1e-9 <= type_ + 2e-9
    assert type_ <= min(len(set(gold)), len(set(predicted)))
    triples = [{(s.start, s.end, s.label) for s in side} for side in (gold, predicted)]
    assert strict == len(triples[0] & triples[1])
    assert (scorer.micro().gold, scorer.micro().predicted) == (len(triples[0]), len(triples[1]))


def test_large_tangle_is_solved_quickly() -> None:
    rng = random.Random(3)
    spans = [Span(a, a + rng.randint(20, 80), "ORG") for a in rng.choices(range(200), k=240)]
    begin = time.thread_time()
    pairs = match_partial(spans[:120], spans[120:])
    assert time.thread_time() - begin < 5
    assert len(pairs) > 100


def test_repeated_mentions_count_once_and_are_tallied() -> None:
    scorer = score([Span(2, 8, "PER")], [Span(2, 8, "PER"), Span(2, 8, "PER", score=0.4), Span(2, 8, "LOC")])
    assert scorer.micro() == Counts(1, 2, 1)
    assert scorer.micro("boundary") == Counts(1, 2, 1)
    assert scorer.not_counted["predicted_repeated"] == 1


def test_boundary_prefers_the_pair_with_the_same_label() -> None:
    assert match_boundary([Span(2, 8, "PER")], [Span(2, 8, "LOC"), Span(2, 8, "PER")]) == [Match(0, 1, 1.0)]
    assert match_strict([Span(2, 8, "PER")], [Span(2, 8, "LOC"), Span(2, 8, "PER")]) == [Match(0, 1, 1.0)]


def test_pairs_trace_back_to_the_spans_of_the_documents() -> None:
    gold = Document(TEXT, [Span(0, 2, "DATE"), Span(3, 5, "PER"), Span(6, 8, "LOC")], "a")
    predicted = Document(TEXT, [Span(3, 5, "PER"), Span(3, 5, "PER"), Span(6, 9, "LOC")], "a")
    pairs = SpanScorer(LABELS).add(gold, predicted)
    assert pairs["strict"] == [Match(1, 0, 1.0)]
    assert pairs["partial"] == [Match(1, 0, 1.0), Match(2, 2, 2 / 3)]


def test_another_text_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'hespress-7'"):
        SpanScorer().add(Document("نص", id="hespress-7"), Document("نص ", id="hespress-7"))


def test_labels_restrict_both_sides_and_say_so() -> None:
    scorer = score([Span(0, 2, "DATE"), Span(3, 5, "PER")], [Span(3, 5, "PER"), Span(6, 8, "MISC")], labels=LABELS)
    assert scorer.micro() == Counts(1, 1, 1)
    assert scorer.types == LABELS
    assert scorer.not_counted == {
        "gold_of_other_types": 1,
        "gold_repeated": 0,
        "predicted_of_other_types": 1,
        "predicted_repeated": 0,
    }


def test_macro_is_over_types_with_gold() -> None:
    scorer = score([Span(0, 2, "PER"), Span(3, 5, "LOC")], [Span(0, 2, "PER"), Span(6, 8, "MISC")])
    assert scorer.macro() == (0.5, 0.5, 0.5, 2)
    assert scorer.micro().f1 == 0.5
    assert scorer.per_type() == {"LOC": Counts(0, 0, 1), "MISC": Counts(0, 1, 0), "PER": Counts(1, 1, 1)}
    with pytest.raises(ValueError, match="no label"):
        scorer.per_type("boundary")
    with pytest.raises(ValueError, match="accepted are strict, boundary, type, partial"):
        scorer.micro("exact")


def test_empty_articles_and_no_articles() -> None:
    assert SpanScorer().array().shape == (0, 0, 3)
    assert SpanScorer().micro() == Counts()
    assert SpanScorer().macro() == (0.0, 0.0, 0.0, 0)
    scorer = score([], [])
    assert scorer.array().shape == (1, 0, 3)
    scorer += score([], [Span(0, 2, "PER")])
    assert scorer.micro() == Counts(0, 1, 0)
    json.dumps(SpanScorer().to_dict())
    with pytest.raises(ValueError, match="0 articles"):
        bootstrap(SpanScorer())


def many_articles(n: int, seed: int = 0) -> list[tuple[Document, Document]]:
    rng = random.Random(seed)
    pairs = []
    for i in range(n):
        gold = separate(rng)
        kept = [s for s in gold if rng.random() < 0.7] + separate(rng)[:1]
        pairs.append((Document(TEXT, gold, str(i)), Document(TEXT, kept, str(i))))
    return pairs


def test_scorers_add() -> None:
    articles = many_articles(30)
    whole, left, right = SpanScorer(), SpanScorer(), SpanScorer()
    for k, (gold, predicted) in enumerate(articles):
        whole.add(gold, predicted)
        (left if k < 12 else right).add(gold, predicted)
    total = left + right
    assert total.to_dict() == whole.to_dict()
    assert total.articles == whole.articles
    assert len(left.articles) == 12  # adding leaves the parts alone
    for name in STRATEGIES:
        np.testing.assert_array_equal(total.array(name), whole.array(name))
    left += right
    assert left.to_dict() == whole.to_dict()
    assert (SpanScorer(LABELS) + SpanScorer(LABELS)).types == LABELS
    with pytest.raises(ValueError, match="do not add"):
        SpanScorer(LABELS) + SpanScorer()


def scored(articles: Sequence[tuple[list[Span], list[Span]]]) -> SpanScorer:
    scorer = SpanScorer(LABELS)
    for i, (gold, predicted) in enumerate(articles):
        scorer.add(Document(TEXT, gold, str(i)), Document(TEXT, predicted, str(i)))
    return scorer


@given(st.lists(st.tuples(mentions(), mentions()), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_articles_changes_nothing(
    articles: list[tuple[list[Span], list[Span]]], rng: random.Random
) -> None:
    other = rng.sample(articles, len(articles))
    # Partial credits are sums of fractions.
    for name in STRATEGIES:
        assert vars(scored(articles).micro(name)) == pytest.approx(vars(scored(other).micro(name)))


@given(st.lists(mentions(), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_gold_against_itself_is_perfect_in_every_mode(articles: list[list[Span]]) -> None:
    scorer = scored([(spans, spans) for spans in articles])
    for name in STRATEGIES:
        assert scorer.micro(name).f1 == pytest.approx(1.0 if any(articles) else 0.0)


@given(st.lists(st.tuples(mentions(), mentions()), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_sides_swapped_swap_precision_and_recall(articles: list[tuple[list[Span], list[Span]]]) -> None:
    one, other = scored(articles), scored([(predicted, gold) for gold, predicted in articles])
    for name in STRATEGIES:
        here, there = one.micro(name), other.micro(name)
        assert (here.precision, here.recall, here.f1) == pytest.approx((there.recall, there.precision, there.f1))


def test_arrays_are_the_counts_of_each_article() -> None:
    scorer = SpanScorer(("PER", "LOC"))
    for gold, predicted in many_articles(20):
        scorer.add(gold, predicted)
    for name in ("strict", "type", "partial"):
        array = scorer.array(name)
        assert array.shape == (20, 2, 3)
        for k, (gold, predicted) in enumerate(many_articles(20)):
            alone = score(gold.spans, predicted.spans, labels=("PER", "LOC")).per_type(name)
            assert [Counts(*row) for row in array[k]] == list(alone.values())


def test_to_dict_is_json_and_says_mode_and_unit() -> None:
    figures = json.loads(json.dumps(score([Span(2, 8, "PER")], [Span(1, 8, "PER")]).to_dict()))
    assert "code points" in figures["unit"]
    assert figures["character_span_strict"]["micro"]["f1"] == 0.0
    assert figures["character_span_partial"]["micro"]["correct"] == pytest.approx(6 / 7)
    assert figures["character_span_partial"]["per_type"]["PER"]["correct"] == pytest.approx(6 / 7)
    assert figures["character_span_type"]["per_type"]["PER"] == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "correct": 1,
        "predicted": 1,
        "gold": 1,
    }
    assert figures["character_span_type"]["macro_over_types_with_gold"] == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "types": 1,
    }
    assert set(figures["character_span_boundary"]) == {"micro"}
    assert (figures["articles"], figures["types"]) == (1, ["PER"])
    assert figures["mentions_not_counted"] == {
        "gold_of_other_types": 0,
        "gold_repeated": 0,
        "predicted_of_other_types": 0,
        "predicted_repeated": 0,
    }
    assert figures["proclitic"] == {
        "unit": "gold mention behind an attached particle",
        "accuracy": 0.0,
        "accuracy_found": 0.0,
        "particles_right": 0,
        "particles_found": 0,
        "particles_total": 0,
    }
    assert len(figures) == 5 + len(STRATEGIES)


def test_particles() -> None:
    text = "سافر بمراكش وببغداد وللأمم ثم تونس"
    spans = {
        name: Span(text.index(name), text.index(name) + len(name), "LOC") for name in ("مراكش", "بغداد", "لأمم", "تونس")
    }
    gold = Document(text, spans.values())
    glued = Span(spans["بغداد"].start - 1, spans["بغداد"].end, "LOC")
    wrong_type = Span(spans["لأمم"].start, spans["لأمم"].end, "ORG")
    scorer = SpanScorer()
    scorer.add(gold, Document(text, [spans["مراكش"], glued, wrong_type, spans["تونس"]]))
    assert scorer.particles == Particles(right=1, found=2, total=3)
    assert scorer.particles.accuracy == pytest.approx(1 / 3)
    assert scorer.particles.accuracy_found == 0.5
    # A right start is enough, the end is another matter.
    scorer += score([spans["مراكش"]], [Span(spans["مراكش"].start, spans["مراكش"].end - 2, "LOC")], text)
    assert scorer.particles == Particles(2, 3, 4)
    # A mention that begins a word early says nothing about the cut.
    scorer += score([spans["مراكش"]], [Span(0, spans["مراكش"].end, "LOC")], text)
    assert scorer.particles == Particles(2, 3, 5)


def test_bootstrap_equals_resampling_one_by_one() -> None:
    scorer, articles = SpanScorer(), many_articles(25)
    for gold, predicted in articles:
        scorer.add(gold, predicted)
    values = []
    for draw in np.concatenate(list(resamples(25, 200, seed=5))):
        again = SpanScorer()
        for k, times in enumerate(draw):
            for _ in range(times):
                again.add(*articles[k])
        values.append(again.micro().f1)
    low, high = bootstrap(scorer, 200, seed=5, level=0.9)
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])))
    assert low < scorer.micro().f1 < high


def test_bootstrap_depends_on_the_seed_alone() -> None:
    scorer = SpanScorer()
    for gold, predicted in many_articles(1000):
        scorer.add(gold, predicted)
    begin = time.thread_time()
    interval = bootstrap(scorer)
    # About a third of a second of the processor; the bound tells a loop over mentions, not a slow machine.
    assert time.thread_time() - begin < 4
    assert bootstrap(scorer, 500, seed=1) == bootstrap(scorer, 500, seed=1) != bootstrap(scorer, 500, seed=2)
    assert interval[0] < scorer.micro().f1 < interval[1]
    narrow = bootstrap(scorer, 2000, level=0.5)
    assert interval[0] < narrow[0] < narrow[1] < interval[1]
    assert bootstrap(score([Span(2, 8, "PER")], [Span(2, 8, "PER")]), 50) == (1.0, 1.0)
    assert bootstrap(score([], []), 50) == (0.0, 0.0)


def test_resamples_are_whole_draws() -> None:
    blocks = list(resamples(3000, 3000, seed=0))
    assert len(blocks) > 1  # memory stays bounded
    assert sum(len(block) for block in blocks) == 3000
    assert all((block.sum(axis=1) == 3000).all() for block in blocks)


def test_conll_tags_of_words_that_hold_particles() -> None:
    text = "وصل بمراكش محمد السادس والرباط"
    words = [(0, 3), (4, 10), (11, 15), (16, 22), (23, 30)]
    spans = [Span(5, 10, "LOC"), Span(11, 22, "PER"), Span(24, 30, "LOC")]
    assert [text[a:b] for a, b in words][1] == "بمراكش"
    assert conll_tags(words, spans) == ["O", "B-LOC", "B-PER", "I-PER", "B-LOC"]
    assert unreachable(words, spans) == []


def test_conll_tags_give_a_word_to_the_larger_share() -> None:
    words = [(0, 10), (11, 15)]
    spans = [Span(0, 3, "ORG"), Span(4, 10, "PER"), Span(10, 11, "LOC"), Span(11, 15, "PER")]
    assert conll_tags(words, spans) == ["B-PER", "B-PER"]
    assert unreachable(words, spans) == [spans[0], spans[2]]
    assert conll_tags([(0, 6)], [Span(3, 6, "PER"), Span(0, 3, "ORG")]) == ["B-ORG"]
    assert conll_tags([(0, 1), (1, 2)], [Span(0, 2, "PER")]) == ["B-PER", "I-PER"]
    assert conll_tags([], spans) == []
    assert unreachable([], spans) == spans


@given(mentions())
def test_conll_tags_are_well_formed(spans: list[Span]) -> None:
    words = [(0, 3), (3, 4), (5, 9), (9, 11), (12, 16)]
    tags = conll_tags(words, spans)
    for before, tag in itertools.pairwise(["O", *tags]):
        assert tag[0] != "I" or before in (f"B-{tag[2:]}", tag)
    distinct = {(s.start, s.end, s.label) for s in spans}
    lost = {(s.start, s.end, s.label) for s in unreachable(words, spans)}
    assert sum(tag[0] == "B" for tag in tags) == len(distinct - lost)


def test_importing_scoring_stays_light() -> None:
    code = (
        "import sys, kayan.scoring as s; print({'evaluate', 'datasets', 'seqeval', 'torch'} & set(sys.modules), s.Span)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert run.stdout.startswith("set()"), run.stderr


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evaluate", None)
    monkeypatch.delitem(vars(scoring), "SeqevalStrict", raising=False)
    with pytest.raises(ImportError, match=r"pip install kayan\[eval\]"):
        from kayan.scoring import SeqevalStrict  # noqa: F401
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(scoring, "nothing")  # noqa: B009


@pytest.fixture(scope="module")
def metric() -> type[Any]:
    pytest.importorskip("evaluate")
    pytest.importorskip("seqeval")
    vars(scoring).pop("SeqevalStrict", None)  # made anew, by the code under test, whoever asked for it before
    return scoring.SeqevalStrict


def tag_sequences(n: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    rng = random.Random(seed)
    gold = [separate(rng) for _ in range(n)]
    found = [[s for s in spans if rng.random() < 0.6] or separate(rng) for spans in gold]
    return [conll_tags(WORDS, s) for s in gold], [conll_tags(WORDS, s) for s in found]


def test_metric_is_an_evaluate_metric(metric: type[Any]) -> None:
    import evaluate

    assert issubclass(metric, evaluate.Metric)
    assert metric is scoring.SeqevalStrict
    with pytest.raises(ValueError, match="'strict' or 'default'"):
        metric(mode="IOB2")


@pytest.mark.parametrize("seed", range(4))
def test_strict_scores_equal_seqeval(metric: type[Any], seed: int) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    references, predictions = tag_sequences(30, seed)
    scores = metric().compute(predictions=predictions, references=references)
    for name, function in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert scores[f"overall_{name}"] == pytest.approx(function(references, predictions, mode="strict", scheme=IOB2))
    # With one word a token and well-formed tags, spans of characters and spans of tokens are the same thing.
    spans = SpanScorer()
    for gold, found in zip(references, predictions, strict=True):
        spans.add(*(Document(TEXT, spans_of(tags)) for tags in (gold, found)))
    assert spans.micro().f1 == pytest.approx(scores["overall_f1"])
    assert spans.micro().gold == scores["overall_number"]
    for label, counts in spans.per_type().items():
        row = scores["per_type"][label]
        assert (counts.precision, counts.recall, counts.f1) == pytest.approx(
            (row["precision"], row["recall"], row["f1"])
        )
        assert counts.gold == row["number"]
    assert metric("default").compute(predictions=predictions, references=references)["overall_f1"] == pytest.approx(
        scores["overall_f1"]
    )


def tag_pairs(tags: list[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.lists(st.tuples(*[st.sampled_from(["O"] * 4 + tags)] * 2), min_size=1)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(
        [("strict", ["B-PER", "I-PER", "B-LOC", "I-LOC"]), ("default", ["B-PER", "I-PER", "I-LOC", "E-LOC"])]
    ),
    st.data(),
)
def test_stretches_between_mentions_read_once_are_those_of_seqeval(
    metric: type[Any], case: tuple[str, list[str]], data: st.DataObject
) -> None:
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    mode, tags = case
    sentences = data.draw(st.lists(tag_pairs(tags), min_size=1, max_size=4)) * 2
    references, predictions = ([[pair[side] for pair in pairs] for pairs in sentences] for side in (0, 1))
    scores = metric(mode).compute(predictions=predictions, references=references)
    options = {"mode": "strict", "scheme": IOB2} if mode == "strict" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = classification_report(references, predictions, output_dict=True, zero_division=0, **options)
    rows = {"micro avg": {name: scores[f"overall_{name}"] for name in ("precision", "recall", "f1", "number")}}
    for name, row in {**rows, **scores["per_type"]}.items():
        theirs = [expected[name][figure] for figure in ("precision", "recall", "f1-score", "support")]
        assert [row[figure] for figure in ("precision", "recall", "f1", "number")] == pytest.approx(theirs)
    assert scores["per_type"].keys() == expected.keys() - {"micro avg", "macro avg", "weighted avg"}


def spans_of(tags: list[str]) -> list[Span]:
    """The mentions of well-formed IOB2 tags over `WORDS`."""
    spans: list[Span] = []
    for (start, end), tag in zip(WORDS, tags, strict=True):
        if tag[0] == "B":
            spans.append(Span(start, end, tag[2:]))
        elif tag[0] == "I":
            spans[-1] = Span(spans[-1].start, end, tag[2:])
    return spans


ORPHANS = (
    [["B-PER", "O", "B-LOC", "O", "B-ORG", "O", "B-PER"]],
    [["I-PER", "O", "I-LOC", "O", "I-PER", "O", "O"]],
)


def test_scheme_without_strict_is_ignored_by_seqeval_and_not_here(metric: type[Any]) -> None:
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    references, predictions = ORPHANS
    assert f1_score(references, predictions, scheme=IOB2) == pytest.approx(0.571, abs=1e-3)
    default = metric(mode="default").compute(predictions=predictions, references=references)
    strict = metric().compute(predictions=predictions, references=references)
    assert default["overall_f1"] == pytest.approx(0.571, abs=1e-3)
    assert strict["overall_f1"] == 0.0
    named = {key: strict[key] for key in ("mode", "scheme", "average", "unit")}
    assert named == {"mode": "strict", "scheme": "IOB2", "average": "micro", "unit": "token span"}
    assert (default["mode"], default["scheme"]) == ("default", "conlleval")


def test_orphan_tags_raise_the_support_of_default_only_and_strict_may_be_higher(metric: type[Any]) -> None:
    references = [["B-PER", "O", "I-PER"]]
    assert metric("default").compute(predictions=references, references=references)["overall_number"] == 2
    assert metric().compute(predictions=references, references=references)["overall_number"] == 1
    sides = {"predictions": [["B-PER", "O", "I-LOC"]], "references": [["B-PER", "O", "O"]]}
    assert metric().compute(**sides)["overall_f1"] == 1.0 > metric("default").compute(**sides)["overall_f1"]


def test_no_noise_and_no_failure_on_odd_input(metric: type[Any], capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mode in ("strict", "default"):
            odd: list[list[list[str]]] = [[], [[]], [["O"]], [["I-PER", "B", "I-LOC"]]]
            for side in odd:
                scores = metric(mode).compute(predictions=side, references=[["O"] * len(tags) for tags in side])
                assert scores["overall_f1"] == 0.0
    assert capfd.readouterr().err == ""


def test_bad_tags_and_lengths_are_named(metric: type[Any]) -> None:
    with pytest.raises(ValueError, match="sentence 2: unknown tag 'E-PER'; accepted are O, B-X, I-X"):
        metric().compute(predictions=[["O"], ["E-PER"]], references=[["O"], ["O"]])
    with pytest.raises(ValueError, match="sentence 1 has 2 reference tags, 1 predicted"):
        metric().compute(predictions=[["O"]], references=[["O", "O"]])


def test_metric_adds_pickles_and_leaves_no_file(metric: type[Any], tmp_path: Path) -> None:
    references, predictions = tag_sequences(6, 9)
    whole = metric(cache_dir=str(tmp_path / "cache")).compute(predictions=predictions, references=references)
    step = pickle.loads(pickle.dumps(metric(cache_dir=str(tmp_path / "cache"))))
    step.add(prediction=predictions[0], reference=references[0])
    step.add_batch(predictions=predictions[1:4], references=references[1:4])
    step.add_batch(predictions=predictions[4:], references=references[4:])
    assert step.compute() == whole
    assert step.compute(predictions=predictions, references=references) == whole  # and starts afresh
    assert list(tmp_path.iterdir()) == []
    json.dumps(whole)


def nervaluate_counts(gold: Sequence[Span], predicted: Sequence[Span], inclusive: bool = True) -> dict[str, Any]:
    evaluator = pytest.importorskip("nervaluate")

    def entities(spans: Sequence[Span]) -> list[dict[str, Any]]:
        return [{"label": s.label, "start": s.start, "end": s.end - inclusive} for s in spans]

    found: dict[str, Any] = evaluator.Evaluator(
        [entities(gold)], [entities(predicted)], tags=list(LABELS), loader="dict"
    ).evaluate()
    return found


@pytest.mark.parametrize("seed", range(20))
def test_strict_and_boundary_equal_nervaluate_with_inclusive_ends(seed: int) -> None:
    rng = random.Random(seed)
    gold = separate(rng)
    predicted = [s for s in gold if rng.random() < 0.5] or separate(rng)
    scorer, theirs = score(gold, predicted), nervaluate_counts(gold, predicted)["overall"]
    for ours, name in (("strict", "strict"), ("boundary", "exact")):
        counts = scorer.micro(ours)
        assert (counts.correct, counts.predicted, counts.gold) == (
            theirs[name].correct,
            theirs[name].actual,
            theirs[name].possible,
        )
        assert (counts.precision, counts.recall) == pytest.approx((theirs[name].precision, theirs[name].recall))


@pytest.mark.parametrize("seed", range(10))
def test_type_equals_nervaluate_where_each_mention_meets_one_prediction(seed: int) -> None:
    rng = random.Random(seed)
    gold = separate(rng)
    predicted = [Span(s.start + rng.randint(0, 1), s.end, s.label) for s in gold if rng.random() < 0.8]
    theirs = nervaluate_counts(gold, predicted)["entities"]
    for label, counts in score(gold, predicted).per_type("type").items():
        row = theirs[label]["ent_type"]
        assert (counts.correct, counts.predicted, counts.gold) == (row.correct, row.actual, row.possible)


def test_touching_spans_share_nothing_whatever_nervaluate_says() -> None:
    gold, predicted = [Span(0, 5, "PER")], [Span(5, 9, "PER")]
    theirs = nervaluate_counts(gold, predicted, inclusive=False)["overall"]
    assert (theirs["partial"].precision, theirs["ent_type"].precision) == (0.5, 1.0)
    scorer = score(gold, predicted)
    assert scorer.micro("partial").correct == scorer.micro("type").correct == 0


def test_type_finds_both_pairs_where_nervaluate_is_greedy() -> None:
    gold = [Span(0, 4, "PER"), Span(5, 10, "PER")]
    predicted = [Span(3, 8, "PER"), Span(8, 12, "PER")]
    assert nervaluate_counts(gold, predicted)["overall"]["ent_type"].correct == 1
    assert score(gold, predicted).micro("type").correct == 2


def test_a_wrong_label_does_not_use_up_a_mention_as_in_nervaluate() -> None:
    gold, predicted = [Span(0, 10, "PER")], [Span(0, 4, "LOC"), Span(5, 10, "PER")]
    assert nervaluate_counts(gold, predicted)["overall"]["ent_type"].correct == 0
    assert score(gold, predicted).micro("type").correct == 1


def test_intervals_of_types_come_from_the_same_draws() -> None:
    scorer = SpanScorer(("PER", "LOC"))
    for i in range(12):
        gold = Document("علي فاس", [Span(0, 3, "PER"), *([Span(4, 7, "LOC")] if i % 3 else [])], str(i))
        scorer.add(gold, gold.with_spans([Span(0, 3, "PER")] if i % 2 else []))
    one_type = SpanScorer(("PER",))
    for i in range(12):
        gold = Document("علي فاس", [Span(0, 3, "PER")], str(i))
        one_type.add(gold, gold.with_spans([Span(0, 3, "PER")] if i % 2 else []))
    intervals = bootstrap_per_type(scorer, n=300)
    assert intervals["PER"] == pytest.approx(bootstrap(one_type, n=300))
    assert intervals["LOC"] == (0, 0)
