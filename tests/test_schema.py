import numpy as np
import pytest

from kayan import Declaration, Schema, SchemaError
from kayan.schema import TagSets

SCHEMA = Schema(("PER", "LOC", "DATE"))


def admitted(tags: str, declaration: Declaration) -> list[str]:
    sets = TagSets(SCHEMA)
    ids = sets.admissible(tags.split(), declaration)
    return [" ".join(np.array(SCHEMA.tags)[sets.table[i]]) for i in ids]


def test_tags_and_transitions() -> None:
    assert SCHEMA.tags == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-DATE", "I-DATE")
    allowed = SCHEMA.transitions
    ids = SCHEMA.tag_ids
    assert allowed[ids["B-PER"], ids["I-PER"]]
    assert allowed[ids["I-PER"], ids["I-PER"]]
    assert not allowed[ids["O"], ids["I-PER"]]
    assert not allowed[ids["B-LOC"], ids["I-PER"]]
    assert allowed[:, ids["O"]].all()
    assert not SCHEMA.starts[ids["I-LOC"]]


def test_schema_from_tags_wants_this_order() -> None:
    assert Schema.from_tags(SCHEMA.tags) == SCHEMA
    with pytest.raises(SchemaError, match="in this order"):
        Schema.from_tags(["O", "I-PER", "B-PER"])


@pytest.mark.parametrize("types", [(), ("PER", "PER"), ("O",), ("B-PER",), (" PER",)])
def test_types_that_make_no_schema(types: tuple[str, ...]) -> None:
    with pytest.raises(SchemaError):
        Schema(types)


def test_an_unknown_label_names_the_nearest_type() -> None:
    with pytest.raises(SchemaError, match=r"unknown label 'PERS': the types are PER LOC DATE; did you mean PER\?"):
        SCHEMA.check("PERS")


def test_a_full_annotation_admits_the_tag_alone() -> None:
    assert admitted("O B-PER I-PER", Declaration()) == ["O", "B-PER", "I-PER"]
    sets = TagSets(SCHEMA)
    assert sets.admissible(["O", "B-LOC"], Declaration()) == [0, SCHEMA.tag_ids["B-LOC"]]
    assert (sets.table == np.eye(7, dtype=bool)).all()


def test_outside_says_nothing_of_types_that_the_corpus_does_not_annotate() -> None:
    assert admitted("O B-PER", Declaration(frozenset(["PER", "LOC"]))) == ["O B-DATE I-DATE", "B-PER"]


def test_unread_labels() -> None:
    unread = Declaration(frozenset(["PER", "LOC"]), labels={"MISC": None})
    assert admitted("B-MISC I-MISC B-LOC", unread) == ["O B-DATE I-DATE", "O B-DATE I-DATE", "B-LOC"]


def test_a_type_that_counts_as_another_may_be_it_but_not_outside() -> None:
    # With EVENT open both in MISC and in «O», a model learns to put every doubt there.
    folded = Declaration(frozenset(["PER", "LOC"]), counts_as={"DATE": "LOC"})
    assert admitted("O B-LOC I-LOC B-PER", folded) == ["O", "B-LOC B-DATE", "I-LOC I-DATE", "B-PER"]


def test_a_declaration_of_unknown_types_is_refused() -> None:
    with pytest.raises(SchemaError, match="EVENT"):
        Declaration(frozenset(["EVENT"])).check(SCHEMA)
    with pytest.raises(SchemaError, match="MISC"):
        Declaration(counts_as={"DATE": "MISC"}).check(SCHEMA)
    Declaration(frozenset(["PER"]), labels={"PERS": "PER", "X": None}, counts_as={"DATE": "PER"}).check(SCHEMA)
