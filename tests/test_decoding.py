import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan.decoding import decode, log_softmax, span_score, viterbi
from kayan.encoding import Encoded
from kayan.schema import Schema

SCHEMA = Schema(("PER", "LOC"))


def best_by_trying_all(emissions: np.ndarray) -> float:
    scores = []
    for path in itertools.product(range(5), repeat=len(emissions)):
        if SCHEMA.starts[path[0]] and all(SCHEMA.transitions[a, b] for a, b in itertools.pairwise(path)):
            scores.append(sum(emissions[i, tag] for i, tag in enumerate(path)))
    return max(scores)


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_viterbi_finds_the_best_admissible_path(seed: int, length: int) -> None:
    emissions = np.random.default_rng(seed).normal(size=(length, 5))
    [path] = viterbi([emissions], SCHEMA)
    assert SCHEMA.starts[path[0]]
    assert all(SCHEMA.transitions[a, b] for a, b in itertools.pairwise(path))
    assert emissions[np.arange(length), path].sum() == pytest.approx(best_by_trying_all(emissions))


def test_a_batch_is_decoded_as_its_articles_alone() -> None:
    rng = np.random.default_rng(0)
    emissions = [rng.normal(size=(n, 5)) for n in (7, 0, 3, 12, 1, 7)]
    together = viterbi(emissions, SCHEMA)
    for alone, path in zip(emissions, together, strict=True):
        assert viterbi([alone], SCHEMA)[0].tolist() == path.tolist()
        assert path.dtype == np.int64
    assert viterbi([], SCHEMA) == []


def one_article(
    text: str, words: list[tuple[int, int]], rows: list[list[float]], counts: list[list[float]] | None, **options: float
):
    encoded = Encoded(words, np.arange(len(words)), np.arange(len(words)), [(0, len(words))])
    particles = None if counts is None else [np.array(counts, dtype=np.float32)]
    return decode([text], [encoded], [np.array(rows, dtype=np.float32)], particles, SCHEMA, **options)[0]


def test_an_orphan_inside_tag_is_never_returned() -> None:
    # The second word alone would be I-PER; the best admissible reading makes the pair a mention or nothing.
    spans = one_article("زار كريم", [(0, 3), (4, 8)], [[2, 1.5, 0, 0, 0], [0, 0, 3, 0, 0]], None)
    assert [(span.start, span.end, span.label) for span in spans] == [(0, 8, "PER")]


def test_no_particle_is_cut_after_a_preposition() -> None:
    rows, counts = [[9, 0, 0, 0, 0], [0, 0, 0, 9, 0]], [[9, 0, 0, 0], [0, 9, 0, 0]]
    for text, expected in [("من لشبونة", "لشبونة"), ("ومِن لشبونة", "لشبونة"), ("زار لشبونة", "شبونة")]:
        end = text.index(" ")
        [span] = one_article(text, [(0, end), (end + 1, len(text))], rows, counts)
        assert text[span.start : span.end] == expected
    [span] = one_article("في: بفاس", [(0, 2), (2, 3), (4, 8)], [rows[0], *rows], [counts[0], *counts])
    assert span.start == 5, "a colon stands between"


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("جمعية “ أمل ”", "BIBO", ["جمعية", "أمل"]),
        ("مؤتمر ( كوب )", "BIIO", ["مؤتمر ( كوب )"]),
        ('صندوق " أمل "', "BIIO", ['صندوق " أمل "']),
        ("( كوب )", "OBO", ["كوب"]),
        ("( كوب )", "BIO", ["( كوب )"]),
        ("زار جمعية “ أمل", "OBIB", ["جمعية", "أمل"]),
        ("قال “ كوب", "OBO", ["“"]),
        ('صندوق " " "', "BIII", ['صندوق " "']),
        ("صندوق ) ( (", "BIII", ["صندوق ) ("]),
        ("صندوق « أمل )", "BIIO", ["صندوق « أمل"]),
        ("“ كوب”", "BO", ["“"]),
    ],
)
def test_quotations_and_brackets_close(text: str, tags: str, expected: list[str]) -> None:
    words = [(found.start(), found.end()) for found in re.finditer(r"\w+|[^\w\s]", text)][: len(tags)]
    rows = [[9.0 * (tag == name) for name in "OBI"] + [0, 0] for tag in tags]
    assert [text[span.start : span.end] for span in one_article(text, words, rows, None)] == expected


