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
    assert viterbi([], SCHEMA) == []


def one_article(text: str, words: list[tuple[int, int]], rows: list[list[float]], counts: list[list[float]] | None):
    encoded = Encoded(words, np.arange(len(words)), np.arange(len(words)), [(0, len(words))])
    particles = None if counts is None else [np.array(counts, dtype=np.float32)]
    return decode([text], [encoded], [np.array(rows, dtype=np.float32)], particles, SCHEMA)[0]


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


def test_the_score_is_the_least_certain_decision() -> None:
    p = np.array([[0.1, 0.9, 0, 0, 0], [0.2, 0, 0.8, 0, 0], [0.7, 0, 0.3, 0, 0]]) + 1e-12
    assert span_score(np.log(p), 0, 2, 1, 0.0) == pytest.approx(0.7)
    assert span_score(np.log(p), 0, 2, 1, np.log(0.6)) == pytest.approx(0.6)
    assert span_score(np.log(p[:2]), 0, 2, 1, 0.0) == pytest.approx(0.8)


def test_a_higher_temperature_is_less_sure() -> None:
    logits = np.array([[3.0, 0.0]])
    assert log_softmax(logits, 2.0).max() < log_softmax(logits, 1.0).max()
    assert np.exp(log_softmax(logits)).sum() == pytest.approx(1)
