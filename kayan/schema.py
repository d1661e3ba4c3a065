"""Entity types, BIO tags, and which tags a corpus leaves admissible for a word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

OUTSIDE = "O"


class SchemaError(ValueError):
    """Labels that do not fit the entity types; the message names them and what is accepted."""


@dataclass(frozen=True)
class Schema:
    """The entity types of a model, in a fixed order, and their IOB2 tags.

    >>> Schema(("PER", "LOC")).tags
    ('O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC')
    """

    types: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.types or len(set(self.types)) != len(self.types):
            raise SchemaError(f"entity types must be a non-empty list without repetition, not {list(self.types)}")
        for name in self.types:
            if not name or name == OUTSIDE or name != name.strip() or name.startswith(("B-", "I-")):
                raise SchemaError(f"{name!r} cannot name an entity type")

    @classmethod
    def from_tags(cls, tags: Sequence[str]) -> Schema:
        """The schema whose `tags` are exactly these, in this order; `SchemaError` if no schema has them."""
        types = tuple(tag[2:] for tag in tags if tag.startswith("B-"))
        if types and (schema := cls(types)).tags == tuple(tags):
            return schema
        raise SchemaError(f"labels must be O, B-X, I-X, B-Y, I-Y, … in this order, not {list(tags)}")

    @cached_property
    def tags(self) -> tuple[str, ...]:
        return (OUTSIDE, *(f"{prefix}-{name}" for name in self.types for prefix in "BI"))

    @cached_property
    def tag_ids(self) -> dict[str, int]:
        return {tag: i for i, tag in enumerate(self.tags)}

    @cached_property
    def transitions(self) -> np.ndarray:
        """Boolean (tags, tags): whether the second may follow the first. I-X follows only B-X and I-X."""
        allowed = np.ones((len(self.tags), len(self.tags)), dtype=bool)
        for i in range(2, len(self.tags), 2):
            allowed[:, i] = False
            allowed[i - 1 : i + 1, i] = True
        return allowed

    @cached_property
    def starts(self) -> np.ndarray:
        """Boolean (tags,): whether an article may begin with the tag."""
        return np.array([not tag.startswith("I-") for tag in self.tags])

    def check(self, label: str) -> None:
        """Raise `SchemaError` naming the nearest type when `label` is none of them."""
        if label not in self.types:
            near = difflib.get_close_matches(label.upper(), self.types, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SchemaError(f"unknown label {label!r}: the types are {' '.join(self.types)}{hint}")


@dataclass(frozen=True)
class Declaration:
    """What a corpus annotates.

    annotates: the types it marks wherever they occur; None means all of the schema's.
    proclitics: whether its mentions leave attached particles outside («بمراكش» → «مراكش»).
    labels: its label → the schema's type, or None for labels to leave unread ("something else or nothing").
    counts_as: a type of the schema that the corpus does not know → the type under which it marks it (what is EVENT
        elsewhere is its MISC). Its MISC may then be either, its «O» neither, and EVENT is scored as MISC.
    """

    annotates: frozenset[str] | None = None
    proclitics: bool = True
    labels: Mapping[str, str | None] = field(default_factory=dict)
    counts_as: Mapping[str, str] = field(default_factory=dict)

    @property
    def unread(self) -> frozenset[str]:
        """Its labels that say "something else or nothing"."""
        return frozenset(label for label, to in self.labels.items() if to is None)

    def annotated(self, schema: Schema) -> tuple[str, ...]:
        """The schema's types that the corpus marks, in the schema's order."""
        return tuple(name for name in schema.types if self.annotates is None or name in self.annotates)

    def check(self, schema: Schema) -> None:
        """Raise `SchemaError` when it speaks of types that the schema lacks."""
        for name in (
            *(self.annotates or ()),
            *(to for to in self.labels.values() if to),
            *self.counts_as,
            *self.counts_as.values(),
        ):
            schema.check(name)


class TagSets:
    """A growing table of admissible tag sets; the first `len(schema.tags)` are the single tags, in order.

    A fully annotated corpus therefore uses ordinary tag ids, and its loss is ordinary cross-entropy.
    """

    def __init__(self, schema: Schema):
        self.schema = schema
        self._sets: list[frozenset[int]] = [frozenset([i]) for i in range(len(schema.tags))]
        self._ids = {members: i for i, members in enumerate(self._sets)}

    def id(self, tags: Iterable[int]) -> int:
        members = frozenset(tags)
        if members not in self._ids:
            self._ids[members] = len(self._sets)
            self._sets.append(members)
        return self._ids[members]

    @property
    def table(self) -> np.ndarray:
        """Boolean (sets, tags): which tags each set admits."""
        table = np.zeros((len(self._sets), len(self.schema.tags)), dtype=bool)
        for i, members in enumerate(self._sets):
            table[i, list(members)] = True
        return table

    def admissible(self, tags: Sequence[str], declaration: Declaration) -> list[int]:
        """Set ids for the IOB2 tags of an article's words, as the corpus declares them.

        «O» admits itself and every tag of the types that the corpus does not annotate, under any name; a tag of an
        unread label (one that `Declaration.labels` sends to None) admits the same. Other tags admit themselves and
        those that count as their type.
        """
        unseen = set() if declaration.annotates is None else set(self.schema.types) - declaration.annotates
        unseen -= declaration.counts_as.keys()
        outside = {0, *(i for name in unseen for i in self._both(name))}
        cache: dict[str, int] = {}
        ids = []
        for tag in tags:
            if tag not in cache:
                prefix, _, name = tag.partition("-")
                if tag == OUTSIDE or (name in declaration.labels and declaration.labels[name] is None):
                    members = outside
                else:
                    self.schema.check(name)
                    names = {name, *(other for other, to in declaration.counts_as.items() if to == name)}
                    members = {self.schema.tag_ids[f"{prefix}-{one}"] for one in names}
                    if name in unseen:
                        members |= outside
                cache[tag] = self.id(members)
            ids.append(cache[tag])
        return ids

    def _both(self, name: str) -> tuple[int, int]:
        return self.schema.tag_ids[f"B-{name}"], self.schema.tag_ids[f"I-{name}"]
