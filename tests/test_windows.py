"""Windows are encoded once, and never found again by a run that would make others."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from datasets import Dataset
from tokenizers import Tokenizer

import train.windows
from kayan.corpus import load
from kayan.document import Document, Span
from kayan.encoding import Encoder
from kayan.formats import jsonl
from kayan.schema import TagSets
from tests.conftest import marked
from train.config import read
from train.finetune import finetune
from train.windows import windows

PARTIAL = "data.train.0.corpus={annotates: [PER, LOC], labels: {ORG: null}, proclitics: false}"
Make = Callable[..., tuple[Dataset, list[dict[str, str]], TagSets]]


@pytest.fixture
def make(run_config: Path, backbone: Path, tmp_path: Path) -> Make:
    """Windows of the tiny corpus, in one folder always."""

    def make(*overrides: str, tokenizer: Tokenizer | None = None) -> tuple[Dataset, list[dict[str, str]], TagSets]:
        config = read(run_config, overrides)
        encoder = Encoder(tokenizer or Tokenizer.from_file(str(backbone / "tokenizer.json")), config.text.policy())
        sets = TagSets(config.schema_)
        corpora = [load(entry.path, entry.description()) for entry in config.data.train]
        return *windows(corpora, config, encoder, sets, tmp_path / "cache"), sets

    return make


def tables(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.arrow"))


def test_what_is_found_is_what_was_made(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = marked("زار [PER كريم] [LOC فاس].", "cut")
    cut = cut.with_spans([*cut.spans, Span(5, 7, "ORG")])
    jsonl.write(tmp_path / "own.jsonl", [cut])
    overrides = [f"data.train.0.path={tmp_path / 'own.jsonl'}", "data.train.0.corpus={annotates: [PER, LOC, ORG]}"]
    made, lost, sets = make(*overrides)
    monkeypatch.setattr(train.windows, "_rows", None)
    found, lost_again, sets_again = make(*overrides)
    assert found[:] == made[:]
    assert [item["article"] for item in lost] == ["cut"] * len(lost)
    assert lost_again == lost != []
    assert np.array_equal(sets_again.table, sets.table)
    assert len(sets.table) > len(sets.schema.tags)


@pytest.mark.parametrize(
    "override",
    [
        "text.window=48",
        "text.stride=8",
        "text.profile=raw",
        "types=[PER, LOC, ORG, EVENT, DATE, MISC]",
        "data.train.0.weight=2",
        "data.train.0.corpus={proclitics: false}",
        "data.train.0.corpus={annotates: [PER, LOC, ORG, EVENT, DATE]}",
        "data.train.0.corpus={labels: {ORG: null}}",
        "data.train.0.corpus={counts_as: {EVENT: MISC}}",
        "training.swap=0.5",
        "training.vary=0.5",
    ],
)
def test_other_settings_never_meet_old_windows(make: Make, tmp_path: Path, override: str) -> None:
    make()
    make(override)
    assert len(tables(tmp_path)) == 2


def test_other_articles_and_tokenizers_never_meet_old_windows(
    make: Make, tmp_path: Path, backbone: Path, articles: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.jsonl"
    first, *rest = articles
    for number, document in enumerate(
        [
            first,
            Document(first.text + " ", first.spans, first.id),
            Document(first.text, first.spans[1:], first.id),
            Document(first.text, first.spans, first.id, {"open": [[0, 3]]}),
        ],
        1,
    ):
        jsonl.write(path, [document, *rest])
        make(f"data.train.0.path={path}")
        assert len(tables(tmp_path)) == number
    # The longest word loses its piece.
    other = json.loads((backbone / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = other["model"]["vocab"]
    vocabulary["غريب"] = vocabulary.pop(max(vocabulary, key=len))
    make(f"data.train.0.path={path}", tokenizer=Tokenizer.from_str(json.dumps(other)))
    assert len(tables(tmp_path)) == 5
    monkeypatch.setattr(train.windows, "source_digest", lambda: "another version")
    make(f"data.train.0.path={path}")
    assert len(tables(tmp_path)) == 6


def test_what_the_windows_do_not_follow_from_is_not_asked(make: Make, tmp_path: Path) -> None:
    make()
    make("training.learning_rate=0.5", "training.seed=2", "training.epochs=9", "output=elsewhere")
    assert len(tables(tmp_path)) == 1
    make("training.vary=0.5")
    make("training.vary=0.5", "training.seed=2")
    assert len(tables(tmp_path)) == 3


def _cut(table: Path, notes: Path) -> None:
    table.write_bytes(table.read_bytes()[:-100])


def _flip(table: Path, notes: Path) -> None:
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)


def _no_notes(table: Path, notes: Path) -> None:
    notes.unlink()


def _half_notes(table: Path, notes: Path) -> None:
    notes.write_text(notes.read_text(encoding="utf-8")[:50], encoding="utf-8")


@pytest.mark.parametrize("damage", [_cut, _flip, _no_notes, _half_notes])
def test_a_damaged_file_is_made_anew_and_told(
    make: Make, tmp_path: Path, damage: Callable[[Path, Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    rows = make()[0][:]
    [table] = tables(tmp_path)
    whole = table.read_bytes()
    damage(table, table.with_suffix(".json"))
    with caplog.at_level(logging.WARNING, "kayan.train"):
        assert make()[0][:] == rows
    assert "is damaged or half-written: the articles are encoded anew" in caplog.text
    assert table.read_bytes() == whole


def test_of_several_at_once_one_encodes(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, calls = train.windows._rows, []
    monkeypatch.setattr(train.windows, "_rows", lambda *arguments: (calls.append(1), encode(*arguments))[1])
    with ThreadPoolExecutor(4) as pool:
        rows = [future.result()[0][:] for future in [pool.submit(make) for _ in range(4)]]
    assert calls == [1]
    assert all(one == rows[0] for one in rows)
    assert not list((tmp_path / "cache").glob("*.part"))


def test_windows_from_the_cache_train_the_same_weights(run_config: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    shared = [f"data.cache={tmp_path / 'cache'}", "training.epochs=0.67", PARTIAL]
    weights = []
    for name, options in (("own", shared[1:]), ("made", shared), ("found", shared)):
        finetune(read(run_config, [f"output={tmp_path / name}", *options]))
        history = json.loads((tmp_path / name / "metrics.json").read_text(encoding="utf-8"))["history"]
        assert history[-1]["step"] == 2
        assert not (tmp_path / name / "windows").exists()
        weights.append(load_file(tmp_path / name / "best" / "model.safetensors"))
    assert len(tables(tmp_path)) == 1
    assert all(np.array_equal(weights[0][key], other[key]) for other in weights[1:] for key in weights[0])
