import itertools
import math

import pytest

from train.vocabulary import Lattice, choose


def segmentations(word: str) -> list[list[str]]:
    cuts = itertools.chain.from_iterable(itertools.combinations(range(1, len(word)), n) for n in range(len(word)))
    return [[word[a:b] for a, b in itertools.pairwise((0, *cut, len(word)))] for cut in cuts]


SCORES = {"ب": -2.0, "ا": -1.5, "ت": -3.0, "با": -2.5, "ات": -4.0, "بات": -5.0, "ز": -1.0}


def test_expected_counts_are_those_of_all_segmentations() -> None:
    word = "باتات"
    weighed = [
        (pieces, math.exp(sum(SCORES[piece] for piece in pieces)))
        for pieces in segmentations(word)
        if all(piece in SCORES for piece in pieces)
    ]
    total = sum(weight for _, weight in weighed)
    expected, likelihood = Lattice(SCORES).expect({word: 3, "خ": 5})
    assert likelihood == pytest.approx(3 * math.log(total))
    for piece in SCORES:
        assert expected[piece] == pytest.approx(3 * sum(w * p.count(piece) for p, w in weighed) / total), piece


def test_the_best_segmentation_and_the_best_without_a_piece() -> None:
    lattice = Lattice(SCORES)
    assert lattice.best("بات") == (["بات"], -5.0)
    assert lattice.best("بات", without="بات") == (["با", "ت"], -5.5)
    assert lattice.best("خ")[0] == []


def test_pieces_are_chosen_by_what_they_are_worth() -> None:
    words = {"▁مراكش": 50, "▁بمراكش": 20, "▁فاس": 30, "▁بفاس": 10, "▁نادر": 1}
    pieces = {word[a:b] for word in words for a in range(len(word)) for b in range(a + 1, len(word) + 1)}
    keep = set("".join(words))
    chosen = dict(choose(words, pieces, keep, len(keep) + 3))
    assert keep <= chosen.keys()
    assert chosen.keys() - keep == {"▁مراكش", "▁فاس", "▁بمراكش"}
    assert sum(math.exp(score) for score in chosen.values()) == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match="2 pieces are too few"):
        choose(words, pieces, keep, 2)