def test_particles_are_cut_only_where_the_letters_allow() -> None:
    text, words = "بمراكش مراكش", [(0, 6), (7, 12)]
    rows = [[0, 0, 0, 9, 0], [0, 0, 0, 9, 0]]
    spans = one_article(text, words, rows, [[0, 5, 0, 0], [0, 5, 0, 0]])
    assert [text[s.start : s.end] for s in spans] == ["مراكش", "مراكش"]


def test_words_without_a_sub_word_stand_only_inside_a_mention() -> None:
    nan = [float("nan")] * 5
    rows = [[0, 9, 0, 0, 0], nan, [0, 0, 9, 0, 0], nan]
    spans = one_article("أ ب ج د", [(0, 1), (2, 3), (4, 5), (6, 7)], rows, None)
    assert [(span.start, span.end) for span in spans] == [(0, 5)]


@pytest.mark.parametrize(
    ("first", "stop", "certainty", "expected"),
    [
        (0, 1, 0.0, 0.1),  # its first tag
        (1, 3, 0.0, 0.8),  # its second
        (1, 2, 0.0, 0.2),  # its end: the next word likely continues it
        (1, 3, np.log(0.5), 0.5),  # its particles
        (3, 4, 0.0, 0.55),  # at the end of the article
    ],
)
def test_the_score_is_the_least_certain_decision(first: int, stop: int, certainty: float, expected: float) -> None:
    p = np.array([[0.7, 0.1, 0.2, 0, 0], [0.1, 0.9, 0, 0, 0], [0.2, 0, 0.8, 0, 0], [0.35, 0.55, 0.1, 0, 0]]) + 1e-12
    assert span_score(np.log(p), first, stop, 1, certainty) == pytest.approx(expected)


def test_scores_are_at_the_temperature() -> None:
    # Of the four particle counts, «بفاس» leaves 0 and 1.
    tags, counts = [[0, 3, 0, 0, 0]], [[2, 0, 50, 50]]
    for temperature in (1.0, 2.0):
        tag, count = (np.exp(x / temperature) for x in (3, 2))
        for chosen, rows, expected in (
            (None, tags, tag / (tag + 4)),
            (counts, [[0, 99, 0, 0, 0]], count / (count + 1)),
        ):
            [span] = one_article("بفاس", [(0, 4)], rows, chosen, temperature=temperature)
            assert span.score == pytest.approx(expected)
            assert temperature > 1 or span == one_article("بفاس", [(0, 4)], rows, chosen)[0], "1 if none is given"


def test_log_softmax_normalises_the_last_axis_alone() -> None:
    logits = np.array([[1000, 1000, -1000], [0, np.log(3), 0]], dtype=np.float32)
    for shape in ((2, 3), (1, 2, 3)):
        found = log_softmax(logits.reshape(shape))
        assert found.dtype == np.float64
        assert np.exp(found) == pytest.approx(np.reshape([0.5, 0.5, 0, 0.2, 0.6, 0.2], shape))
    assert log_softmax(logits, 2.0) == pytest.approx(log_softmax(logits / 2))


def test_texts_and_logits_go_together() -> None:
    encoded = Encoded([(0, 3)], np.arange(1), np.arange(1), [(0, 1)])
    with pytest.raises(ValueError, match="shorter"):
        decode(["فاس", "وجدة"], [encoded], [np.zeros((1, 5))], None, SCHEMA)
    assert decode([""], [Encoded([], np.arange(0), np.arange(0), [(0, 0)])], [np.zeros((0, 5))], None, SCHEMA) == [[]]
